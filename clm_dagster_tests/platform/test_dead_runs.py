"""Runs of Dagster whose processes were killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX

from clm_dagster.platform.processes import OLD_OWNER, OWNER, ProcessIdentity
from clm_dagster.platform.runs import close_dead_runs
from clm_dagster.settings import PROJECT_DIR

# Is killed as soon as the run is stored, before it starts.
KILLED = """
import os, signal
import dagster as dg
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from clm_dagster.platform.runs import execute

stored = SqlRunStorage.add_run

def add_run(self, run):
    stored(self, run)
    os.kill(os.getpid(), signal.SIGKILL)

@dg.asset
def one() -> None: ...

SqlRunStorage.add_run = add_run
with dg.DagsterInstance.get() as instance:
    execute(dg.Definitions([one], jobs=[dg.define_asset_job("job")]), instance, "job", None, print)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


def test_a_run_that_was_killed_before_it_started_is_closed(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=PROJECT_DIR, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.NOT_STARTED
        assert close_dead_runs(instance) == [run.run_id]
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert close_dead_runs(instance) == []


def test_runs_of_living_and_of_unknown_processes_stay(instance: dg.DagsterInstance) -> None:
    @dg.job
    def job() -> None: ...

    own = ProcessIdentity.own()
    elsewhere = ProcessIdentity("elsewhere", 1, "once").tags(OWNER)
    kept: list[dict[str, str]] = [own.tags(OWNER), elsewhere, {}, {f"{OLD_OWNER}pid": str(os.getpid())}]
    for tags in kept:
        instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert close_dead_runs(instance) == []
    # An id that this process has now, and another one had before.
    for prefix in (OWNER, OLD_OWNER):
        reused = ProcessIdentity(own.host, own.pid, "before").tags(prefix)
        dead = instance.create_run_for_job(job, tags=reused, status=dg.DagsterRunStatus.NOT_STARTED)
        assert close_dead_runs(instance) == [dead.run_id]


def test_the_ui_does_not_show_which_process_executes_a_run() -> None:
    tags = ProcessIdentity.own().tags(OWNER)
    assert tags and all(tag.startswith(HIDDEN_TAG_PREFIX) for tag in tags)
