"""Schedules: when the platform's jobs run.

Belongs here: ticks, and why one has nothing to do. Does not: what a job holds (`jobs`), sensors of a domain.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import dagster as dg

from clm_dagster.platform.build_ledger.staleness import training_keys
from clm_dagster.platform.job_names import DAILY, MODELS, SCORES, SNAPSHOTS, range_tags
from clm_dagster.platform.partitions import daily_partitions, snapshot_partitions
from clm_dagster.settings import Settings


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
