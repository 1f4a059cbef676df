"""A cheaper event log: Dagster's SQLite storage with one SQLAlchemy engine per file.

Belongs here: that change of the storage. Does not: events, runs (`runs`).

Dagster makes a new engine for every event, so SQLAlchemy compiles each of its statements again: a third of the cost of
an event, and a run of a small shop consists mostly of events.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

SqliteEventLogStorage = sqlite_event_log.SqliteEventLogStorage


def reuse_engines(instance: dg.DagsterInstance) -> bool:
    """Let an instance keep its engines. Return False, and change nothing, if its storage is not Dagster's SQLite."""
    storage = instance.event_log_storage
    if type(storage) is not SqliteEventLogStorage:
        return False
    engines: dict[str, Engine] = {}

    def engine_of(shard: str) -> Engine:
        if shard not in engines:
            engines[shard] = create_engine(
                storage.conn_string_for_shard(shard),
                poolclass=NullPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
        return engines[shard]

    @contextmanager
    def connect(shard: str) -> Iterator[Connection]:
        # As SqliteEventLogStorage._connect, without a new engine.
        with storage._db_lock:
            engine = engine_of(shard)
            if shard not in storage._initialized_dbs:
                storage._initdb(engine)
                storage._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    storage._connect = connect  # type: ignore[method-assign]
    return True
