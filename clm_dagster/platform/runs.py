"""Execution of jobs in this process as Dagster runs, with progress and readable errors.

Belongs here: the Dagster instance, and a single run. Does not: which runs are needed (`shop_run`).
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource
from filelock import FileLock

from clm_dagster.errors import StoppedError, UserError
from clm_dagster.platform.code_location import job_origin, origin_tags
from clm_dagster.platform.failures import step_errors
from clm_dagster.platform.interrupts import ReceivedSignals
from clm_dagster.platform.job_names import range_tags
from clm_dagster.platform.processes import OLD_OWNER, OWNER, ProcessIdentity, is_running
from clm_dagster.platform.quiet_dagster import without_event_log_lines
from clm_dagster.settings import Settings
from clm_dagster.storage import make_private, remedy, write_atomically

_DAGSTER_YAML = """\
# Created by clm_dagster and never overwritten; edit it as needed.
telemetry:
  enabled: false
# No dialog about a newsletter at the first look at the UI.
nux:
  enabled: false
# Dagster's SQLite files, with one transaction for the events of many partitions. Remove it for Dagster's own storage.
event_log_storage:
  module: clm_dagster.platform.event_log
  class: BatchedSqliteEventLogStorage
  config: {}
# Where CLM_EXECUTOR gives each step a process of its own: one step writes the warehouse, the next one's process starts.
concurrency:
  pools:
    default_limit: 2
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days:
      skipped: 3
      failure: 30
      success: 30
"""
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Called with the key of a step and the number of its finished partitions.
Progress = Callable[[str, int], None]
# Starts a progress bar: called with a title and the expected number of materializations.
Begin = Callable[[str, int], Progress]


class RunFailedError(UserError, RuntimeError):
    """A Dagster run failed. The message contains the errors of its steps."""


@dataclass(frozen=True)
class Run:
    """A successful run, and the number of partitions that it materialized."""

    job: str
    run_id: str
    materialized: int


def home_of(settings: Settings) -> Path:
    """Return the DAGSTER_HOME of a shop: its own, or with a prefix the one that is set, that of its deployment."""
    shared = os.environ.get("DAGSTER_HOME") if settings.asset_prefix else None
    return Path(shared).expanduser().resolve() if shared else settings.dagster_home


def prepare_home(settings: Settings) -> Path:
    """Create DAGSTER_HOME in the data folder and set it for this process, without telemetry.

    A shop with a prefix takes the DAGSTER_HOME that is set, that of its deployment, whose UI then shows its runs.
    """
    home = home_of(settings)
    make_private(settings.data_dir.resolve())
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        write_atomically(config, _DAGSTER_YAML)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")
    return home


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Prepare DAGSTER_HOME and open its instance, with all tables of its stores.

    Processes that open a new store at the same time would all create its tables, and all but the first would fail. So
    one process at a time opens them.
    """
    home = prepare_home(settings)
    with ExitStack() as opened:
        with FileLock(home / ".opening.lock"):
            instance = opened.enter_context(dg.DagsterInstance.get())
            # Each query creates the tables of its store.
            instance.get_runs(limit=1)
            instance.all_asset_keys()
            instance.all_instigator_state()
        yield instance


