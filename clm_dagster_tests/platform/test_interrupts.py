"""Ctrl-C and SIGTERM: noticed whatever the handler does, and a run that is stopped within seconds."""

import os
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from clm_dagster.platform.interrupts import ReceivedSignals
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.platform.test_processes import environment, script
from clm_dagster_tests.shops import small_shop_events


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noticed_whatever_its_handler_does(number: signal.Signals) -> None:
    before = signal.signal(number, lambda *_: None)
    try:
        signals = ReceivedSignals()
        assert not signals.received()
        os.kill(os.getpid(), number)
        assert signals.received()
        assert signals.received()
        assert signals.close()
        assert not ReceivedSignals().close()
    finally:
        signal.signal(number, before)


def test_other_signals_stop_nothing() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        signals = ReceivedSignals()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not signals.close()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_thread_notices_nothing_and_does_not_fail() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(ReceivedSignals().close()))
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_cancelled_and_the_next_one_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    small_shop_events(days=21).to_csv(inbox / "events.csv", index=False)
    variables = environment(tmp_path / "data", inbox)
    history = tmp_path / "data" / "dagster" / "history" / "runs.db"
    process = start_run(variables)
    while process.poll() is None and not statuses(history).get("daily"):
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "clm was stopped" in output
    assert "Traceback" not in output
    assert statuses(history)["daily"] == "CANCELED"
    done = subprocess.run(
        [script("clm"), "run"], cwd=PROJECT_DIR, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert statuses(history)["daily"] == "SUCCESS"


def start_run(variables: dict[str, str]) -> subprocess.Popen[str]:
    """Start `clm run` in a process of its own, with one stream of output."""
    return subprocess.Popen(
        [script("clm"), "run"],
        cwd=PROJECT_DIR,
        env=variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def statuses(history: Path) -> dict[str, str]:
    """Return the status of the newest run of each job."""
    if not history.exists():
        return {}
    connection = sqlite3.connect(f"file:{history}?mode=ro", uri=True)
    try:
        return dict(connection.execute("select pipeline_name, status from runs order by id").fetchall())
    except sqlite3.OperationalError:  # Dagster is creating the file
        return {}
    finally:
        connection.close()
