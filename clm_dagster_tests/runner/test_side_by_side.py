"""Runs side by side: independent groups, the same tables as in one process, signals, killed workers."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from clm_dagster.platform.resources import warehouse_of
from clm_dagster.runner.side_by_side import independent_groups
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.platform.test_interrupts import start_run, statuses
from clm_dagster_tests.platform.test_processes import environment
from clm_dagster_tests.shops import quiet
from clm_dagster_tests.test_small_shops import once


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_the_connected_components(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 12))
    edges = [(i, int(rng.integers(0, i))) for i in range(1, size) if rng.random() < 0.5]
    names = [f"t{i}" for i in range(size)]
    reads: dict[str, set[str]] = {name: {"core.customer_daily"} for name in names}
    for reader, read in edges:
        reads[names[reader]].add(names[read])
    first, second = np.array([*zip(*edges, strict=True)] or [(), ()], dtype=int)
    count, labels = connected_components(
        coo_array((np.ones(len(edges)), (first, second)), shape=(size, size)), directed=False
    )
    expected = {frozenset(names[i] for i in np.flatnonzero(labels == label)) for label in range(count)}
    assert {frozenset(group) for group in independent_groups(reads)} == expected


MARTS = (
    "select table_schema || '.' || table_name from information_schema.tables "
    "where table_schema in ('marts', 'core') order by 1"
)
# Of a training: its run in MLflow, and how long it took.
PROCESS_COLUMNS = ("mlflow_run_id", "model_uri", "seconds")


@pytest.mark.slow
def test_two_processes_make_the_tables_of_one(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path], tmp_path: Path
) -> None:
    events = once()
    write_inbox(events)
    end = pd.to_datetime(events["event_at"]).max().date() + timedelta(days=1)
    found: list[dict[str, pd.DataFrame]] = []
    for processes in (1, 2):
        settings = settings_for(
            end_date=end.isoformat(),
            data_dir=tmp_path / f"data{processes}",
            processes=processes,
            train_count=1,
            score_count=2,
        )
        report = run_shop(settings, quiet)
        assert not report.left_out
        with warehouse_of(settings).connect("a test") as connection:
            tables = {
                name: connection.frame(f"select * from {name} order by all")
                for (name,) in connection.execute(MARTS)
            }
        found.append(tables)
        assert run_shop(settings, quiet).is_up_to_date
    one, two = found
    assert one.keys() == two.keys() and len(one) > 40
    for name, frame in one.items():
        dropped = [column for column in PROCESS_COLUMNS if column in frame]
        pd.testing.assert_frame_equal(frame.drop(columns=dropped), two[name].drop(columns=dropped), obj=name)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_is_stopped_ends_the_run_with_a_message(number: signal.Signals, tmp_path: Path) -> None:
    """SIGTERM goes to the command, which stops its workers; SIGKILL to a worker, as where memory is short."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    once().to_csv(inbox / "events.csv", index=False)
    variables = environment(tmp_path / "data", inbox)
    process = start_run(variables | {"CLM_TRAIN_COUNT": "1", "CLM_PROCESSES": "2", "PYTHONFAULTHANDLER": "1"})
    history = tmp_path / "data" / "dagster" / "history" / "runs.db"
    workers: list[int] = []
    # Workers are forked after the run has started.
    while process.poll() is None and (statuses(history).get("models") != "STARTED" or len(workers) < 2):
        time.sleep(0.05)
        workers = children(process.pid)
    assert len(workers) == 2, output_of(process, timeout=240)
    os.kill(process.pid if number == signal.SIGTERM else workers[0], number)
    output = output_of(process, timeout=240)
    assert "Traceback" not in output
    if number == signal.SIGTERM:
        assert process.returncode == 130, output
        assert "clm was stopped" in output
        assert "STARTED" not in statuses(history).values()
    else:
        assert process.returncode == 1, output
        assert "was killed by signal 9" in output and "CLM_PROCESSES=1" in output
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def output_of(process: subprocess.Popen[str], timeout: float) -> str:
    """Return the output of a command that has to end. If it does not, fail with the stacks of its processes."""
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        listed = subprocess.run(
            ["ps", "-eo", "pid,ppid,stat,etimes,args"], capture_output=True, text=True, check=True
        )
        family = [process.pid]
        lines = {int(line.split()[0]): line for line in listed.stdout.splitlines()[1:]}
        for pid, line in lines.items():
            if int(line.split()[1]) in family:
                family.append(pid)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)  # faulthandler prints the stacks
        output, _ = process.communicate(timeout=timeout)
        pytest.fail("\n".join([output, *(line for line in lines.values() if "multiprocessing" in line)]))


def children(pid: int) -> list[int]:
    """Return the worker processes of a command: those forked from the process that imports."""
    commands = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = path.read_text().rpartition(") ")
        except OSError:  # ended meanwhile
            continue
        commands[int(path.parent.name)] = int(rest.split()[1])
    first = [child for child, parent in commands.items() if parent == pid]
    return sorted(child for child, parent in commands.items() if parent in first)
