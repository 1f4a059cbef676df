"""What is out of date: the days and snapshots whose stored version is not what it should be.

Belongs here: comparing versions. Does not: what a run does about it (`platform.planning`), or how a version is made
(`versions`, and for landed files the domain that lands them).
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project, Seed
from clm_dagster.platform.partitions import parse_day
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.settings import Settings

# Stale ranges this close are run as one: a run costs more than a few days done again.
_MERGE_GAP_DAYS = 14


class Landed(Protocol):
    """What has landed, as planning looks at it."""

    def day_keys(self) -> list[str]:
        """Every daily partition, in order, from the first to the last that can hold a row."""
        ...

    def pending_days(self, builds: Builds) -> list[str]:
        """The days whose rows are not loaded as they are landed."""
        ...

    def has_pending_tables(self, builds: Builds) -> bool:
        """Whether something that lies in no daily partition waits to be loaded."""
        ...


def stale_days(project: Project, landed: Landed, builds: Builds) -> list[str]:
    """Days whose events are not loaded as landed, or whose roll-ups are of another version."""
    days = landed.day_keys()
    stale = set(landed.pending_days(builds))
    for name, model in project.models.items():
        if model.window == DAILY:
            expected = builds.expected(project, name, [d for d in days if d not in stale])
            stale |= {d for d, v in expected.items() if _differs(builds, model.relation, d, v.hash)}
    return sorted(stale)


def views_are_stale(project: Project, builds: Builds) -> bool:
    """Whether a view or a seed stands in the warehouse as another file than there is now, or not at all."""
    return bool(stale_files(project, builds))


def stale_files(project: Project, builds: Builds) -> list[Model | Seed]:
    """Views and seeds that stand in the warehouse as another file than there is now, or not at all.

    Views of tables that Python writes are not looked at: they are made after those (`stale_readers`).
    """
    readers = project.readers_of_python
    views = [m for m in project.models.values() if m.materialized == "view" and m.name not in readers]
    files: list[Model | Seed] = [*views, *project.seeds.values()]
    return [f for f in files if _differs(builds, f.relation, versions.WHOLE, f.code_version)]


def stale_readers(project: Project, tables: Sequence[AnyTable], builds: Builds) -> list[Model]:
    """Views of tables that Python writes which are not what their file says; none before such a table is there."""
    if not any(builds.keys(table.relation) for table in tables):
        return []
    views = [project.model(name) for name in project.readers_of_python]
    return [v for v in views if _differs(builds, v.relation, versions.WHOLE, v.code_version)]


def stale_snapshots(project: Project, builds: Builds, keys: Iterable[str]) -> list[str]:
    """Snapshots that are missing, or were made from other days or other code than there are now.

    Models are looked at in order; what a stale one feeds is stale too.
    """
    stale: set[str] = set()
    for name, model in project.models.items():
        if model.window == SNAPSHOT:
            expected = builds.expected(project, name, [k for k in keys if k not in stale])
            stale |= {k for k, v in expected.items() if _differs(builds, model.relation, k, v.hash)}
    return sorted(stale)


def training_keys(keys: Sequence[str], settings: Settings) -> list[str]:
    """The snapshots that models are trained at: the newest `train_count` of a fixed calendar.

    The calendar takes every `train_every_weeks`-th Monday since year 1, so that it does not move as time
    passes. A shop too young to have met one of it trains at its newest snapshot. A model whose label needs a
    horizon learns from the snapshots before, whose labels are mature by then.
    """
    chosen = [k for k in keys if parse_day(k).toordinal() // 7 % settings.train_every_weeks == 0]
    return (list(chosen) or list(keys[-1:]))[-settings.train_count :] if settings.train_count else []


def stale_trainings(project: Project, table: AnyTable, builds: Builds, keys: Sequence[str]) -> list[str]:
    """Of the snapshots that a model is trained at, those to train: stale, or after one that is.

    The latter only where the model carries something over from the one before it.
    """
    stale = [key for key in keys if table.is_stale(project, builds, key)]
    if table.model is not None and stale:
        return [key for key in keys if key >= stale[0]]
    return stale


def stale_scores(
    project: Project, tables: Sequence[AnyTable], builds: Builds, keys: Sequence[str]
) -> list[str]:
    """Of the snapshots that are scored, those where a score is stale and a model was trained by then.

    Tables without a model of their own come along as soon as any other has one.
    """
    scores = [table for table in tables if not table.is_trained]
    return [key for key in keys if any(t.is_stale(project, builds, key) for t in _due(scores, builds, key))]


def _due(scores: Sequence[AnyTable], builds: Builds, key: str) -> list[AnyTable]:
    """The tables that can be computed at a snapshot: none before the first model."""
    ready = [table for table in scores if table.model_key(builds, key) is not None]
    return [*ready, *(table for table in scores if table.model is None)] if ready else []


def ranges(keys: Sequence[str], step_days: int = 1) -> list[tuple[str, str]]:
    """Sorted keys as (first, last) ranges; ranges with a small gap between them are joined."""
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
