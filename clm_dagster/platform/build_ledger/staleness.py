"""Staleness: the days and snapshots whose stored version differs from the expected one.

Belongs here: comparing versions. Does not: planning runs (`platform.planning`), computing versions (`versions`, and for
landed files the domain that lands them).
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Protocol

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project, Seed
from clm_dagster.platform.partitions import parse_day
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.settings import Settings

# Stale ranges with a smaller gap are merged, because a run costs more than rebuilding a few days.
_MERGE_GAP_DAYS = 14


class Landed(Protocol):
    """The landed files as planning sees them."""

    def day_keys(self) -> list[str]:
        """Return every daily partition that can have rows, in order."""
        ...

    def data_end(self) -> date | None:
        """Return the exclusive end of the days with events; None where there are none."""
        ...

    def pending_days(self, builds: Builds) -> list[str]:
        """Return the days whose landed rows are not loaded yet."""
        ...

    def has_pending_tables(self, builds: Builds) -> bool:
        """Whether landed rows outside the daily partitions are not loaded yet."""
        ...

    def day_version(self, key: str) -> str:
        """Return the version of the landed events of a day; empty for a day that cannot have rows yet."""
        ...


def stale_days(project: Project, landed: Landed, builds: Builds) -> list[str]:
    """Return the days whose landed events are not loaded yet, or whose daily tables are out of date."""
    days = landed.day_keys()
    stale = set(landed.pending_days(builds))
    for name, model in project.models.items():
        if model.window == DAILY:
            expected = builds.expected(project, name, [d for d in days if d not in stale])
            stale |= {d for d, v in expected.items() if _differs(builds, model.relation, d, v.hash)}
    return sorted(stale)


def stale_files(project: Project, builds: Builds) -> list[Model | Seed]:
    """Return the views and seeds that are missing from the warehouse, or whose file has changed.

    Views over Python tables are excluded: they are created after these tables (`stale_python_views`).
    """
    readers = project.python_dependents
    views = [m for m in project.models.values() if m.materialized == "view" and m.name not in readers]
    files: list[Model | Seed] = [*views, *project.seeds.values()]
    return [f for f in files if _differs(builds, f.relation, versions.WHOLE, f.code_version)]


def stale_tables(project: Project, builds: Builds) -> list[Model]:
    """Return the tables and states without partitions that are no part of a snapshot, and are out of date."""
    found = []
    for name, model in project.models.items():
        if model.materialized in ("table", "state") and not project.depends_on_snapshots(name):
            expected = builds.expected(project, name, [versions.WHOLE])[versions.WHOLE]
            if _differs(builds, model.relation, versions.WHOLE, expected.hash):
                found.append(model)
    return found


def stale_python_views(project: Project, tables: Sequence[AnyTable], builds: Builds) -> list[Model]:
    """Return the stale SQL models over Python tables; none before the first Python table exists.

    A view is stale if its file has changed. So is a table: its rows are renewed by every scoring run.
    """
    if not any(builds.keys(table.relation) for table in tables):
        return []
    stale = []
    for model in (project.model(name) for name in project.python_dependents):
        stored = builds.stored(model.relation)
        if stored is None or stored.code != model.code_version[:16]:
            stale.append(model)
    return stale


def stale_snapshots(project: Project, builds: Builds, keys: Iterable[str]) -> list[str]:
    """Return the snapshots that are missing, or whose days or code have changed.

    Models are checked in topological order. Everything downstream of a stale snapshot is stale too.
    """
    stale: set[str] = set()
    for name, model in project.models.items():
        if model.window == SNAPSHOT:
            expected = builds.expected(project, name, [k for k in keys if k not in stale])
            stale |= {k for k, v in expected.items() if _differs(builds, model.relation, k, v.hash)}
    return sorted(stale)


def training_calendar(keys: Sequence[str], settings: Settings) -> list[str]:
    """Return the snapshots of the fixed calendar: every `train_every_weeks`-th Monday since year 1."""
    return [k for k in keys if parse_day(k).toordinal() // 7 % settings.train_every_weeks == 0]


def training_keys(keys: Sequence[str], settings: Settings) -> list[str]:
    """Return the snapshots at which models are trained: the newest `train_count` of a fixed calendar.

    The calendar consists of every `train_every_weeks`-th Monday since year 1, so it does not change over time. A shop
    that is too young for this calendar trains at its newest snapshot. A model whose labels have a horizon trains on
    earlier snapshots, whose labels are mature by then.
    """
    chosen = training_calendar(keys, settings)
    return (chosen or list(keys[-1:]))[-settings.train_count :] if settings.train_count else []


def stale_trainings(project: Project, table: AnyTable, builds: Builds, keys: Sequence[str]) -> list[str]:
    """Return the training snapshots to train again: the stale ones.

    If a training reads the one before it, all snapshots after a stale one are included too.
    """
    stale = [key for key in keys if table.is_stale(project, builds, key)]
    if table.model is not None and stale:
        return [key for key in keys if key >= stale[0]]
    return stale


def stale_scores(
    project: Project, tables: Sequence[AnyTable], builds: Builds, keys: Sequence[str]
) -> list[str]:
    """Return the snapshots at which a score is stale and a model was trained by then.

    Tables without a model are included as soon as any other table has a model.
    """
    scores = [table for table in tables if not table.is_trained]
    return [key for key in keys if any(t.is_stale(project, builds, key) for t in _due(scores, builds, key))]


def _due(scores: Sequence[AnyTable], builds: Builds, key: str) -> list[AnyTable]:
    """Return the tables that can be computed at a snapshot; none before the first model."""
    ready = [table for table in scores if table.model_key(builds, key) is not None]
    return [*ready, *(table for table in scores if table.model is None)] if ready else []


def ranges(keys: Sequence[str], step_days: int = 1) -> list[tuple[str, str]]:
    """Return sorted keys as (first, last) ranges. Ranges with a small gap between them are merged."""
    result: list[tuple[str, str]] = []
    for key in keys:
        gap = parse_day(key) - parse_day(result[-1][1]) if result else None
        if gap is not None and gap <= timedelta(days=max(_MERGE_GAP_DAYS, step_days)):
            result[-1] = (result[-1][0], key)
        else:
            result.append((key, key))
    return result


def _differs(builds: Builds, relation: str, key: str, wanted: str) -> bool:
    stored = builds.stored(relation, key)
    return stored is None or stored.hash != wanted
