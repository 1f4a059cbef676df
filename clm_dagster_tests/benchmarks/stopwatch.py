"""Split the duration of a shop run into SQL, Python, the warehouse file and Dagster.

Belongs here: the clock and where it is read. Does not: what is run (`first_load`, `one_day`, `growth`).

Every instant of a measured process belongs to exactly one of four, so that they add up to the wall:

    sql      a statement runs in DuckDB: what the package's own hook, `statement_listeners`, reports
    file     the warehouse is locked, opened, closed: what DuckDB does at both ends of a connection
    dagster  bookkeeping: inside `execute_in_process`, `DagsterInstance.get` and the resolving of jobs,
             and not inside the body of an asset
    python   all else: bodies of assets, planning, reading settings and the SQL folder

The body of an asset is what Dagster's own `invoke_compute_fn` calls; an event that Dagster writes of a
materialization is written after it. The package is not changed: functions are wrapped.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pandas as pd
from dagster._core.execution.plan import compute_generator

from clm_dagster.platform import warehouse
from clm_dagster.platform.warehouse import Connection, Warehouse

SQL, FILE, DAGSTER, PYTHON = "sql", "file", "dagster", "python"
KINDS = (SQL, FILE, PYTHON, DAGSTER)
OUTSIDE = ""  # the step of what runs in no step


@dataclass
class Statement:
    """One statement as it was run: by which step, in which database, how long.

    parameters: of a statement that loads a data frame, the frame.
    """

    step: str
    database: str
    sql: str
    parameters: Any
    seconds: float = 0.0


@dataclass
class Split:
    """Seconds by step and kind."""

    seconds: dict[str, dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )

    def of(self, kind: str | None = None, steps: Callable[[str], bool] = lambda step: True) -> float:
        """Seconds of a kind (None: of all) in the steps for which a condition holds."""
        return sum(
            seconds
            for step, kinds in self.seconds.items()
            if steps(step)
            for name, seconds in kinds.items()
            if kind in (None, name)
        )

    def by_step(self) -> dict[str, dict[str, float]]:
        """The split of each step."""
        return {step or "outside": self.as_dict(step.__eq__) for step in list(self.seconds)}

    def as_dict(self, steps: Callable[[str], bool] = lambda step: True) -> dict[str, float]:
        """Seconds of each kind, their sum as `wall`, and the sum without bookkeeping as `own`."""
        found = {kind: self.of(kind, steps) for kind in KINDS}
        wall = sum(found.values())
        return {"wall": wall, "own": wall - found[DAGSTER], **found}


class Stopwatch:
    """Charges every second to the innermost of what is going on."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.split = Split()
        self.statements: list[Statement] = []
        self._stack: list[tuple[str, str]] = [(OUTSIDE, PYTHON)]
        self._since = self._clock()

    @contextmanager
    def inside(self, kind: str, step: str | None = None) -> Iterator[None]:
        """Charge the block to a kind, and to a step where it is one."""
        self._charge()
        self._stack.append((self._stack[-1][0] if step is None else step, kind))
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def take(self) -> Split:
        """What was measured since the last call."""
        self._charge()
        taken, self.split = self.split, Split()
        return taken

    def on_statement(self, sql: str, seconds: float) -> None:
        """The package's listener: what just ended was SQL, not what surrounds it."""
        step, kind = self._stack[-1]
        self.split.seconds[step][kind] -= seconds
        self.split.seconds[step][SQL] += seconds
        if self.statements and self.statements[-1].sql == sql:
            self.statements[-1].seconds = seconds

    def on_call(self, database: str, sql: str, parameters: Any) -> None:
        """A statement is about to run: keep what it takes to run it again."""
        self.statements.append(Statement(self._stack[-1][0], database, sql, parameters))

    def _charge(self) -> None:
        now = self._clock()
        step, kind = self._stack[-1]
        self.split.seconds[step][kind] += now - self._since
        self._since = now


def install(keep_statements: bool = False, clock: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """Start a clock in this process, for as long as it lives.

    With `keep_statements` every statement is kept with its parameters and database. clock: another one, such as
    `time.process_time`, is right for whole steps only: statements are always reported by the clock on the wall.
    """
    watch = Stopwatch(clock)
    warehouse.statement_listeners.append(watch.on_statement)
    if keep_statements:
        _keep(watch)
    Warehouse.connect = _timed_connect(watch, Warehouse.connect)  # type: ignore[method-assign]
    _surround(watch, dg.JobDefinition, "execute_in_process")
    _surround(watch, dg.Definitions, "resolve_job_def")
    _surround(watch, dg.Definitions, "resolve_asset_graph")
    dg.DagsterInstance.get = staticmethod(_dagsters(watch, dg.DagsterInstance.get))  # type: ignore[method-assign]
    original = compute_generator.invoke_compute_fn

    def body(fn: Any, context: Any, *rest: Any, **named: Any) -> Any:
        step = context.op_execution_context.get_step_execution_context().step.key
        with watch.inside(PYTHON, step):
            result = original(fn, context, *rest, **named)
        return _timed_steps(watch, step, result) if hasattr(result, "__next__") else result

    compute_generator.invoke_compute_fn = body
    return watch


def _surround(watch: Stopwatch, owner: Any, name: str) -> None:
    setattr(owner, name, _dagsters(watch, getattr(owner, name)))


def _dagsters(watch: Stopwatch, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*given: Any, **named: Any) -> Any:
        with watch.inside(DAGSTER):
            return function(*given, **named)

    return timed


def _timed_steps(watch: Stopwatch, step: str, results: Iterator[Any]) -> Iterator[Any]:
    """A body that yields is at work between what it yields, and not while Dagster takes it."""
    while True:
        with watch.inside(PYTHON, step):
            try:
                result = next(results)
            except StopIteration:
                return
        yield result


def _timed_connect(watch: Stopwatch, original: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def connect(self: Warehouse, purpose: str) -> Iterator[Connection]:
        opened = original(self, purpose)
        with watch.inside(FILE):
            connection = opened.__enter__()
        try:
            yield connection
        except BaseException as error:
            if not opened.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            with watch.inside(FILE):
                opened.__exit__(None, None, None)

    return connect


def _keep(watch: Stopwatch) -> None:
    execute, frame, load_frame = Connection.execute, Connection.frame, Connection.load_frame

    def database_of(connection: Connection) -> str:
        database = connection.__dict__.get("_database")
        if database is None:
            found = connection._connection.execute(
                "select coalesce(max(path), '') from duckdb_databases() where not internal"
            )
            database = connection.__dict__["_database"] = str(found.fetchall()[0][0])
        return str(database)

    def kept(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(self: Connection, sql: str, parameters: Any = None) -> Any:
            watch.on_call(database_of(self), sql, parameters)
            return original(self, sql, parameters)

        return call

    @functools.wraps(load_frame)
    def loaded(self: Connection, relation: str, given: pd.DataFrame, temporary: bool = False) -> None:
        kind = "temporary table" if temporary else "table"
        watch.on_call(database_of(self), f"create or replace {kind} {relation} as select * from frame", given)
        load_frame(self, relation, given, temporary)

    Connection.execute = kept(execute)  # type: ignore[method-assign]
    Connection.frame = kept(frame)  # type: ignore[method-assign]
    Connection.load_frame = loaded  # type: ignore[assignment, method-assign]
