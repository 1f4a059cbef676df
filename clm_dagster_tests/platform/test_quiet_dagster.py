"""What Dagster writes to stderr past the loggers."""

import inspect
import sys

import pytest
from dagster._core.instance import types
from dagster._core.instance.methods import event_methods

from clm_dagster.platform.quiet_dagster import LEFT_OUT, without_event_log_lines


def test_lines_about_a_failing_event_log_are_left_out_and_others_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sys.stderr
    with without_event_log_lines():
        for text in LEFT_OUT:
            sys.stderr.write(f"{text}: database or disk is full\n(Background on this error at: ...)\n")
        print("one line", file=sys.stderr)
        assert not sys.stderr.isatty()
    assert sys.stderr is before and capsys.readouterr().err == "one line\n"


def test_dagster_still_writes_these_lines() -> None:
    source = inspect.getsource(types) + inspect.getsource(event_methods)
    assert all(text in source for text in LEFT_OUT)
