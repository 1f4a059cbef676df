"""The DuckDB warehouse: connections, locking, and replacement of a table or partition in one transaction.

Belongs here: opening, locking, transactions, replacing rows. Does not: the contents of any table.

Only one process can open a DuckDB file. A step therefore holds an inter-process lock only while it reads or writes. A
step that waits for the lock logs a warning, and fails with a clear error after a timeout. It waits likewise for other
programs that have the file open (`duckdb_files`). Only `execute` with `fetchall` and `df` is used, because it behaves
the same in DuckDB 1.5 and 2.0.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import duckdb
import pandas as pd
from dagster_duckdb import DuckDBResource
from filelock import FileLock, Timeout

from clm_dagster.platform.duckdb_files import WarehouseBusyError, open_when_free
from clm_dagster.platform.warehouse_format import check_format, record_format
from clm_dagster.storage import private_umask, restrict

log = logging.getLogger(__name__)

SCHEMAS = ("raw", "staging", "core", "marts", "models")
_WHOLE_NUMBERS = ("SMALLINT", "INTEGER", "BIGINT")

# Steps that run side by side wait for each other all the time; only a longer wait is worth a message.
_QUIET_SECONDS = 5.0

Result = TypeVar("Result")
# The values of a statement's placeholders, by position or by name.
Parameters = Sequence[object] | Mapping[str, object] | None

# Called with every statement and its duration in seconds. Only the benchmarks use it.
statement_listeners: list[Callable[[str, float], None]] = []


def casts(types: Mapping[str, str]) -> str:
    """Return a select list that casts each column to the type in which it is stored."""
    return ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in types.items())


def ordered_sum(expression: str) -> str:
    """Return the aggregate that sums an expression of type double in the order of its values.

    A plain sum of doubles depends on the order in which threads deliver rows. Decimals do not need this.
    """
    return f"sum({expression} order by {expression})"


@contextmanager
def _signals() -> Iterator[None]:
    """Raise KeyboardInterrupt where a signal stops a statement: DuckDB reports that as an ordinary error."""
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


class Connection:
    """A DuckDB connection, reduced to operations that behave the same in every supported version.

    is_lake: whether other processes write at the same time. What does so in another way there is in
    `lake.connection`.
    """

    is_lake = False

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        start = time.perf_counter()
        with _signals():
            rows = self._connection.execute(sql, parameters).fetchall()
        for listener in statement_listeners:
            listener(sql, time.perf_counter() - start)
        return rows

    def frame(self, sql: str, parameters: Parameters = None) -> pd.DataFrame:
        """Run one query and return its result as a data frame."""
        start = time.perf_counter()
        with _signals():
            frame = self._connection.execute(sql, parameters).df()
        for listener in statement_listeners:
            listener(sql, time.perf_counter() - start)
        return frame

    def scalar(self, sql: str, parameters: Parameters = None) -> Any:
        """Run one query and return the first value of its first row, None if there is no row."""
        rows = self.execute(sql, parameters)
        return rows[0][0] if rows else None

    def columns(self, query: str) -> dict[str, str]:
        """Return the column names of a query with their types, in order."""
        return {row[0]: row[1] for row in self.execute(f"describe {query}")}

    def load_frame(self, relation: str, frame: pd.DataFrame, temporary: bool = False) -> None:
        """Replace a table with the rows of a data frame."""
        sql = f"create or replace {'temporary ' if temporary else ''}table {relation} as select * from frame"
        start = time.perf_counter()
        self._connection.execute(sql).fetchall()
        for listener in statement_listeners:
            listener(sql, time.perf_counter() - start)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction: commit at its end, roll back on an exception."""
        self.execute("begin transaction")
        try:
            yield
        except BaseException:
            # The failed statement may have ended the transaction already. Then there is nothing to roll back, and
            # the first error is the one to show.
            try:
                self.execute("rollback")
            except duckdb.Error as error:
                log.debug("nothing to roll back: %s", error)
            raise
        self.execute("commit")

    def run_transaction(
        self, work: Callable[[], Result], relation: str = "", keys: Sequence[str] = ("",)
    ) -> Result:
        """Run a function in a transaction. It may run several times, each time as if it had not run before.

        relation, keys: the partitions that it replaces, which no other process replaces meanwhile.
        """
        with self.transaction():
            return work()

    def run_reading(self, work: Callable[[], Result]) -> Result:
        """Run a function that reads one state of the warehouse. It may run several times."""
        return work()  # nobody else writes

    def replace_table(self, relation: str, query: str) -> None:
        """Replace a table with the result of a query. Call this inside a transaction."""
        self.execute(f"create or replace table {relation} as {query}")

    def change_type(self, relation: str, column: str, kind: str, value: str) -> None:
        """Change the type of a column. value: SQL for its new values."""
        self.execute(
            f'alter table {relation} alter column "{column}" set data type {kind} using cast({value} as {kind})'
        )

    def relation_kind(self, relation: str) -> str | None:
        """Return `BASE TABLE`, `VIEW`, or None if the relation does not exist."""
        schema, name = relation.split(".")
        kind: str | None = self.scalar(
            "select table_type from information_schema.tables "
            "where table_schema = ? and table_name = ? and table_catalog = current_database()",
            [schema, name],
        )
        return kind

    def drop_unless(self, relation: str, kind: str) -> None:
        """Drop a relation of another kind than `kind`: a view that becomes a table, or the reverse."""
        found = self.relation_kind(relation)
        if found not in (None, kind):
            self.execute(f"drop {'view' if found == 'VIEW' else 'table'} {relation}")

    def replace_rows(self, relation: str, query: str, where: str, same_columns: bool = False) -> None:
        """Replace the rows of a table that match `where` with those of a query.

        Create the table if it is missing, and add columns that only the query has, unless the caller knows that both
        have the `same_columns`. Call this inside a transaction.
        """
        if not same_columns and not self._extend_or_create(relation, query):
            return
        self.execute(f"delete from {relation} where {where}")
        self.execute(f"insert into {relation} by name {query}")

    def replace_keys(self, relation: str, query: str, keys: Sequence[str]) -> None:
        """Replace the rows of a table whose keys are in the result of a query, which may read the table.

        Both have the same columns. Keys have no nulls. Call this inside a transaction.
        """
        self.execute(f"create or replace temporary table incoming as {query}")
        if self.scalar("select count(*) from incoming"):
            equal = " and ".join(f'stored."{key}" = incoming."{key}"' for key in keys)
            self.execute(f"delete from {relation} as stored using incoming where {equal}")
            self.execute(f"insert into {relation} by name select * from incoming")
        self.execute("drop table incoming")

    def replace_with_frame(
        self, relation: str, frame: pd.DataFrame, types: Mapping[str, str], where: str
    ) -> None:
        """Replace the rows of a table that match `where` with those of a data frame, as `replace_typed` does."""
        self.load_frame("incoming", frame, temporary=True)
        self.replace_typed(relation, "select * from incoming", list(frame.columns), types, where)
        self.execute("drop table incoming")

    def replace_typed(
        self, relation: str, query: str, columns: Sequence[str], types: Mapping[str, str], where: str
    ) -> None:
        """Replace the rows of a table that match `where` with those of a query that returns `columns`.

        types: the columns of the table with their types. Call this inside a transaction. Raise ValueError if the
        query has other columns than the table.
        """
        if set(columns) != set(types):
            raise ValueError(
                f"{relation}: expected the columns {', '.join(types)}, found {', '.join(columns)}"
            )
        self.replace_rows(relation, f"select {casts(types)} from ({query})", where)

    def ensure_columns(self, relation: str, types: Mapping[str, str]) -> None:
        """Create a table with these columns, or add missing columns to it. Keep its rows.

        This allows views to read a table before anything is written to it.
        """
        listed = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in types.items())
        self._extend_or_create(relation, f"select {listed} where false")

    def _extend_or_create(self, relation: str, query: str) -> bool:
        """Add the columns of a query to a table; or create it from the query with its rows, and return False.

        A column of whole numbers becomes one of decimals where the query has decimals.
        """
        if self.relation_kind(relation) != "BASE TABLE":
            self.drop_unless(relation, "BASE TABLE")
            self.execute(f"create table {relation} as {query}")
            return False
        stored = self.columns(f"select * from {relation}")
        for name, kind in self.columns(query).items():
            if name not in stored:
                self.execute(f'alter table {relation} add column "{name}" {kind}')
            elif stored[name] in _WHOLE_NUMBERS and kind.startswith("DECIMAL"):
                self.change_type(relation, name, kind, f'"{name}"')
            elif stored[name] != kind:
                raise dg.Failure(
                    f"{relation}.{name} is stored as {stored[name]}, but its new type is {kind}. "
                    f"Drop {relation} and materialize its partitions again."
                )
        return True


