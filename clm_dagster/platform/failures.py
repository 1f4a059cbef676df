"""Error messages of failed runs, for the terminal and for the webhook.

Belongs here: the messages, and the sensor that posts them. Does not: running jobs (`runs`).
"""

import json
import urllib.request
from collections.abc import Sequence

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from clm_dagster.errors import user_error_names
from clm_dagster.platform.job_names import RANGE_START
from clm_dagster.platform.naming import is_own_run, name_of
from clm_dagster.settings import Settings

# Messages of databases go on with the statement and a link.
_MAX_ROOT_CAUSE = 300


def step_errors(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """Return one entry per failed step: its asset and why it failed."""
    return [
        f"{(event.step_key or '').replace('__', '/')}: {_cause(event)}"
        for event in events
        if event.event_type == dg.DagsterEventType.STEP_FAILURE
    ]


def _cause(event: dg.DagsterEvent) -> str:
    """Return the message that helps most: of the outermost error for people, else of the root cause."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    if data.error is None:
        return event.message or "no message"
    errors = [data.error]
    while errors[-1].cause:
        errors.append(errors[-1].cause)
    for_people = next((error for error in errors if _is_for_people(error)), None)
    if for_people is None:
        return _text(errors[-1])
    root = (_text(errors[-1]).splitlines() or [""])[0][:_MAX_ROOT_CAUSE]
    text = _text(for_people)
    # Some messages quote their cause themselves, without the name of its class.
    is_quoted = root.split(": ", 1)[-1] in text
    return text if is_quoted else f"{text} ({root})"


def _is_for_people(error: SerializableErrorInfo) -> bool:
    return error.cls_name in user_error_names()


def _text(error: SerializableErrorInfo) -> str:
    """Return the message of an error, without the class name (`package.module.InputError: `) if it is for people."""
    text = error.message.strip()
    return text.split(": ", 1)[-1] if _is_for_people(error) else text


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
