"""Sensors of ingestion: land new files, and load all days in newly landed files.

Belongs here: when landing and loading start automatically. Does not: landing and loading (`assets`).
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from clm_dagster.domains.ingest.assets import TOUCHED
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import find_paths
from clm_dagster.platform.build_ledger.staleness import ranges
from clm_dagster.platform.job_names import DAILY, RANGE_END, RANGE_START, range_tags
from clm_dagster.platform.naming import LANDING, name_of, with_prefix
from clm_dagster.platform.partitions import daily_partitions
from clm_dagster.settings import Settings

LAND = "land"


def ingest_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensor that lands new files, and the sensor that loads the days in them."""
    return [_new_files(settings), _touched_days(settings)]


def _new_files(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name=name_of(settings, "new_files"),
        job_name=name_of(settings, LAND),
        minimum_interval_seconds=settings.sensor_seconds,
        description=f"Lands new files at {settings.input}.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            found = {str(path): _stamp(path) for path, _ in find_paths(settings.input)}
        except InputError as error:
            return dg.SkipReason(str(error))
        cursor = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
        if cursor == context.cursor:
            return dg.SkipReason(f"no new files at {settings.input}")
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=cursor)

    return new_files


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _touched_days(settings: Settings) -> dg.SensorDefinition:
    @dg.asset_sensor(
        asset_key=with_prefix(settings, LANDING),
        name=name_of(settings, "touched_days"),
        job_name=name_of(settings, DAILY),
        minimum_interval_seconds=settings.sensor_seconds,
        description="Loads every day that newly landed files contain, in one run per range of days.",
    )
    def touched_days(
        context: dg.SensorEvaluationContext, event: dg.EventLogEntry
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        materialization = event.asset_materialization
        value = materialization.metadata[TOUCHED].value if materialization else []
        days: list[str] = list(value) if isinstance(value, list) else []
        known = set(daily_partitions(settings).get_partition_keys())
        run = context.instance.get_run_by_id(event.run_id)
        wanted = [day for day in days if day in known and not _covers(settings, run, day)]
        if not wanted:
            yield dg.SkipReason("the landing run added no day that has to be loaded")
        for first, last in ranges(wanted):
            yield dg.RunRequest(run_key=f"{event.run_id} {first}", tags=range_tags(first, last))

    return touched_days


def _covers(settings: Settings, run: dg.DagsterRun | None, day: str) -> bool:
    """Whether the run that landed a day also loads it, as a daily run does for its own range."""
    if run is None or run.job_name != name_of(settings, DAILY):
        return False
    first = run.tags.get(RANGE_START, run.tags.get("dagster/partition", ""))
    return first <= day <= run.tags.get(RANGE_END, first)