def close_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process was killed, so that the UI does not show them as running forever.

    Runs of other hosts, which may share this Dagster, stay as they are.
    """
    closed = []
    unfinished = dg.RunsFilter(statuses=UNFINISHED)
    for run in instance.get_runs(unfinished):
        if is_dead(run):
            pid = run.tags.get(f"{OWNER}pid") or run.tags[f"{OLD_OWNER}pid"]
            instance.report_run_failed(run, f"process {pid} was killed before the run ended")
            if instance.event_log_storage.supports_global_concurrency_limits:
                # Dagster itself leaves them taken, so that every later step of the pool would wait forever.
                instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
    return closed


def is_dead(run: dg.DagsterRun) -> bool:
    """Whether the process of a run certainly is gone."""
    owner = ProcessIdentity.of_tags(run.tags, OWNER) or ProcessIdentity.of_tags(run.tags, OLD_OWNER)
    if owner is not None:
        return owner.is_gone()
    pid = run.tags.get(f"{OLD_OWNER}pid", "")
    return pid.isdigit() and not is_running(int(pid))


def execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    keys: tuple[str, str] | None,
    progress: Progress,
    only: Sequence[dg.AssetKey] = (),
    partition: str | None = None,
    config: Mapping[str, object] | None = None,
) -> Run:
    """Run a job, over a range of partitions, one partition, or unpartitioned. Raise RunFailedError, StoppedError.

    Ctrl-C and SIGTERM interrupt the step and close the run as cancelled.

    only: the assets to run; all assets of the job where it is empty. config: of steps, by name; Dagster stores it.
    """
    run_id = str(uuid4())
    done: dict[str, int] = {}
    interrupted: list[str] = []
    stores = _SqliteKeepAlive(Path(os.environ["DAGSTER_HOME"]) / "history")
    signals = ReceivedSignals()

    def listen(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event_type == dg.DagsterEventType.PIPELINE_START:
            _note_origin(instance, run_id)
        stores.open("runs.db", "runs/index.db", f"runs/{run_id}.db")
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        is_interrupted = _is_interrupted(event)
        if not interrupted and (is_interrupted or signals.received()):
            # Dagster closes a run that is interrupted as cancelled if it is being cancelled, else as failed.
            run = instance.get_run_by_id(run_id)
            assert run is not None
            instance.report_run_canceling(run)
            interrupted.append(event.step_key.replace("__", "/"))
            if not is_interrupted:
                raise KeyboardInterrupt  # Dagster has lost the signal
        own = event.asset_key is not None and "__".join(event.asset_key.path) == event.step_key
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and own:
            done[event.step_key] = done.get(event.step_key, 0) + 1
        elif event.event_type != dg.DagsterEventType.STEP_START:
            return  # additional rows that a training writes to other tables do not count as progress
        progress(event.step_key.replace("__", "/"), done.get(event.step_key, 0))

    instance.add_event_listener(run_id, listen)
    tags = ProcessIdentity.own().tags(OWNER) | origin_tags() | (range_tags(*keys) if keys else {})
    try:
        with without_event_log_lines():
            result = definitions.resolve_job_def(job).execute_in_process(
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": {step: {"config": values} for step, values in (config or {}).items()},
                },
                partition_key=partition,
                instance=instance,
                tags=tags,
                run_id=run_id,
                raise_on_error=False,
                asset_selection=list(only) or None,
            )
    except KeyboardInterrupt:  # while Dagster prepares or closes the run
        run = instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            instance.report_run_canceled(run)
        interrupted.append(job)
    finally:
        stores.close()
        late = signals.close()
    if interrupted or late:
        place = f"at {interrupted[0]}" if interrupted else f"after {job}"
        raise StoppedError(f"stopped {place}. What is finished is kept; `clm run` goes on with the rest")
    if not result.success:
        raise RunFailedError(_message(result, job, keys))
    return Run(job, run_id, sum(done.values()))


def _note_origin(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note on a run which code location its job is of: `execute_in_process` cannot."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.run_storage.replace_job_origin(run, job_origin(run.job_name))


def _is_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether a step failed because of a signal."""
    return (
        event.event_type == dg.DagsterEventType.STEP_FAILURE
        and event.step_failure_data.error_source is ErrorSource.INTERRUPT
    )


class _SqliteKeepAlive:
    """Idle connections that keep Dagster's SQLite files open during a run.

    Dagster opens and closes a connection for every event, and SQLite checkpoints its log when the last connection
    closes: a quarter of the cost of an event. With any other storage the files do not exist and nothing is opened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, sqlite3.Connection] = {}

    def open(self, *names: str) -> None:
        """Open the files that exist and are not open yet."""
        for name in names:
            path = self._folder / name
            if name not in self._open and path.exists():
                self._open[name] = sqlite3.connect(path)
                self._open[name].execute("select count(*) from sqlite_master").fetchall()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._open.values():
            connection.close()


def _message(result: dg.ExecuteInProcessResult, job: str, keys: tuple[str, str] | None) -> str:
    lines = []
    for line in step_errors(result.all_events):
        advice = remedy(line, Path(os.environ["DAGSTER_HOME"]).parent)
        lines += [line, advice] if advice and advice not in lines else [line]
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            lines.append(
                f"check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} failed: "
                f"{evaluation.description or ''}"
            )
    what = f"{job} {keys[0]} to {keys[1]}" if keys else job
    return "\n".join(lines) or f"the run of {what} failed; see run {result.run_id} in the Dagster UI"
