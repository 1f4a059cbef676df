"""Schedules of the platform's jobs.

Belongs here: when a job runs. Does not: what a tick requests, and when it is skipped (`due_runs`), which assets a job
selects (`jobs`), the sensors of a domain.
"""

import dagster as dg

from clm_dagster.platform.due_runs import DueRuns
from clm_dagster.platform.job_names import DAILY, MODELS, SCORES, SNAPSHOTS
from clm_dagster.platform.naming import name_of

# A job that waits for another one, or that failed, is tried again on the same day.
_EVERY_HOUR = "Looks every hour; what is missing or out of date is due, however old."


def build_schedules(due: DueRuns) -> list[dg.ScheduleDefinition]:
    """Return the schedules of the jobs. They are stopped until a user starts them."""
    settings = due.settings
    hour = settings.daily_hour
    hours = f"{hour}-23" if hour < 23 else "23"
    return [
        _schedule(
            due,
            "daily_schedule",
            DAILY,
            f"0 {hour} * * *",
            f"Loads yesterday, reloads the {settings.lookback_days} days before it to include late rows, and loads "
            f"what is missing or out of date, oldest first, up to {settings.catch_up_days} days in one run.",
            lookback=True,
        ),
        _schedule(
            due,
            "snapshot_schedule",
            SNAPSHOTS,
            f"30 {hours} * * *",
            f"Builds the snapshots that are due as soon as all their days are loaded. {_EVERY_HOUR}",
        ),
        _schedule(
            due,
            "train_schedule",
            MODELS,
            f"40 {hours} * * *",
            f"Trains the models that are due, one snapshot at a time. {_EVERY_HOUR}",
        ),
        _schedule(
            due,
            "score_schedule",
            SCORES,
            f"50 {hours} * * *",
            f"Scores the newest snapshots, and past ones that grade the models. {_EVERY_HOUR}",
        ),
    ]


def _schedule(
    due: DueRuns, name: str, job: str, cron: str, description: str, lookback: bool = False
) -> dg.ScheduleDefinition:
    settings = due.settings

    @dg.schedule(
        name=name_of(settings, name),
        job_name=name_of(settings, job),
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        description=description,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        at = context.scheduled_execution_time
        found = due.request(context.instance, name_of(settings, name), job, at, lookback)
        return found if isinstance(found, dg.RunRequest) else dg.SkipReason(found.reason)

    return tick
