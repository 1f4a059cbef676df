"""The DuckDB warehouse: who may write, and replacement of a table or partition in one transaction.

Belongs here: opening, locking, transactions, replacing. Does not: what any table holds.

DuckDB admits one process to a file. A step therefore holds an inter-process lock only while it
reads or writes, waits its turn with a message, and gives up with a clear error. Only `execute` with
`fetchall` and `df` is used: it behaves alike in DuckDB 1.5 and 2.0.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
from dagster_duckdb import DuckDBResource
from filelock import FileLock, Timeout

from clm_dagster.errors import UserError

log = logging.getLogger(__name__)

SCHEMAS = ("raw", "staging", "core", "marts", "models")

# Called with every statement and its seconds; the benchmark listens, nothing else does.
statement_listeners: list[Callable[[str, float], None]] = []


class WarehouseBusyError(UserError, RuntimeError):
    """Another process kept the warehouse for longer than the `lock_timeout` setting."""


def casts(types: Mapping[str, str]) -> str:
    """The columns of a select, each as what it is to be stored as."""
    return ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in types.items())


class Connection:
    """A DuckDB connection reduced to what behaves alike in every supported version."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement and return all its rows."""
        start = time.perf_counter()
        rows = self._connection.execute(sql, parameters).fetchall()
        for listener in statement_listeners:
            listener(sql, time.perf_counter() - start)
        return rows

    def frame(self, sql: str, parameters: Any = None) -> pd.DataFrame:
        """Run one query and return its result as a frame."""
        start = time.perf_counter()
        frame = self._connection.execute(sql, parameters).df()
        for listener in statement_listeners:
            listener(sql, time.perf_counter() - start)
        return frame

    def scalar(self, sql: str, parameters: Any = None) -> Any:
        """Run one query and return the first value of its first row, None where there is no row."""
        rows = self.execute(sql, parameters)
        return rows[0][0] if rows else None

    def columns(self, query: str) -> dict[str, str]:
        """Names and types of a query's columns, in order."""
        return {row[0]: row[1] for row in self.execute(f"describe {query}")}

    def load_frame(self, relation: str, frame: pd.DataFrame, temporary: bool = False) -> None:
        """Replace a table with the rows of a frame."""
        sql = f"create or replace {'temporary ' if temporary else ''}table {relation} as select * from frame"
        start = time.perf_counter()
        self._connection.execute(sql).fetchall()
        for listener in statement_listeners:
            listener(sql, time.perf_counter() - start)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it."""
        self.execute("begin transaction")
        try:
            yield
        except BaseException:
            # A statement that failed inside DuckDB may have ended the transaction already; then
            # there is nothing left to undo and the first error is the one to show.
            try:
                self.execute("rollback")
            except duckdb.Error as error:
                log.debug("nothing to roll back: %s", error)
            raise
        self.execute("commit")

    def relation_kind(self, relation: str) -> str | None:
        """`BASE TABLE`, `VIEW`, or None where the relation does not exist."""
        schema, name = relation.split(".")
        return self.scalar(
            "select table_type from information_schema.tables "
            "where table_schema = ? and table_name = ? and table_catalog = current_database()",
            [schema, name],
        )

    def drop_unless(self, relation: str, kind: str) -> None:
        """Make room for a relation that used to be a view and is now a table, or the reverse."""
        found = self.relation_kind(relation)
        if found not in (None, kind):
            self.execute(f"drop {'view' if found == 'VIEW' else 'table'} {relation}")

    def replace_rows(self, relation: str, query: str, where: str, same_columns: bool = False) -> None:
        """Replace the rows of a table for which `where` holds by those of a query.

        The table is made if it is missing; columns that the query has and the table lacks are
        added, unless the caller knows that they are the `same_columns`. Call it inside a transaction.
        """
        if not same_columns and not self._made_to_fit(relation, query):
            return
        self.execute(f"delete from {relation} where {where}")
        self.execute(f"insert into {relation} by name {query}")

    def replace_with_frame(
        self, relation: str, frame: pd.DataFrame, types: Mapping[str, str], where: str
    ) -> None:
        """Replace the rows of a table for which `where` holds by those of a frame, by name; as `replace_typed`."""
        self.load_frame("incoming", frame, temporary=True)
        self.replace_typed(relation, "select * from incoming", list(frame.columns), types, where)
        self.execute("drop table incoming")

    def replace_typed(
        self, relation: str, query: str, columns: Sequence[str], types: Mapping[str, str], where: str
    ) -> None:
        """Replace the rows of a table for which `where` holds by those of a query with these columns.

        `types` gives the table's columns and what each is stored as. Call it inside a transaction. Raises
        ValueError where the query has other columns.
        """
        if set(columns) != set(types):
            raise ValueError(
                f"{relation}: expected the columns {', '.join(types)}, found {', '.join(columns)}"
            )
        self.replace_rows(relation, f"select {casts(types)} from ({query})", where)

    def make_fit(self, relation: str, types: Mapping[str, str]) -> None:
        """Make a table with these columns, or add those that it lacks; its rows stay.

        So a view can read a table before anything has been written to it.
        """
        listed = ", ".join(f'cast(null as {kind}) as "{name}"' for name, kind in types.items())
        self._made_to_fit(relation, f"select {listed} where false")

    def _made_to_fit(self, relation: str, query: str) -> bool:
        """Give a table the columns of a query; False if it was made from it, rows and all."""
        if self.relation_kind(relation) != "BASE TABLE":
            self.drop_unless(relation, "BASE TABLE")
            self.execute(f"create table {relation} as {query}")
            return False
        stored = self.columns(f"select * from {relation}")
        for name, kind in self.columns(query).items():
            if name not in stored:
                self.execute(f'alter table {relation} add column "{name}" {kind}')
            elif stored[name] != kind:
                raise dg.Failure(
                    f"{relation}.{name} is stored as {stored[name]} and now comes as {kind}. "
                    f"Drop {relation} and run its partitions again."
                )
        return True


class Warehouse(dg.ConfigurableResource):
    """The one DuckDB file that steps write, by way of dagster-duckdb's resource."""

    path: str
    memory_limit: str = "1GB"
    threads: int = 0
    lock_timeout: float = 600.0

    @contextmanager
    def connect(self, purpose: str) -> Iterator[Connection]:
        """Hold the warehouse alone for the length of the block.

        `purpose` is what another process that waits is told. Raise WarehouseBusyError.
        """
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        with self._turn(purpose):
            config: dict[str, Any] = {
                "memory_limit": self.memory_limit,
                "temp_directory": f"{self.path}.tmp",
                "preserve_insertion_order": True,
            }
            if self.threads:
                config["threads"] = self.threads
            resource = DuckDBResource(database=self.path, connection_config=config)
            with resource.get_connection() as raw:
                # The resource itself closes only where its block ends well.
                try:
                    connection = Connection(raw)
                    for schema in SCHEMAS:
                        connection.execute(f"create schema if not exists {schema}")
                    yield connection
                finally:
                    raw.close()

    @contextmanager
    def look(self, purpose: str) -> Iterator[Connection | None]:
        """Hold the warehouse to read from it: nothing is made or changed. None where there is none yet.

        Raise WarehouseBusyError.
        """
        if not Path(self.path).exists():
            yield None
            return
        with self._turn(purpose), closing(duckdb.connect(self.path, read_only=True)) as raw:
            yield Connection(raw)

    @contextmanager
    def still(self, purpose: str) -> Iterator[Path]:
        """Hold the file while nobody writes it, everything in it on disk and nothing in its log."""
        with self.connect(purpose) as connection:
            connection.execute("checkpoint")
        with self._turn(purpose):
            yield Path(self.path)

    @contextmanager
    def _turn(self, purpose: str) -> Iterator[None]:
        lock = FileLock(f"{self.path}.lock")
        holder = Path(f"{self.path}.holder")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("%s waits for the warehouse, held by %s", purpose, _read_holder(holder))
            try:
                lock.acquire(timeout=self.lock_timeout, poll_interval=0.02)
            except Timeout as error:
                raise WarehouseBusyError(
                    f"{purpose} waited {self.lock_timeout:.0f} s for {self.path}, held by "
                    f"{_read_holder(holder)}. Let that step end, or raise CLM_LOCK_TIMEOUT."
                ) from error
        try:
            holder.write_text(
                json.dumps({"pid": os.getpid(), "purpose": purpose, "since": f"{datetime.now():%H:%M:%S}"})
            )
            yield
        finally:
            lock.release()


def _read_holder(path: Path) -> str:
    # Only a hint for the message: the holder may be writing or ending at this moment.
    try:
        holder = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return "another process"
    return f"process {holder['pid']} ({holder['purpose']}, since {holder['since']})"
