"""Jobs, schedules and sensors.

Belongs here: what runs together and when. Does not: what an asset does.
"""

import hashlib
import json
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from clm_dagster.domains.ingest.assets import LANDING, TOUCHED
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import find_paths
from clm_dagster.platform.build_ledger.staleness import ranges, training_keys
from clm_dagster.platform.failures import step_errors
from clm_dagster.platform.partitions import daily_partitions, snapshot_partitions
from clm_dagster.settings import Settings

LAND, DAILY, SNAPSHOTS, PUBLISH = "land", "daily", "snapshots", "publish"
MODELS, SCORES = "models", "scores"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: str, last: str) -> dict[str, str]:
    """Run tags that make one run of a range of partitions."""
    return {RANGE_START: first, RANGE_END: last}


def build_jobs(settings: Settings, assets: Sequence[dg.AssetsDefinition]) -> list[Any]:
    """`land` new files, `daily` loads and rolls up days, `snapshots` builds states of customers.

    `models` trains, `scores` says what the models say; both of what Python writes.
    """
    snapshot = snapshot_partitions(settings)
    by_week = [a for a in assets if a.partitions_def == snapshot]
    python = [a.key for a in by_week if a.tags_by_key[a.key].get("materialized") == "python"]
    trained = [key for key in python if key.path[0] == "models"]
    # Views over all snapshots have no partitions of their own and follow the weeks all the same.
    by_week += [a for a in assets if a.tags_by_key[a.key].get("job") == SNAPSHOTS]
    weekly = [a.key for a in by_week if a.key not in python]
    readers = [a.key for a in assets if a.tags_by_key[a.key].get("job") == SCORES]
    seeds = [a.key for a in assets if a.tags_by_key[a.key].get("layer") == "seed"]
    staging = [a.key for a in assets if a.key.path[0] == "staging" and a.key not in seeds]
    published = [a.key for a in assets if a.key.path[0] == "published"]
    by_day = [a.key for a in assets if a.key not in {*weekly, *python, *readers}]
    said = [key for key in python if key not in trained]
    return [
        dg.define_asset_job(
            LAND, dg.AssetSelection.assets(LANDING), description="Parse new files into the landing area."
        ),
        dg.define_asset_job(
            DAILY,
            dg.AssetSelection.assets(*by_day),
            description="Land new files, load days of events and roll them up, publish. One run for a range.",
        ),
        dg.define_asset_job(
            SNAPSHOTS,
            dg.AssetSelection.assets(*weekly, *seeds, *staging, *published),
            description="The state of every customer at the end of each week, publish. One run for a range.",
        ),
        dg.define_asset_job(
            MODELS,
            dg.AssetSelection.assets(*trained),
            description="Train models on the state of every customer at a snapshot; each is a run in MLflow.",
        ),
        dg.define_asset_job(
            SCORES,
            dg.AssetSelection.assets(*said, *readers, *published),
            description="What the models say of every customer at a snapshot, grades, publish. One run for a range.",
        ),
        dg.define_asset_job(
            PUBLISH,
            dg.AssetSelection.assets(*published),
            description="Copy the warehouse to where people read it.",
        ),
    ]


