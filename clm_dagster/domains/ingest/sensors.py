"""The sensor of ingestion: land new files.

Belongs here: when landing starts automatically. Does not: landing (`assets`), loading what has landed
(`platform.change_sensors`).
"""

import hashlib
import json
from pathlib import Path

import dagster as dg

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import find_paths
from clm_dagster.platform.naming import name_of
from clm_dagster.settings import Settings

LAND = "land"


def ingest_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensor that lands new files."""
    return [_new_files(settings)]


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
