"""The warehouse of a shop whose tables are in a lake: connections without a lock between processes.

Belongs here: opening connections. Does not: the catalogue (`catalogue`), publishing (`publication`).

A process keeps one in-memory DuckDB with the lake attached, because attaching takes longer than many a step. Each
connection is a cursor of it, with its own transaction and temporary tables.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import NoReturn

import duckdb

from clm_dagster.platform.lake.catalogue import ALIAS, Catalogue
from clm_dagster.platform.lake.connection import LakeConnection
from clm_dagster.platform.warehouse import SCHEMAS, Connection, Warehouse
from clm_dagster.platform.warehouse_format import check_format, record_format
from clm_dagster.settings import Settings
from clm_dagster.storage import private_umask

log = logging.getLogger(__name__)
# The catalogues of this process by label: a resource shows its fields in the UI, and an address holds a password.
_CATALOGUES: dict[str, Catalogue] = {}
_OPENED: dict[tuple[int, str, str, int], duckdb.DuckDBPyConnection] = {}
_PREPARED: set[str] = set()
_GUARD = Lock()
# Commits that meet take their turn. DuckLake waits between its attempts to get the next number of a snapshot.
_COMMIT_OPTIONS = {
    "ducklake_max_retry_count": "60",
    "ducklake_retry_wait_ms": "20",
    "ducklake_retry_backoff": "1.1",
}


class LakeWarehouse(Warehouse):
    """The lake that steps write. No step waits for another one.

    database: the catalogue without its password. scratch: folder of temporary files. retry_seconds: how long a write
    that conflicts with others is repeated.
    """

    scratch: str
    retry_seconds: float = 600.0

    @property
    def is_lake(self) -> bool:
        """Whether several processes can write at once."""
        return True

    @contextmanager
    def connect(self, purpose: str) -> Iterator[Connection]:
        """Open the lake to write. Raise LakeError, LakeUnavailableError, NewerWarehouseError."""
        private_umask()
        catalogue = _CATALOGUES[self.database]
        with self._alone(catalogue, purpose):
            try:
                with closing(self._cursor(catalogue)) as raw:
                    connection = LakeConnection(raw, catalogue, purpose, self.retry_seconds)
                    self._prepare(connection)
                    yield connection
            finally:
                self._release(catalogue)

    @contextmanager
    def connect_read_only(self, purpose: str) -> Iterator[Connection | None]:
        """Open one state of the lake, which does not change in the block; yield None if there is no lake yet."""
        catalogue = _CATALOGUES[self.database]
        with self._alone(catalogue, purpose):
            try:
                if not self._is_opened() and not self._exists(catalogue):
                    yield None
                    return
                with closing(self._cursor(catalogue)) as raw:
                    connection = LakeConnection(raw, catalogue, purpose, self.retry_seconds)
                    if self.database not in _PREPARED and connection.relation_kind("raw.builds") is None:
                        yield None
                        return
                    check_format(raw, Path(self.database))
                    with connection.transaction():
                        yield connection
            finally:
                self._release(catalogue)

    @contextmanager
    def at_snapshot(self, snapshot: int, purpose: str) -> Iterator[Connection]:
        """Open an earlier state of the lake, by its number, to read. Raise LakeError if it has expired."""
        catalogue = _CATALOGUES[self.database]
        with self._alone(catalogue, purpose), closing(self._in_memory()) as raw:
            catalogue.attach(raw, read_only=True, snapshot=snapshot)
            yield LakeConnection(raw, catalogue, purpose, self.retry_seconds)

    def locked_file(self, purpose: str) -> NoReturn:
        """Raise TypeError: a lake has no file that could be copied."""
        raise TypeError(f"{purpose}: a lake has no file; see platform.lake.publication")

    def _alone(self, catalogue: Catalogue, purpose: str) -> AbstractContextManager[None]:
        """Take the lock between processes, only for a catalogue that is a file."""
        return self._lock(purpose) if catalogue.is_file else nullcontext()

    def _key(self) -> tuple[int, str, str, int]:
        return os.getpid(), self.database, self.memory_limit, self.threads

    def _is_opened(self) -> bool:
        return self._key() in _OPENED

    def _exists(self, catalogue: Catalogue) -> bool:
        """Whether the catalogue holds a lake."""
        if catalogue.is_file:
            return Path(catalogue.address).exists()
        with closing(self._in_memory()) as raw:
            return catalogue.attach(raw, read_only=True, create=False)

    def _cursor(self, catalogue: Catalogue) -> duckdb.DuckDBPyConnection:
        with _GUARD:
            if not self._is_opened():
                raw = self._in_memory()
                if catalogue.is_file:
                    Path(catalogue.address).parent.mkdir(parents=True, exist_ok=True)
                if not catalogue.is_remote:
                    Path(catalogue.data_path).mkdir(parents=True, exist_ok=True)
                catalogue.attach(raw)
                for name, value in _COMMIT_OPTIONS.items():
                    raw.execute(f"set {name} = {value}")
                _OPENED[self._key()] = raw
            cursor = _OPENED[self._key()].cursor()
        cursor.execute(f"use {ALIAS}")
        return cursor

    def _release(self, catalogue: Catalogue) -> None:
        """Close a catalogue that is a file, so that the next process can use it."""
        if catalogue.is_file and (raw := _OPENED.pop(self._key(), None)):
            raw.close()

    def _in_memory(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self.memory_limit,
            "temp_directory": f"{self.scratch}/lake-{os.getpid()}",
            "preserve_insertion_order": True,
        }
        if self.threads:
            config["threads"] = self.threads
        return duckdb.connect(config=config)

    def _prepare(self, connection: LakeConnection) -> None:
        """Create the schemas of a new lake, once in a process."""
        raw = connection._connection
        is_current = check_format(raw, Path(self.database))
        if self.database in _PREPARED and is_current:
            return

        def create() -> None:
            for schema in SCHEMAS:
                connection.execute(f"create schema if not exists {schema}")
            if not is_current:
                record_format(raw)

        connection.run_transaction(create)
        _PREPARED.add(self.database)


def lake_of(settings: Settings) -> LakeWarehouse:
    """Return the warehouse of a shop with a lake. Raise SettingsError."""
    catalogue = Catalogue.of(settings)
    _CATALOGUES[catalogue.label] = catalogue
    return LakeWarehouse(
        database=catalogue.label,
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        lock_timeout=settings.lock_timeout,
        scratch=f"{settings.warehouse_path}.tmp",
        retry_seconds=settings.lake_retry_seconds,
    )
