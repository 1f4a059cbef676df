"""`clm run` has its shop to itself: no other `clm run`, and no run that Dagster has started or is about to start.

Belongs here: the lock that a whole `clm run` holds, which ticks respect, and its wait for unfinished runs. Does not:
the lock of the warehouse, which a step takes while it reads or writes (`warehouse`), which runs are unfinished
(`run_queue`).
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from clm_dagster.errors import StoppedError, UserError
from clm_dagster.platform.run_queue import claimed, unfinished_backfill, unfinished_runs
from clm_dagster.platform.runs import close_dead_runs
from clm_dagster.settings import Settings

_LOCK, _HOLDER = "clm_run.lock", "clm_run.holder"
# A tick holds the lock for milliseconds. What waits no longer than this for it says nothing.
_QUIET_SECONDS = 1.0
_LOOK_SECONDS = 0.5
# A tick tries so long: another tick may hold the lock.
_TICK_SECONDS = 0.3


class ShopBusyError(UserError, RuntimeError):
    """Another run of the shop does not end. The message names it and says what to do."""


@contextmanager
def whole_run(settings: Settings, say: Callable[[str], None]) -> Iterator[None]:
    """Keep every other `clm run` of the shop, and its ticks, waiting for the duration of the block.

    The lock is the system's, which frees it if this process is killed. say: called with a message if this one has to
    wait. Raise ShopBusyError after CLM_LOCK_TIMEOUT, StoppedError after Ctrl-C.
    """
    lock, timeout = _lock(settings), settings.lock_timeout
    try:
        try:
            lock.acquire(timeout=min(_QUIET_SECONDS, timeout), poll_interval=0.02)
        except Timeout:
            say(f"Waiting for {_holder(settings)}, up to {timeout:,.0f} s.")
            lock.acquire(timeout=timeout, poll_interval=_LOOK_SECONDS)
    except Timeout as error:
        raise ShopBusyError(
            f"waited {timeout:,.0f} s for {_holder(settings)}, which is bringing the same shop up to date "
            f"({settings.data_dir.resolve()}). Wait until it has finished, or stop it with Ctrl-C; to wait longer, "
            "increase CLM_LOCK_TIMEOUT."
        ) from error
    except KeyboardInterrupt as error:
        raise StoppedError(f"stopped while waiting for {_holder(settings)}. Nothing was changed") from error
    try:
        since = f"{datetime.now():%H:%M:%S}"
        (settings.data_dir / _HOLDER).write_text(json.dumps({"pid": os.getpid(), "since": since}))
        yield
    finally:
        lock.release()


def wait_for_runs(settings: Settings, instance: dg.DagsterInstance, say: Callable[[str], None]) -> list[str]:
    """Wait until no run of the shop is unfinished or requested. Return the dead runs that were closed.

    Call it in the block of `whole_run`, so that no tick requests another one. Raise ShopBusyError after
    CLM_LOCK_TIMEOUT, StoppedError after Ctrl-C.
    """
    closed, said, what = list[str](), "", ""
    deadline = time.monotonic() + settings.lock_timeout
    try:
        while True:
            closed += close_dead_runs(instance)
            what, advice = _unfinished(settings, instance)
            if not what:
                return closed
            if time.monotonic() > deadline:
                raise ShopBusyError(
                    f"waited {settings.lock_timeout:,.0f} s for {what}. Two runs must not build the same partitions "
                    f"at once. {advice}; to wait longer, increase CLM_LOCK_TIMEOUT."
                )
            if what != said:
                say(f"Waiting for {what}, up to {settings.lock_timeout:,.0f} s.")
            said = what
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt as error:
        raise StoppedError(
            f"stopped while waiting for {what or 'other runs'}. Nothing was changed"
        ) from error


@contextmanager
def no_whole_run(settings: Settings) -> Iterator[str]:
    """Keep `clm run` from starting for the duration of the block.

    Yield why that is not possible: the `clm run` that is going on, also between two of its runs; empty where none is.
    """
    if not settings.data_dir.exists():
        yield ""  # so has never run
        return
    lock = _lock(settings)
    try:
        lock.acquire(timeout=_TICK_SECONDS, poll_interval=0.02)
    except Timeout:
        yield f"{_holder(settings)} is going on"
        return
    try:
        yield ""
    finally:
        lock.release()


def _lock(settings: Settings) -> FileLock:
    return FileLock(settings.data_dir.resolve() / _LOCK)


def _holder(settings: Settings) -> str:
    # Only for messages: the file is read without the lock, so it may be incomplete or outdated.
    path = Path(settings.data_dir / _HOLDER)
    try:
        holder = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return "another `clm run`"
    return f"the `clm run` of process {holder['pid']} (since {holder['since']})"


def _unfinished(settings: Settings, instance: dg.DagsterInstance) -> tuple[str, str]:
    """Return what `clm run` waits for, and what a person can do about it; empty where nothing is."""
    for run in unfinished_runs(settings, instance):
        what = f"the run {run.run_id} ({run.job_name}), which is {run.status.value.lower().replace('_', ' ')}"
        if run.status is dg.DagsterRunStatus.QUEUED:
            advice = "Dagster's daemon starts it: open the UI with `clm dev`, or delete the run there"
        else:
            advice = "Wait until it has finished, or terminate it in the UI"
        return what, advice
    backfill = unfinished_backfill(settings, instance)
    if backfill:
        return f"the backfill {backfill}", "Wait until it has finished, or cancel it in the UI"
    by = claimed(settings, instance)
    if by:
        return f"the run that {by} has just requested", "Stop that schedule or sensor in the UI"
    return "", ""
