"""`clm run` and other runs of the shop: who waits for whom, with which message, and what a kill leaves behind."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from clm_dagster.platform import run_queue
from clm_dagster.platform.code_location import job_origin
from clm_dagster.platform.due_runs import Waiting
from clm_dagster.platform.job_names import DAILY
from clm_dagster.platform.processes import OWNER, ProcessIdentity
from clm_dagster.platform.runs import open_instance
from clm_dagster.platform.whole_run import ShopBusyError, wait_for_runs, whole_run
from clm_dagster.settings import PROJECT_DIR, Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.platform.due import LandedDays, at, due_runs, finish
from clm_dagster_tests.shops import quiet, small_shop_events, write_shop

HOLDS = """
import sys
from pathlib import Path
from clm_dagster.platform.whole_run import whole_run
from clm_dagster.settings import load_settings

with whole_run(load_settings(source="generic", data_dir=Path(sys.argv[1])), print):
    print("has it", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None, lock_timeout=1)


@contextmanager
def other_process(settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the shop as `clm run` does."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(settings.data_dir)],
        cwd=PROJECT_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "has it\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_ticks_and_a_second_run_wait_for_a_run_of_the_terminal_and_survive_its_kill(
    live: Settings, instance: dg.DagsterInstance
) -> None:
    due, said = due_runs(live, LandedDays(20)), list[str]()
    with other_process(live) as process:
        waiting = due.request(instance, "d", DAILY, at(live, "2024-01-21"))
        assert isinstance(waiting, Waiting) and not waiting.is_settled
        assert f"the `clm run` of process {process.pid} (since " in waiting.reason
        assert waiting.reason.endswith(" is going on")
        with (
            pytest.raises(ShopBusyError, match=rf"process {process.pid} .*CLM_LOCK_TIMEOUT"),
            whole_run(live, said.append),
        ):
            pytest.fail("two at once")
        assert len(said) == 1 and "Waiting for the `clm run` of process" in said[0]
        process.send_signal(signal.SIGKILL)
        process.wait()
        with whole_run(live, said.append):
            pass
        assert len(said) == 1
    assert isinstance(due.request(instance, "d", DAILY, at(live, "2024-01-21")), dg.RunRequest)


def test_a_second_run_goes_on_as_soon_as_the_first_has_ended(
    settings_for: Callable[..., Settings],
) -> None:
    settings, said = settings_for(), list[str]()
    with other_process(settings) as process:

        def say(text: str) -> None:
            said.append(text)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

        with whole_run(settings, say):
            assert process.wait(timeout=60) == 0
    assert len(said) == 1