class Warehouse(DuckDBResource):
    """The DuckDB file that steps write: dagster-duckdb's resource, with a lock between processes.

    database: path of the file. memory_limit, threads: DuckDB's settings; 0 threads for one per processor. lock_timeout:
    seconds to wait for the lock of another step, or for another program that has the file open.
    """

    memory_limit: str = "1GB"
    threads: int = 0
    lock_timeout: float = 600.0

    @property
    def is_lake(self) -> bool:
        """Whether several processes can write at once."""
        return False

    @contextmanager
    def connect(self, purpose: str) -> Iterator[Connection]:
        """Open the warehouse exclusively for the duration of the block.

        purpose: shown to other processes that wait for the lock. Raise NewerWarehouseError, WarehouseBusyError.
        """
        private_umask()  # also of a process that Dagster started
        Path(self.database).parent.mkdir(parents=True, exist_ok=True)
        with self._lock(purpose):
            if not _has_content(Path(self.database)):
                Path(self.database).unlink(missing_ok=True)
            config: dict[str, str | int | bool] = {
                "memory_limit": self.memory_limit,
                "temp_directory": f"{self.database}.tmp",
                "preserve_insertion_order": True,
            }
            if self.threads:
                config["threads"] = self.threads
            with closing(open_when_free(self.database, purpose, self.lock_timeout, config=config)) as raw:
                restrict(Path(self.database))
                is_current = check_format(raw, Path(self.database))
                connection = Connection(raw)
                for schema in SCHEMAS:
                    connection.execute(f"create schema if not exists {schema}")
                if not is_current:
                    with connection.transaction():
                        record_format(raw)
                yield connection

    @contextmanager
    def get_connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the warehouse as dagster-duckdb's resource does, under the lock. Raise WarehouseBusyError."""
        with self.connect("an asset") as connection:
            yield connection._connection

    @contextmanager
    def connect_read_only(self, purpose: str) -> Iterator[Connection | None]:
        """Open the warehouse read-only; yield None if it does not exist yet.

        Raise NewerWarehouseError, WarehouseBusyError.
        """
        if not _has_content(Path(self.database)):
            yield None
            return
        with (
            self._lock(purpose),
            closing(open_when_free(self.database, purpose, self.lock_timeout, read_only=True)) as raw,
        ):
            check_format(raw, Path(self.database))
            yield Connection(raw)

    @contextmanager
    def locked_file(self, purpose: str) -> Iterator[Path]:
        """Write the log to the database file, then lock the file and yield its path, so that it can be copied."""
        with self.connect(purpose) as connection:
            connection.execute("checkpoint")
        with self._lock(purpose):
            yield Path(self.database)

    @contextmanager
    def _lock(self, purpose: str) -> Iterator[None]:
        lock = FileLock(f"{self.database}.lock")
        holder = Path(f"{self.database}.holder")
        try:
            lock.acquire(timeout=min(_QUIET_SECONDS, self.lock_timeout), poll_interval=0.02)
        except Timeout:
            log.warning("%s waits for the warehouse, locked by %s", purpose, _read_holder(holder))
            try:
                lock.acquire(timeout=self.lock_timeout, poll_interval=0.02)
            except Timeout as error:
                raise WarehouseBusyError(
                    f"{purpose} waited {self.lock_timeout:.0f} s for {self.database}, locked by "
                    f"{_read_holder(holder)}. Wait until that step has finished, or increase CLM_LOCK_TIMEOUT."
                ) from error
        try:
            holder.write_text(
                json.dumps({"pid": os.getpid(), "purpose": purpose, "since": f"{datetime.now():%H:%M:%S}"})
            )
            yield
        finally:
            lock.release()


def _has_content(path: Path) -> bool:
    """Whether a file exists and is not empty: a full disk leaves an empty file, which DuckDB refuses."""
    return path.exists() and path.stat().st_size > 0


def _read_holder(path: Path) -> str:
    # Only used in messages: the file is read without the lock, so it may be incomplete or outdated.
    try:
        holder = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return "another process"
    return f"process {holder['pid']} ({holder['purpose']}, since {holder['since']})"
