"""Daily and snapshot partitions, and the as_of of a snapshot key.

Belongs here: the calendar. Does not: which partitions have data, or have to run (`planning`).
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import dagster as dg

from clm_dagster.settings import Settings

WEEK = timedelta(days=7)
# Length of the history of a shop without an end date. Dagster clips it at the first partition, but iterates over all
# of its days at every step: a longer history adds seconds to each run.
_LIVE_HISTORY_DAYS = 3_660


def monday_on_or_before(day: date) -> date:
    """Return the Monday on or before a day."""
    return day - timedelta(days=day.weekday())


def monday_on_or_after(day: date) -> date:
    """Return the Monday on or after a day."""
    return day + timedelta(days=-day.weekday() % 7)


def span(settings: Settings) -> tuple[date, date | None]:
    """Return the first Monday and the exclusive last Monday of all partitions; None where there is no end date."""
    end = settings.end_date
    return monday_on_or_before(settings.start_date), monday_on_or_after(end) if end else None


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return the daily partitions. `2011-06-01` covers events in [2011-06-01, 2011-06-02)."""
    start, end = span(settings)
    return dg.DailyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
    )


def snapshot_span(settings: Settings) -> tuple[date, date | None]:
    """Return the first Monday and the exclusive last Monday of the snapshots; None where there is no end date.

    A week that the end date cuts short has no snapshot, because its last days are unknown. The only exception is the
    first week: a shop of a few days has one snapshot, at its end date.
    """
    start, end = monday_on_or_before(settings.start_date), settings.end_date
    return start, max(monday_on_or_before(end), start + WEEK) if end else None


def snapshot_partitions(settings: Settings) -> dg.WeeklyPartitionsDefinition:
    """Return the weekly partitions, Monday to Monday. The key is the Monday on which the week starts."""
    start, end = snapshot_span(settings)
    return dg.WeeklyPartitionsDefinition(
        start_date=start.isoformat(),
        end_date=end.isoformat() if end else None,
        timezone=settings.timezone,
        day_offset=1,
    )


def all_days_before(settings: Settings) -> dg.TimeWindowPartitionMapping:
    """Return the partition mapping from a snapshot to every day before its as_of."""
    start, end = span(settings)
    days = (end - start).days if end else _LIVE_HISTORY_DAYS
    return dg.TimeWindowPartitionMapping(start_offset=-days)


def as_of_of_key(key: str, end_date: date | None) -> datetime:
    """Return the as_of of a snapshot key: midnight at the end of the week that starts on it.

    It never lies after the shop's end date, since later days are unknown.
    """
    end = end_of_week(key)
    return datetime.combine(min(end, end_date) if end_date else end, time.min)


def snapshot_label(first: str, end_date: date | None, last: str = "") -> str:
    """Return a snapshot key, or a range of them, together with its as_of, for messages.

    >>> snapshot_label("2011-11-28", None)
    '2011-11-28 (as_of 2011-12-05)'
    >>> snapshot_label("2011-11-21", None, "2011-11-28")
    '2011-11-21 to 2011-11-28 (as_of 2011-11-28 to 2011-12-05)'
    """
    keys = [first] if last in ("", first) else [first, last]
    return with_as_of(keys, [as_of_of_key(key, end_date).date() for key in keys])


def with_as_of(keys: Sequence[str], as_ofs: Sequence[date]) -> str:
    """Return a snapshot key, or the first and the last of a range, together with their as_ofs, for messages."""
    return f"{' to '.join(keys)} (as_of {' to '.join(map(str, as_ofs))})"


def label_of_as_of(as_of: datetime) -> str:
    """Return the snapshot of an as_of by its key and as_of, for messages.

    >>> label_of_as_of(datetime(2011, 12, 5))
    '2011-11-28 (as_of 2011-12-05)'
    """
    return with_as_of([key_of_as_of(as_of)], [as_of.date()])


def end_of_week(key: str) -> date:
    """Return the exclusive end of the week of a snapshot key."""
    return parse_day(key) + WEEK


def days_lacking(key: str, data_end: date, settings: Settings) -> int:
    """Return how many days before a snapshot's as_of have no data yet. data_end: exclusive end of the days with data.

    The last snapshot of a closed shop lacks none once its week has data: its end date says that nothing follows.
    """
    as_of, (_, end) = as_of_of_key(key, settings.end_date).date(), snapshot_span(settings)
    if end_of_week(key) == end and parse_day(key) < data_end:
        return 0
    return max((as_of - data_end).days, 0)


def why_waiting(key: str, data_end: date, settings: Settings) -> str:
    """Return the sentence that says for which days a snapshot waits; empty where it lacks none."""
    missing = missing_days(key, data_end, settings)
    last = as_of_of_key(key, settings.end_date).date() - timedelta(days=1)
    return missing and f"{missing} It waits for events of {last} or later."


def missing_days(key: str, data_end: date, settings: Settings) -> str:
    """Return the sentence that says how many days a snapshot lacks; empty where it lacks none."""
    days = days_lacking(key, data_end, settings)
    if not days:
        return ""
    label, newest = snapshot_label(key, settings.end_date), data_end - timedelta(days=1)
    counted = "day has" if days == 1 else f"{days} days have"
    return f"Of the snapshot {label}, the last {counted} no events yet: the newest event is of {newest}."


def key_of_as_of(as_of: datetime) -> str:
    """Return the snapshot key of an as_of; the inverse of `as_of_of_key`."""
    return monday_on_or_before(as_of.date() - timedelta(days=1)).isoformat()


def parse_day(text: str) -> date:
    """Parse a partition key. Raise ValueError if it is not a date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date; expected a date like 2011-06-01") from error


def snapshot_keys(first_day: date, end_day: date) -> list[str]:
    """Return the snapshot keys whose weeks start in [Monday on or before first_day, end_day)."""
    keys = []
    monday = monday_on_or_before(first_day)
    while monday < end_day:
        keys.append(monday.isoformat())
        monday += WEEK
    return keys


def days_between(start: date, end: date) -> list[date]:
    """Return every day in [start, end)."""
    return [start + timedelta(days=n) for n in range((end - start).days)]
