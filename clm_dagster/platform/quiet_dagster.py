"""Dagster's own lines about its event log, which it writes to stderr past every logger.

Belongs here: leaving them out. Does not: the error itself, which is raised and shown with what to do (`failures`).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO, cast

# Each begins a text that Dagster writes at once. The first two contain the error, which is raised too, or the events
# are stored one by one after it.
LEFT_OUT = (
    "Exception while writing logger call to event log",
    "Exception while storing event batch",
    "Falling back to storing multiple single-event storage requests",
)


class _Filter:
    """A stream that leaves out what Dagster writes about its event log, and is the other stream in all else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith(LEFT_OUT) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def without_event_log_lines() -> Iterator[None]:
    """Leave out what Dagster writes to stderr about its event log, such as on a full disk."""
    with redirect_stderr(cast(TextIO, _Filter(sys.stderr))):
        yield
