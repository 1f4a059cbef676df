"""Schedules of the platform's jobs.

Belongs here: when a job runs, and when a tick is skipped. Does not: which assets a job selects (`jobs`), the sensors of
a domain.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from clm_dagster.platform.build_ledger.staleness import training_keys
from clm_dagster.platform.build_ledger.versions import loaded_end
from clm_dagster.platform.job_names import DAILY, MODELS, SCORES, SNAPSHOTS, range_tags
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.partitions import daily_partitions, snapshot_label, snapshot_partitions, why_waiting
from clm_dagster.platform.ticks import read_in_tick
from clm_dagster.settings import Settings

# A key is requested once, whatever the number of ticks.
_EVERY_DAY = "Looks every day, because the week's last day may be loaded late."


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Return the daily and weekly schedules. They are stopped until a user starts them."""
    days, weeks = daily_partitions(settings), snapshot_partitions(settings)

    @dg.schedule(
        name=name_of(settings, "daily_schedule"),
        job_name=name_of(settings, DAILY),
        cron_schedule=f"0 {settings.daily_hour} * * *",
        execution_timezone=settings.timezone,
        description=(
            f"Loads yesterday, and reloads the {settings.lookback_days} days before it to include late rows, "
            "in one run."
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
        name=name_of(settings, "train_schedule"),
        job_name=name_of(settings, MODELS),
        cron_schedule=f"40 {settings.daily_hour} * * *",
        execution_timezone=settings.timezone,
        description=f"Trains the models that are due. Skips weeks in which no model is due. {_EVERY_DAY}",
    )
    def train(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = weeks.get_partition_keys(current_time=context.scheduled_execution_time)
        reason = _nothing_newer(keys, context.scheduled_execution_time, timedelta(days=7), settings)
        key = None if reason else _newly_due(keys, settings)
        reason = _waits_for_days(keys[-1], settings) if key else reason
        if key and not reason:
            return dg.RunRequest(run_key=f"train {key}", partition_key=key)
        return dg.SkipReason(
            reason
            or f"no model is due at {snapshot_label(keys[-1], settings.end_date)}; "
            f"models are trained every {settings.train_every_weeks} weeks"
        )

    snapshot = _weekly_schedule(
        settings,
        "snapshot_schedule",
        SNAPSHOTS,
        30,
        "Builds the snapshot of the previous week.",
        "snapshot",
    )
    score = _weekly_schedule(
        settings,
        "score_schedule",
        SCORES,
        50,
        "Scores the snapshot of the previous week.",
        "scores",
    )
    return [daily, snapshot, train, score]


def _weekly_schedule(
    settings: Settings, name: str, job: str, minute: int, description: str, run_key: str
) -> dg.ScheduleDefinition:
    """Return a schedule that runs a job once for the previous week, as soon as all of its days are loaded."""
    weeks = snapshot_partitions(settings)

    @dg.schedule(
        name=name_of(settings, name),
        job_name=name_of(settings, job),
        cron_schedule=f"{minute} {settings.daily_hour} * * *",
        execution_timezone=settings.timezone,
        description=f"{description} {_EVERY_DAY}",
    )
    def weekly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = weeks.get_partition_keys(current_time=context.scheduled_execution_time)
        reason = _nothing_newer(keys, context.scheduled_execution_time, timedelta(days=7), settings)
        reason = reason or _waits_for_days(keys[-1], settings)
        if reason:
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"{run_key} {keys[-1]}", partition_key=keys[-1])

    return weekly


def _newly_due(keys: Sequence[str], settings: Settings) -> str | None:
    """Return the training snapshot that became due with the newest week, or None."""
    now, before = training_keys(keys, settings), training_keys(keys[:-1], settings)
    return now[-1] if now and now[-1:] != before[-1:] else None


def _waits_for_days(key: str, settings: Settings) -> str | None:
    """Return why a snapshot has to wait for its days; None if they are loaded, or if nothing is loaded at all."""
    data_end = read_in_tick(settings, "schedules", loaded_end, None)
    if isinstance(data_end, dg.SkipReason):
        return data_end.skip_message
    return (why_waiting(key, data_end, settings) or None) if data_end else None


def _nothing_newer(keys: Sequence[str], tick: datetime, length: timedelta, settings: Settings) -> str | None:
    """Return the reason to skip a tick if no partition has ended since the previous tick, else None."""
    if not keys:
        return f"the shop's history starts on {settings.start_date}: no partition has ended yet"
    ended = datetime.fromisoformat(keys[-1]).replace(tzinfo=settings.zone) + length
    if tick - ended >= length:
        newest = keys[-1] if length == timedelta(days=1) else snapshot_label(keys[-1], settings.end_date)
        return (
            f"there is no partition after {newest}: the shop's history ends on {settings.end_date} "
            "(setting CLM_END_DATE)"
        )
    return None
