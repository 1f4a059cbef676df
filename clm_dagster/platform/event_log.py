"""Storage of Dagster's events that writes the events of many partitions in one transaction.

Belongs here: that class, which `dagster.yaml` names. Does not: what the events say, the runs themselves (`runs`).

Dagster's own SQLite storage opens two connections and commits twice for each partition of each asset, when it is
planned and when it is materialized, and three times for each check. With `DAGSTER_EVENT_BATCH_SIZE` set, Dagster passes
such events in batches to `store_event_batch`, which its storage does not implement.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import Field, StringSource
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, Insert, create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import NullPool


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log: the same files and rows, a transaction per batch, and one engine per file.

    base_dir: folder of the files, relative to DAGSTER_HOME, so that a data folder can be moved.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        # The open connections of a thread, one for each file, while it stores events.
        self._shared = threading.local()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """Return the configuration that `dagster.yaml` may contain."""
        return {"base_dir": Field(StringSource, is_required=False, default_value="history/runs")}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchedSqliteEventLogStorage":
        """Return the storage in a folder below DAGSTER_HOME."""
        return cls(str(Path(os.environ["DAGSTER_HOME"], config_value["base_dir"])), inst_data)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Store events in the file of each run, and those of assets in the index, all or none of a file's."""
        with self._one_transaction():
            self._store_batch(events)

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event. That of a check is written to three tables in two files."""
        with self._one_transaction():
            super().store_event(event)

    def _store_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        batch = [event for event in events if _is_of_asset(event)]
        rows = [self.prepare_insert_event(event) for event in batch]
        for run_id in dict.fromkeys(event.run_id for event in batch):
            with self.run_connection(run_id) as connection:
                for event, row in zip(batch, rows, strict=True):
                    if event.run_id == run_id:
                        connection.execute(row)
        if batch:
            with self.index_transaction() as connection:
                ids = [_inserted(connection, row) for row in rows]
                self._store_asset_event_tags(connection, batch, ids)
                # The table of assets keeps the newest event of each kind.
                newest = {
                    (event.dagster_event_type, event.get_dagster_event().asset_key): n
                    for n, event in enumerate(batch)
                }
                for number in sorted(newest.values()):
                    self._store_asset_event(connection, batch[number], ids[number])
        for event in events:
            if not _is_of_asset(event):
                super().store_event(event)

    @contextmanager
    def _one_transaction(self) -> Iterator[None]:
        """Let all statements of the block share one connection and one transaction for each file."""
        with self._db_lock, ExitStack() as opened:
            self._shared.connections, self._shared.opened = {}, opened
            try:
                yield
            finally:
                del self._shared.connections, self._shared.opened

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        connections: dict[str, Connection] | None = getattr(self._shared, "connections", None)
        if connections is None:
            with self._db_lock, self._open(shard) as connection:
                yield connection
        else:
            if shard not in connections:
                connections[shard] = self._shared.opened.enter_context(self._open(shard))
            yield connections[shard]

    @contextmanager
    def _open(self, shard: str) -> Iterator[Connection]:
        # As the storage of Dagster, which makes a new engine every time, so that each statement is compiled again.
        if shard not in self._engines:
            self._engines[shard] = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=NullPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            listen(self._engines[shard], "connect", _write_later)
        engine = self._engines[shard]
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.connect() as connection, connection.begin():
            yield connection


def _write_later(connection: sqlite3.Connection, _: object) -> None:
    """Let the operating system decide when a commit reaches the disk: a load commits thousands of times.

    The files have a write-ahead log: a killed process loses nothing, a power failure may lose the last events.
    """
    connection.execute("pragma synchronous = normal")


def _is_of_asset(event: dg.EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS


def _inserted(connection: Connection, row: Insert) -> int:
    """Insert a row and return its id."""
    key = connection.execute(row).inserted_primary_key
    assert key is not None, "SQLite returns the id of an inserted row"
    return int(key[0])