# ---------------------------------------------------------------------------------- schedules


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Daily and weekly schedules, stopped until someone starts them."""
    days, weeks = daily_partitions(settings), snapshot_partitions(settings)

    @dg.schedule(
        name="daily_schedule",
        job_name=DAILY,
        cron_schedule=f"0 {settings.daily_hour} * * *",
        execution_timezone=settings.timezone,
        description=(
            "Loads yesterday and, for late rows, reads the "
            f"{settings.lookback_days} days before it again; one run."
        ),
    )
    def daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = days.get_partition_keys(current_time=context.scheduled_execution_time)
        reason = _nothing_newer(keys, context.scheduled_execution_time, timedelta(days=1), settings)
        if reason:
            return dg.SkipReason(reason)
        first = keys[-1 - settings.lookback_days :][0]
        return dg.RunRequest(run_key=f"daily {keys[-1]}", tags=range_tags(first, keys[-1]))

    @dg.schedule(
        name="train_schedule",
        job_name=MODELS,
        cron_schedule=f"40 {settings.daily_hour} * * 1",
        execution_timezone=settings.timezone,
        description="Trains the models that are due; in most weeks none is, and it says so.",
    )
    def train(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = weeks.get_partition_keys(current_time=context.scheduled_execution_time)
        reason = _nothing_newer(keys, context.scheduled_execution_time, timedelta(days=7), settings)
        key = None if reason else _newly_due(keys, settings)
        if key:
            return dg.RunRequest(run_key=f"train {key}", partition_key=key)
        return dg.SkipReason(
            reason or f"no model is due after {keys[-1]}: every {settings.train_every_weeks} weeks one is"
        )

    snapshot = _of_last_week(
        settings,
        "snapshot_schedule",
        SNAPSHOTS,
        30,
        "Builds the snapshot of the week that has just ended.",
        "snapshot",
    )
    score = _of_last_week(
        settings,
        "score_schedule",
        SCORES,
        50,
        "Scores the snapshot of the week that has just ended.",
        "scores",
    )
    return [daily, snapshot, train, score]


def _of_last_week(
    settings: Settings, name: str, job: str, minute: int, description: str, run_key: str
) -> dg.ScheduleDefinition:
    """A schedule that runs a job on Mondays for the week that has just ended."""
    weeks = snapshot_partitions(settings)

    @dg.schedule(
        name=name,
        job_name=job,
        cron_schedule=f"{minute} {settings.daily_hour} * * 1",
        execution_timezone=settings.timezone,
        description=description,
    )
    def weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = weeks.get_partition_keys(current_time=context.scheduled_execution_time)
        reason = _nothing_newer(keys, context.scheduled_execution_time, timedelta(days=7), settings)
        if reason:
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"{run_key} {keys[-1]}", partition_key=keys[-1])

    return weekly


def _newly_due(keys: Sequence[str], settings: Settings) -> str | None:
    """The snapshot models are to be trained at since the last week ended, if there is one."""
    now, before = training_keys(keys, settings), training_keys(keys[:-1], settings)
    return now[-1] if now and now[-1:] != before[-1:] else None


def _nothing_newer(keys: Sequence[str], tick: datetime, length: timedelta, settings: Settings) -> str | None:
    """Why a tick has nothing to do, if so: no partition has ended since the tick before."""
    if not keys:
        return f"the shop's dates begin at {settings.start_date}: no partition has ended yet"
    ended = datetime.fromisoformat(keys[-1]).replace(tzinfo=settings.zone) + length
    if tick - ended >= length:
        return (
            f"nothing is newer than {keys[-1]}: the shop's dates end at {settings.end_date} "
            "(setting CLM_END_DATE)"
        )
    return None


# ------------------------------------------------------------------------------------ sensors


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """New files are landed; days that landing touched, however old, are loaded; failures are posted."""
    return [_new_files(settings), _touched_days(settings), _failures(settings)]


def _new_files(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="new_files",
        job_name=LAND,
        minimum_interval_seconds=settings.sensor_seconds,
        description=f"Lands files that arrive at {settings.input}.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            found = {str(path): _stamp(path) for path, _ in find_paths(settings.input)}
        except InputError as error:
            return dg.SkipReason(str(error))
        cursor = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
        if cursor == context.cursor:
            return dg.SkipReason(f"nothing new at {settings.input}")
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=cursor)

    return new_files


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _touched_days(settings: Settings) -> dg.SensorDefinition:
    @dg.asset_sensor(
        asset_key=LANDING,
        name="touched_days",
        job_name=DAILY,
        minimum_interval_seconds=settings.sensor_seconds,
        description="Loads every day that newly landed files touch, however old; one run for each range.",
    )
    def touched_days(
        context: dg.SensorEvaluationContext, event: dg.EventLogEntry
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        materialization = event.asset_materialization
        value = materialization.metadata[TOUCHED].value if materialization else []
        days: list[str] = list(value) if isinstance(value, list) else []
        known = set(daily_partitions(settings).get_partition_keys())
        run = context.instance.get_run_by_id(event.run_id)
        wanted = [day for day in days if day in known and not _covers(run, day)]
        if not wanted:
            yield dg.SkipReason("the landing run brought no day that waits to be loaded")
        for first, last in ranges(wanted):
            yield dg.RunRequest(run_key=f"{event.run_id} {first}", tags=range_tags(first, last))

    return touched_days


def _covers(run: dg.DagsterRun | None, day: str) -> bool:
    """Whether the run that landed a day goes on to load it: a daily run does, for its own range."""
    if run is None or run.job_name != DAILY:
        return False
    first = run.tags.get(RANGE_START, run.tags.get("dagster/partition", ""))
    return first <= day <= run.tags.get(RANGE_END, first)


def _failures(settings: Settings) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=settings.sensor_seconds,
        description="Posts a failed run to the webhook of the setting CLM_WEBHOOK_URL, if there is one.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not settings.webhook_url:
            return dg.SkipReason("no webhook is set (CLM_WEBHOOK_URL)")
        post(settings.webhook_url, failure_message(context))
        return None

    return failed_runs


def failure_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """What is posted: `text` as chat programs show it, and its parts."""
    run, event = context.dagster_run, context.failure_event
    partition = run.tags.get("dagster/partition", run.tags.get(RANGE_START, ""))
    error = "; ".join(step_errors(context.get_step_failure_events())) or event.message or "no message"
    return {
        "text": f"clm_dagster: {run.job_name} {partition} failed: {error}",
        "job": run.job_name,
        "run_id": run.run_id,
        "partition": partition,
        "error": error,
    }


def post(url: str, message: dict[str, str]) -> None:
    """Send a message as JSON. Raises OSError if nobody takes it: the sensor's tick then shows it."""
    request = urllib.request.Request(
        url, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10):
        pass
