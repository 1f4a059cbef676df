"""Error messages of failed runs, for the terminal and for the webhook.

Belongs here: the messages, and the sensor that posts them. Does not: running jobs (`runs`).
"""

import json
import urllib.request
from collections.abc import Sequence

import dagster as dg

from clm_dagster.errors import user_error_names
from clm_dagster.platform.job_names import RANGE_START
from clm_dagster.platform.naming import is_own_run, name_of
from clm_dagster.settings import Settings


def step_errors(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """Return one line per failed step: its asset and the root cause of the failure."""
    return [
        f"{(event.step_key or '').replace('__', '/')}: {_cause(event)}"
        for event in events
        if event.event_type == dg.DagsterEventType.STEP_FAILURE
    ]


def _cause(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    if error is None:
        return event.message or "no message"
    while error.cause:
        error = error.cause
    text = error.message.strip()
    # Drop the class name of user errors (`package.module.InputError: message` -> `message`), keep all others.
    return text.split(": ", 1)[-1] if error.cls_name in user_error_names() else text


def failure_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that posts every failed run to the webhook."""

    @dg.run_failure_sensor(
        name=name_of(settings, "failed_runs"),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=settings.sensor_seconds,
        description="Posts failed runs to the webhook CLM_WEBHOOK_URL, if it is set.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        if not settings.webhook_url:
            return dg.SkipReason("no webhook: the setting CLM_WEBHOOK_URL is empty")
        if not is_own_run(settings, context.dagster_run):
            return dg.SkipReason("the run is of another shop")
        post(settings.webhook_url, failure_message(context))
        return None

    return failed_runs


def failure_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """Return the JSON to post: `text` for chat programs, and the details as fields."""
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
    """Post a message as JSON. Raise OSError if that fails, so that the sensor's tick shows the error."""
    request = urllib.request.Request(
        url, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10):
        pass
