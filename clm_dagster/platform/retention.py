"""Retention of snapshots: which of them are kept, and which are thinned to one a month.

Belongs here: the rule. Does not: deleting rows (`upkeep`), which snapshots are stale (`planning`).

Of the snapshots that are older than CLM_KEEP_SNAPSHOTS allows, the first of each calendar month is kept. Age is counted
from the newest snapshot, not from today. Snapshots that trainings, scores or grades read are kept in any case:

- as many weeks back from the newest one as any table reads, so that future trainings find what they read
- those that the trainings that are due read
- the windows in which past scores are graded
- those of the training calendar, whose cut-offs of RFM scores hold until the next one

Models of churn and value read a history of weekly snapshots, so a shop with models keeps these for longer than a year.
Without trainings (CLM_TRAIN_COUNT is 0) only the setting counts.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from clm_dagster.platform.build_ledger.staleness import training_calendar, training_keys
from clm_dagster.platform.partitions import WEEK, as_of_of_key, parse_day
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.settings import Settings

_DAYS_OF_A_WEEK = 7


def kept_snapshots(keys: Sequence[str], tables: Sequence[AnyTable], settings: Settings) -> list[str]:
    """Return the snapshots that are kept, in order. keys: all snapshots of the shop, in order."""
    days = settings.keep_snapshot_days
    if days is None or not keys:
        return list(keys)
    newest = _as_of(keys[-1], settings)
    since = newest - timedelta(days=max(days, _days_read(tables, settings)))
    trainings = training_keys(keys, settings)
    needed = {
        key
        for table in tables
        if table.is_trained
        for training in trainings
        for key in (training, *table.earlier_keys(training))
    }
    needed |= set(training_calendar(keys, settings))
    return [
        key
        for key in keys
        if key in needed or _as_of(key, settings) >= since or _as_of(key, settings).day <= _DAYS_OF_A_WEEK
    ]


def unbroken(keys: Iterable[str]) -> list[list[str]]:
    """Return snapshots in groups without a week between them that is not among them."""
    groups: list[list[str]] = []
    for key in sorted(keys):
        if groups and parse_day(key) - parse_day(groups[-1][-1]) == WEEK:
            groups[-1].append(key)
        else:
            groups.append([key])
    return groups


def _days_read(tables: Sequence[AnyTable], settings: Settings) -> int:
    """Return how many days back from the newest snapshot another one may be read, now or by a future training."""
    found = [0]
    for table in tables if settings.train_count else ():
        weeks = max(table.weeks_back, default=0)
        newest = 0 if table.is_trained else settings.score_count
        found.append((weeks + newest) * _DAYS_OF_A_WEEK)
        if table.grade_days is not None:
            # A window that has a scored snapshot reaches one horizon further back, and the score reads earlier ones.
            windows = (settings.graded_horizons + 1) * table.grade_days
            found.append(windows + (weeks + 1) * _DAYS_OF_A_WEEK)
    return max(found)


def _as_of(key: str, settings: Settings) -> date:
    return as_of_of_key(key, settings.end_date).date()
