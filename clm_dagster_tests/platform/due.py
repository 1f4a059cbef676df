"""A shop whose ticks are tested: a made-up landing area, and a daemon that runs what ticks request.

Belongs here: helpers of several tests of ticks. Does not: what a test expects.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from clm_dagster.domains.personas.tables import persona_tables
from clm_dagster.platform.build_ledger.versions import WHOLE, Builds, Version, record
from clm_dagster.platform.due_runs import DueRuns
from clm_dagster.platform.planning import Planner
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.settings import Settings

FIRST = date(2024, 1, 1)


def days(first: date, count: int) -> list[str]:
    return [(first + timedelta(days=number)).isoformat() for number in range(count)]


@dataclass
class LandedDays:
    """A landing area with events on `count` days since the first. pending: days that are landed and not loaded."""

    count: int
    pending: tuple[str, ...] = ()

    def day_keys(self) -> list[str]:
        return days(FIRST, self.count)

    def data_end(self) -> date | None:
        return FIRST + timedelta(days=self.count) if self.count else None

    def pending_days(self, builds: Builds) -> list[str]:
        return [key for key in self.day_keys() if key in self.pending or not builds.stored("raw.events", key)]

    def has_pending_tables(self, builds: Builds) -> bool:
        return False

    def day_version(self, key: str) -> str:
        return f"{key} {key in self.pending}"


def due_runs(settings: Settings, landed: LandedDays) -> DueRuns:
    project = load_sql(settings)
    return DueRuns(settings, project, persona_tables(project, settings), lambda: landed)


def build_all(due: DueRuns, stages: tuple[str, ...], count: int) -> None:
    """Write a ledger in which these stages of the first days are up to date."""
    builds = Builds()
    landed = LandedDays(count)
    for key in landed.day_keys():
        builds.assume("raw.events", key, Version(key))
    with warehouse_of(due.settings).connect("a test") as connection:
        stored = Builds.read(connection)
        for relation in stored._stored:
            for key in stored.keys(relation):
                version = stored.stored(relation, key)
                assert version is not None
                builds.assume(relation, key, version)
        Planner(due.settings, due.project, due.tables, landed, builds, published=True).plan(stages)
        for relation in list(builds._stored):
            rows = [(key, builds._stored[relation][key], 1) for key in builds._stored[relation]]
            record(connection, relation, rows, "a run")


def forget(settings: Settings, relation: str, key: str = WHOLE) -> None:
    with warehouse_of(settings).connect("a test") as connection:
        connection.execute("delete from raw.builds where relation = ? and partition_key = ?", [relation, key])


def at(settings: Settings, day: str, hour: int = 3) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=settings.zone)


def finish(
    instance: dg.DagsterInstance,
    request: Any,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE,
    job: str = "daily",
) -> dg.DagsterRun:
    """Add the run of a request to the instance, in a status."""

    @dg.job(name=job)
    def made() -> None: ...

    return instance.create_run_for_job(made, tags=dict(request.tags), status=status)
