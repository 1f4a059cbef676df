"""Error messages of failed runs, for the terminal and for alerts.

Belongs here: the messages. Does not: running jobs (`runs`), telling people (`alerts`).
"""

from collections.abc import Sequence

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from clm_dagster.errors import user_error_names

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
