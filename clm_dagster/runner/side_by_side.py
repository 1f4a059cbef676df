"""Runs side by side in several processes, for tables that do not depend on each other.

Belongs here: splitting the runs of a stage into independent chains, and the processes that run them. Does not: which
runs are needed (`planning`), the order of stages (`shop_run`), a single run (`runs`).

Each process asks for a chain of runs, and for the next one when it is done. It computes with one thread: libraries
with threads of their own wait for each other on a busy machine. The lock of the warehouse orders what they read and
write.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from typing import TYPE_CHECKING

from clm_dagster.errors import StoppedError, UserError
from clm_dagster.platform.runs import Progress, Run, RunFailedError
from clm_dagster.settings import Settings
from clm_dagster.storage import explained, private_umask

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    import dagster as dg

# Imported once, in the process that all others are forked from.
_PRELOADED = "clm_dagster.runner.preloaded"
_STOPPED = "stopped between two runs. What is finished is kept; `clm run` goes on with the rest"


@dataclass(frozen=True)
class Task:
    """One run: a job, its first and last partition, and the asset keys to run, as text."""

    job: str
    keys: tuple[str, str]
    only: tuple[str, ...]


# Runs one after the other.
Chain = Sequence[Task]
# Of a worker: a step and how many more of its partitions are done, a run that ended, what stopped a chain, or None: it
# asks for a chain.
Message = tuple[str, int] | Run | UserError | None


def count_processes(settings: Settings) -> int:
    """Return how many processes train and score side by side."""
    return settings.processes or len(os.sched_getaffinity(0))


def independent_groups(reads: Mapping[str, set[str]]) -> list[set[str]]:
    """Return groups of relations of which none depends on a relation of another group.

    reads: relation -> the relations that it reads, directly or indirectly. Others than its keys are ignored.
    """
    groups: list[set[str]] = []
    for relation, needed in reads.items():
        related = {relation} | (needed & reads.keys())
        apart = [group for group in groups if not group & related]
        groups = [*apart, related.union(*(group for group in groups if group & related))]
    return groups


def prepare() -> None:
    """Start the process that workers are forked from, which imports in the background."""
    context = _context()
    from multiprocessing import forkserver

    context.set_forkserver_preload([_PRELOADED])
    forkserver.ensure_running()


def run_chains(settings: Settings, chains: Sequence[Chain], progress: Progress, processes: int) -> list[Run]:
    """Run chains of runs in several processes. A chain that fails does not stop the others.

    Raise RunFailedError with the messages of all failed chains, StoppedError after Ctrl-C or SIGTERM.
    """
    crew = _Crew(deque(chains), progress)
    count = min(processes, len(chains))
    threads = settings.threads or max(1, len(os.sched_getaffinity(0)) // count)
    for _ in range(count):
        crew.start(settings.replace(threads=threads))
    with crew.stopped_by_signals():
        crew.wait()
    return crew.result()


def _context() -> ForkServerContext:
    return multiprocessing.get_context("forkserver")


@dataclass
class _Crew:
    """The worker processes of one stage, seen from the process that waits for them.

    Each worker has a pipe of its own. With a queue in common, a worker that is killed while it holds the queue's lock
    would stop the others for ever.
    """

    chains: deque[Chain]
    progress: Progress
    workers: "dict[Connection, ForkServerProcess]" = field(default_factory=dict)
    exit_codes: set[int] = field(default_factory=set)
    runs: list[Run] = field(default_factory=list)
    failures: list[UserError] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    is_stopping: bool = False

    def start(self, settings: Settings) -> None:
        """Start a worker with the environment of this process."""
        context = _context()
        ours, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(settings, dict(os.environ), theirs), daemon=True)
        worker.start()
        theirs.close()  # so that the end of the worker ends the pipe
        self.workers[ours] = worker

    def wait(self) -> None:
        """Take the messages of the workers until all have ended."""
        while self.workers:
            for connection in wait(self.workers):
                assert isinstance(connection, Connection)
                try:
                    self._take(connection.recv(), connection)
                except (EOFError, OSError):  # the worker has ended, perhaps in the middle of a message
                    self._bury(connection)

    def _take(self, message: Message, sender: Connection) -> None:
        if message is None:
            sender.send(self.chains.popleft() if self.chains else None)
        elif isinstance(message, Run):
            self.runs.append(message)
        elif isinstance(message, UserError):
            self.failures.append(message)
        else:
            step, count = message
            self.done[step] += count
            self.progress(step, self.done[step])

    def _bury(self, connection: Connection) -> None:
        """Take a worker that has ended off the list, and end the processes that it started, if it was killed."""
        worker = self.workers.pop(connection)
        connection.close()
        worker.join()
        assert worker.exitcode is not None and worker.pid is not None
        self.exit_codes.add(worker.exitcode)
        if worker.exitcode < 0:
            with suppress(ProcessLookupError):  # it has started none
                os.killpg(worker.pid, signal.SIGKILL)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Pass Ctrl-C and SIGTERM on to the workers, which close their runs, and wait for them."""

        def stop(number: int, frame: object) -> None:
            self.is_stopping = True
            for worker in list(self.workers.values()):
                if worker.is_alive():
                    worker.terminate()

        previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def result(self) -> list[Run]:
        """Return the runs. Raise what the workers raised, and RunFailedError for a worker that broke off."""
        stopped = [error for error in self.failures if isinstance(error, StoppedError)]
        if self.is_stopping or stopped:
            raise stopped[0] if stopped else StoppedError(_STOPPED)
        texts = [str(error) for error in self.failures]
        texts += [_broken_off(code) for code in sorted(self.exit_codes) if code]
        if texts:
            raise RunFailedError("\n".join(texts))
        return self.runs


