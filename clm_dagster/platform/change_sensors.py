"""Sensors that rebuild days and snapshots whose rows were changed by the load of another day.

Belongs here: `changed_days` and `changed_snapshots`, which need nothing but the build ledger. Does not: landing and
loading new files (`domains.ingest.sensors`), what is out of date (`build_ledger.staleness`).

A delivery can change days that it does not contain: an event that moves to another day leaves its old one, and an
earlier line takes an order from its later day. `clm run` plans again until nothing is out of date; these sensors do the
same for a shop that only Dagster's schedules and sensors keep up to date.
"""

import json
from collections.abc import Callable, Sequence

import dagster as dg

from clm_dagster.platform.build_ledger.staleness import changed_keys, ranges
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Project
from clm_dagster.platform.job_names import DAILY as DAILY_JOB
from clm_dagster.platform.job_names import SNAPSHOTS, range_tags
from clm_dagster.platform.naming import is_own_run, name_of
from clm_dagster.platform.partitions import daily_partitions, snapshot_partitions
from clm_dagster.platform.ticks import read_in_tick
from clm_dagster.settings import Settings

# Among so many newest runs of a deployment, the newest of a shop is looked for.
_NEWEST = 200
_SENSOR_TAG = "dagster/sensor_name"
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Returns the partitions to build again, or the reason to wait.
Find = Callable[[Builds], list[str] | dg.SkipReason]


def change_sensors(settings: Settings, project: Project) -> list[dg.SensorDefinition]:
    """Return the sensors that rebuild changed days, and the snapshots after them. Stopped until a user starts them."""
    days = set(daily_partitions(settings).get_partition_keys())
    weeks = set(snapshot_partitions(settings).get_partition_keys())

    def find_days(builds: Builds) -> list[str]:
        return [key for key in changed_keys(project, builds, DAILY) if key in days]

    def find_snapshots(builds: Builds) -> list[str] | dg.SkipReason:
        if find_days(builds):
            return dg.SkipReason("days before the snapshots are rebuilt first, by the sensor changed_days")
        return [key for key in changed_keys(project, builds, SNAPSHOT) if key in weeks]

    return [
        _sensor(
            settings,
            "changed_days",
            DAILY_JOB,
            "Rebuilds the days that the load of other days changed, such as the day that a moved event left.",
            find_days,
        ),
        _sensor(
            settings,
            "changed_snapshots",
            SNAPSHOTS,
            "Rebuilds the snapshots whose days changed after they were built.",
            find_snapshots,
        ),
    ]


def _sensor(settings: Settings, name: str, job: str, description: str, find: Find) -> dg.SensorDefinition:
    """Return a sensor that looks at the build ledger once after every run.

    Its cursor holds the run after which it looked last, and the partitions that it requested then.
    """

    @dg.sensor(
        name=name_of(settings, name),
        job_name=name_of(settings, job),
        minimum_interval_seconds=settings.sensor_seconds,
        description=description,
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        last = _last_run(settings, context.instance)
        if isinstance(last, dg.SkipReason):
            return last
        cursor = json.loads(context.cursor) if context.cursor else {"run": "", "requested": []}
        if last.run_id == cursor["run"]:
            return dg.SkipReason(f"there is no run after {last.run_id}")
        builds = read_in_tick(settings, name, Builds.read, Builds())
        found = builds if isinstance(builds, dg.SkipReason) else find(builds)
        if isinstance(found, dg.SkipReason):
            return found
        seen = json.dumps({"run": last.run_id, "requested": found})
        if not found:
            return dg.SensorResult(skip_reason="all partitions are up to date with their inputs", cursor=seen)
        if last.tags.get(_SENSOR_TAG) == name_of(settings, name) and set(found) <= set(cursor["requested"]):
            # A rebuild that leaves its own partitions out of date would be requested forever.
            return dg.SensorResult(skip_reason=_unchanged(found, last.run_id), cursor=seen)
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{name} {last.run_id} {first}", tags=range_tags(first, end))
                for first, end in ranges(found)
            ],
            cursor=seen,
        )

    return look


def _last_run(settings: Settings, instance: dg.DagsterInstance) -> dg.DagsterRun | dg.SkipReason:
    """Return the shop's newest run; a reason to wait while one is unfinished, as it may rebuild the partitions."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        if is_own_run(settings, run):
            return dg.SkipReason(f"the run {run.run_id} ({run.job_name}) is not finished")
    for run in instance.get_runs(limit=_NEWEST if settings.asset_prefix else 1):
        if is_own_run(settings, run):
            return run
    return dg.SkipReason("there is no run yet")


def _unchanged(keys: Sequence[str], run_id: str) -> str:
    return (
        f"{len(keys)} partitions, {keys[0]} to {keys[-1]}, are still out of date after the run {run_id} that was to "
        "rebuild them; see that run, and `clm plan` for the reasons"
    )