def test_a_tick_never_stops_another_tick(live: Settings, instance: dg.DagsterInstance) -> None:
    live.data_dir.mkdir(parents=True)
    due, found = due_runs(live, LandedDays(20)), list[object]()
    names = [f"tick {number}" for number in range(8)]
    threads = [
        threading.Thread(target=lambda by=by: found.append(due._why_taken(instance, DAILY, by)))
        for by in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One of them has the claim, and the others name it.
    assert sorted(bool(reason) for reason in found) == [False, *[True] * 7]
    assert all("has just requested" in str(reason) for reason in found if reason)


@pytest.mark.parametrize("name", ["daily", "models", "__ASSET_JOB"])
def test_it_waits_for_an_unfinished_run(live: Settings, instance: dg.DagsterInstance, name: str) -> None:
    said: list[str] = []
    run = finish(instance, dg.RunRequest(), dg.DagsterRunStatus.STARTED, name)
    with pytest.raises(ShopBusyError) as raised:
        wait_for_runs(live, instance, said.append)
    assert f"waited 1 s for the run {run.run_id} ({name}), which is started" in str(raised.value)
    assert "terminate it in the UI" in str(raised.value)
    assert said == [f"Waiting for the run {run.run_id} ({name}), which is started, up to 1 s."]
    instance.report_run_canceled(run)
    assert wait_for_runs(live, instance, said.append) == [] and len(said) == 1


def test_it_goes_on_when_the_run_ends_or_its_process_is_killed(
    settings_for: Callable[..., Settings], instance: dg.DagsterInstance
) -> None:
    run = finish(instance, dg.RunRequest(), dg.DagsterRunStatus.STARTED)

    def fail(said: str) -> None:
        instance.report_run_failed(run)

    assert wait_for_runs(settings_for(), instance, fail) == []
    run = finish(instance, dg.RunRequest(), dg.DagsterRunStatus.STARTED)
    gone = ProcessIdentity(ProcessIdentity.own().host, 4_194_305, "before").tags(OWNER)
    closed = wait_for_runs(settings_for(), instance, lambda text: instance.add_run_tags(run.run_id, gone))
    assert closed == [run.run_id]


def test_a_queued_run_says_what_starts_it_and_stops_nobody_for_ever(
    live: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.job
    def daily() -> None: ...

    run = instance.create_run_for_job(
        daily, status=dg.DagsterRunStatus.QUEUED, remote_job_origin=job_origin("daily")
    )
    with pytest.raises(ShopBusyError, match=rf"{run.run_id} .*queued.*`clm dev`"):
        wait_for_runs(live, instance, print)
    # An hour later, without Dagster's daemon.
    monkeypatch.setattr(run_queue, "_START", timedelta(0))
    assert wait_for_runs(live, instance, print) == []


def test_it_waits_for_what_a_tick_has_just_requested(live: Settings, instance: dg.DagsterInstance) -> None:
    due = due_runs(live, LandedDays(20))
    request = due.request(instance, "daily_schedule", DAILY, at(live, "2024-01-21"))
    with pytest.raises(ShopBusyError, match="the run that daily_schedule has just requested"):
        wait_for_runs(live, instance, print)
    finish(instance, request)
    assert wait_for_runs(live, instance, print) == []


def test_both_wait_between_two_runs_of_a_backfill(live: Settings, instance: dg.DagsterInstance) -> None:
    backfill = PartitionBackfill(
        backfill_id="abcdefgh",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=at(live, "2124-01-21").timestamp(),
        asset_selection=[dg.AssetKey(["raw", "events"])],
        reexecution_steps=None,
        serialized_asset_backfill_data=None,
    )
    instance.add_backfill(backfill)
    due = due_runs(live, LandedDays(20))
    assert due.request(instance, "d", DAILY, at(live, "2024-01-21")) == Waiting(
        "the backfill abcdefgh is not finished", is_settled=False
    )
    with pytest.raises(ShopBusyError, match=r"the backfill abcdefgh.*cancel it in the UI"):
        wait_for_runs(live, instance, print)
    instance.update_backfill(backfill._replace(status=BulkActionStatus.COMPLETED_SUCCESS))
    assert isinstance(due.request(instance, "d", DAILY, at(live, "2024-01-21")), dg.RunRequest)
    # An old one that no daemon drives any more stops nobody.
    instance.add_backfill(
        backfill._replace(backfill_id="old", backfill_timestamp=at(live, "2024-01-21").timestamp())
    )
    assert isinstance(due.request(instance, "d", DAILY, at(live, "2024-01-21")), dg.RunRequest)


@pytest.mark.slow
def test_a_whole_run_waits_for_a_run_of_the_ui_and_holds_off_ticks_between_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    settings = write_shop(tmp_path, small_shop_events(6, 10, days=8), "2024-01-09")
    due, reasons = due_runs(settings, LandedDays(8)), list[str]()
    with open_instance(settings) as instance:
        run = finish(instance, dg.RunRequest(), dg.DagsterRunStatus.STARTED, "__ASSET_JOB")

        def begin(title: str, total: int) -> Callable[[str, int], None]:
            found: list[object] = []
            # As Dagster's daemon does: in another thread, here between two runs.
            tick = threading.Thread(
                target=lambda: found.append(due.request(instance, "d", DAILY, at(settings, "2024-01-21")))
            )
            tick.start()
            tick.join()
            (waiting,) = found
            assert isinstance(waiting, Waiting)
            reasons.append(waiting.reason)
            return quiet(title, total)

        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            instance.report_run_canceled(run)

        done = run_shop(settings, begin, say)
    assert [each.job for each in done.runs] == ["land", "daily", "snapshots"]
    assert said[0].startswith(f"Waiting for the run {run.run_id} (__ASSET_JOB)")
    assert len(reasons) == 3 and all("`clm run`" in reason and "is going on" in reason for reason in reasons)