def _broken_off(status: int) -> str:
    if status > 0:
        return "a process that trained or scored broke off with the error that is printed above"
    return (
        f"a process that trained or scored was killed by signal {-status}, perhaps because the machine has too "
        "little memory; set CLM_PROCESSES=1 to compute in one process"
    )


# --------------------------------------------------------------------------- inside a worker


def _work(settings: Settings, environment: Mapping[str, str], pipe: Connection) -> None:
    """Ask for chains and run them until there are no more."""
    # Forked from a process that started with an older environment.
    os.environ.clear()
    os.environ.update(environment, OMP_NUM_THREADS="1")
    private_umask()
    os.setpgrp()  # a terminal sends Ctrl-C to a whole group; the waiting process passes it on
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import dagster as dg
    from threadpoolctl import threadpool_limits

    from clm_dagster.definitions import build_definitions

    try:
        with dg.DagsterInstance.get() as instance, threadpool_limits(limits=1):
            definitions = build_definitions(settings)
            while (chain := _next_chain(pipe)) is not None:
                _run_chain(definitions, instance, chain, pipe)
    except KeyboardInterrupt:  # between two runs
        pipe.send(StoppedError(_STOPPED))
    except StoppedError as error:
        pipe.send(error)
    except Exception as error:
        known = explained(error, settings.data_dir.resolve())
        if known is None:
            raise
        pipe.send(known)


def _next_chain(pipe: Connection) -> Chain | None:
    pipe.send(None)
    chain: Chain | None = pipe.recv()
    return chain


def _run_chain(
    definitions: "dg.Definitions", instance: "dg.DagsterInstance", chain: Chain, pipe: Connection
) -> None:
    """Execute the runs of a chain until one fails."""
    import dagster as dg

    from clm_dagster.platform.runs import execute

    for task in chain:
        reached: dict[str, int] = {}

        def progress(step: str, done: int, reached: dict[str, int] = reached) -> None:
            pipe.send((step, done - reached.get(step, 0)))
            reached[step] = done

        only = [dg.AssetKey.from_user_string(key) for key in task.only]
        try:
            pipe.send(execute(definitions, instance, task.job, task.keys, progress, only))
        except StoppedError:
            raise
        except UserError as error:
            pipe.send(error)
            return


def _end_with_parent() -> None:
    """End this process as Ctrl-C does if the process that waits for it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
