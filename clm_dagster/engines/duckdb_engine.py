"""DuckDB as an engine: one database file.

Belongs here: opening an empty file. Does not: the warehouse of a shop (`platform.warehouse`), building in it
(`duckdb_session`).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from clm_dagster.engines.duckdb_session import DuckDBSession
from clm_dagster.platform.duckdb_files import open_when_free
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


class DuckDBEngine:
    """DuckDB with one thread, for which the order of rows is always the same.

    Compared with the reference, which has the threads of the setting, it shows which rows depend on the order in which
    threads deliver.

    threads: another number of threads; 0 for one per processor.
    """

    name = "duckdb"

    def __init__(self, settings: Settings, threads: int = 1) -> None:
        self._settings, self._threads = settings, threads

    @property
    def version(self) -> str:
        """The engine with its version."""
        threads = {0: "all threads", 1: "one thread"}.get(self._threads, f"{self._threads} threads")
        return f"DuckDB {duckdb.__version__} with {threads}"

    @contextmanager
    def open(self, folder: Path) -> Iterator[DuckDBSession]:
        """Open an empty database, whose files are in an empty folder, for the duration of the block."""
        with opened(folder / "engine.duckdb", self._settings, self._threads) as connection:
            yield DuckDBSession(connection)


@contextmanager
def opened(path: Path | None, settings: Settings, threads: int) -> Iterator[Connection]:
    """Open a new DuckDB file with the memory limit of the settings, or (None) a database that has no file.

    threads: 0 for one per processor.
    """
    config: dict[str, str | int | bool] = {"memory_limit": settings.memory_limit}
    if path is not None:
        config["temp_directory"] = f"{path}.tmp"
    if threads:
        config["threads"] = threads
    name = ":memory:" if path is None else str(path)
    with closing(open_when_free(name, "verify", settings.lock_timeout, config=config)) as raw:
        yield Connection(raw)
