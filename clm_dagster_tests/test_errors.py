"""Errors that a user can fix: one base class, one message, no traceback."""

import errno
import stat
from pathlib import Path

import dagster as dg
import pytest

from clm_dagster import cli
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.errors import UserError, user_error_names
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.duckdb_files import WarehouseBusyError
from clm_dagster.platform.failures import step_errors
from clm_dagster.platform.runs import RunFailedError
from clm_dagster.platform.tracking import TrackingError
from clm_dagster.settings import SettingsError
from clm_dagster.simulate.shop import SimulationError
from clm_dagster.statistics.btyd import FitError, HistoryError
from clm_dagster.statistics.evaluation import EvaluationError


@pytest.mark.parametrize(
    "kind",
    [
        EvaluationError,
        FitError,
        HistoryError,
        InputError,
        ProjectError,
        RunFailedError,
        SettingsError,
        SimulationError,
        TrackingError,
        WarehouseBusyError,
    ],
)
def test_the_command_line_shows_only_the_message(
    kind: type[UserError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise kind("the file is empty; expected rows")

    monkeypatch.setattr(cli, "cli", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert "clm cannot go on" in shown and "the file is empty; expected rows" in shown
    assert kind.__name__ in user_error_names()


def test_any_other_error_is_a_message_and_its_traceback_is_kept_in_a_private_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by [/zero]")  # no markup

    monkeypatch.setattr(cli, "cli", fail)
    monkeypatch.setenv("CLM_DATA_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: by [/zero]" in shown and "Traceback (most" not in shown
    (report,) = tmp_path.glob("clm-error-*.txt")
    assert "Traceback (most recent call last)" in report.read_text() and "def fail" not in report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_a_full_disk_is_a_message_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr(cli, "cli", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert "The disk is full" in shown and "Traceback" not in shown


@pytest.mark.parametrize(
    ("error", "message"), [(InputError("no rows"), "no rows"), (ValueError("no rows"), "ValueError: no rows")]
)
def test_a_failed_step_reports_the_cause(
    error: Exception, message: str, instance: dg.DagsterInstance
) -> None:
    @dg.op
    def load() -> None:
        raise error

    @dg.job
    def failing() -> None:
        load()

    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    assert step_errors(result.all_events) == [f"load: {message}"]


def raised_from(outer: Exception, inner: Exception) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            raised_from(TrackingError("version 1 is not in the store; train it again"), ValueError("''")),
            "version 1 is not in the store; train it again (ValueError: '')",
        ),
        (
            raised_from(InputError("orders.csv cannot be read"), InputError("no column event_id")),
            "orders.csv cannot be read (no column event_id)",
        ),
        (
            raised_from(
                InputError("orders.csv cannot be read"),
                raised_from(OSError("cannot open"), KeyError("sheet")),
            ),
            "orders.csv cannot be read (KeyError: 'sheet')",
        ),
        (
            raised_from(InputError("orders.csv: no column event_id"), KeyError("no column event_id")),
            "orders.csv: no column event_id (KeyError: 'no column event_id')",
        ),
        (raised_from(InputError("it is full: disk"), OSError("disk")), "it is full: disk"),
        (raised_from(InputError("stopped"), OSError("locked\n[SQL: select 1]")), "stopped (OSError: locked)"),
        (raised_from(RuntimeError("wrapped"), InputError("no rows")), "no rows"),
        (raised_from(RuntimeError("wrapped"), OSError("no rows")), "OSError: no rows"),
    ],
)
def test_the_outermost_error_for_people_is_shown_with_its_cause(
    error: Exception, message: str, instance: dg.DagsterInstance
) -> None:
    test_a_failed_step_reports_the_cause(error, message, instance)
