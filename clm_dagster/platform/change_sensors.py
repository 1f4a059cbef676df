"""Sensors that bring days and snapshots up to date after any run, without waiting for their schedules.

Belongs here: `changed_days` and `changed_snapshots`. Does not: what they request (`due_runs`), landing new files
(`domains.ingest.sensors`).

New files land days of any age. A delivery can also change days that it does not contain: an event that moves to another
day leaves its old one, and an earlier line takes an order from its later day. `clm run` plans again until nothing is
out of date; these sensors do the same for a shop that only Dagster's schedules and sensors keep up to date.
"""

from datetime import datetime

import dagster as dg

from clm_dagster.platform.due_runs import DueRuns
from clm_dagster.platform.job_names import DAILY, SNAPSHOTS
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.run_queue import newest_run


def change_sensors(due: DueRuns) -> list[dg.SensorDefinition]:
    """Return the sensors of days, and of the snapshots after them. They are stopped until a user starts them."""
    return [
        _sensor(
            due,
            "changed_days",
            DAILY,
            "Loads days with rows in new files, and rebuilds days that the load of other days changed.",
        ),
        _sensor(
            due, "changed_snapshots", SNAPSHOTS, "Builds snapshots that are missing or whose days changed."
        ),
    ]


def _sensor(due: DueRuns, name: str, job: str, description: str) -> dg.SensorDefinition:
    """Return a sensor that looks at the build ledger once after every run. Its cursor is the last such run."""
    settings = due.settings

    @dg.sensor(
        name=name_of(settings, name),
        job_name=name_of(settings, job),
        minimum_interval_seconds=settings.sensor_seconds,
        description=description,
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        last = newest_run(settings, context.instance)
        if last is None:
            return dg.SkipReason("there is no run yet")
        if last.run_id == context.cursor:
            return dg.SkipReason(f"there is no run after {last.run_id}")
        found = due.request(context.instance, name_of(settings, name), job, datetime.now(settings.zone))
        if isinstance(found, dg.RunRequest):
            return dg.SensorResult(run_requests=[found], cursor=last.run_id)
        if found.is_settled:
            return dg.SensorResult(skip_reason=found.reason, cursor=last.run_id)
        return dg.SkipReason(found.reason)

    return look
