"""What a failed step says, in words for a person: for the terminal and for the webhook alike."""

from collections.abc import Sequence

import dagster as dg

# Errors whose message says all there is to say; the others keep the name of their class.
_FOR_PEOPLE = {"InputError", "ProjectError", "SettingsError", "TrackingError", "WarehouseBusyError"}


def step_errors(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """One line for each failed step: its asset, and the first cause of its failure."""
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
    # `package.module.InputError: what is wrong` -> what is wrong
    return text.split(": ", 1)[-1] if error.cls_name in _FOR_PEOPLE else text
