"""DuckLake as an engine: an empty lake of its own, which is deleted at the end.

Belongs here: opening and deleting it. Does not: the lake of a shop (`platform.lake`), building in it
(`duckdb_session`).
"""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from clm_dagster.engines.duckdb_session import DuckDBSession
from clm_dagster.platform.duckdb_files import UNCACHED
from clm_dagster.platform.lake.catalogue import Catalogue
from clm_dagster.platform.lake.connection import LakeConnection
from clm_dagster.settings import Settings

_PURPOSE = "clm verify"


class DuckLakeEngine:
    """DuckLake with Parquet files in the work folder.

    Its catalogue is a schema of its own in the PostgreSQL of CLM_CATALOG; without that setting, a file in the folder.
    """

    name = "ducklake"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def version(self) -> str:
        """The engine with its version."""
        given = Catalogue.of(self._settings) if self._settings.has_lake else None
        where = "PostgreSQL" if given and not given.is_file else "a file"
        return f"DuckLake on DuckDB {duckdb.__version__} with a catalogue in {where}"

    @contextmanager
    def open(self, folder: Path) -> Iterator[DuckDBSession]:
        """Open an empty lake, whose files are in an empty folder, for the duration of the block.

        Raise LakeError, LakeUnavailableError.
        """
        catalogue = self._catalogue(folder)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self._settings.memory_limit,
            "temp_directory": f"{folder / 'tmp'}",
            UNCACHED: False,
        }
        if self._settings.threads:
            config["threads"] = self._settings.threads
        try:
            with closing(duckdb.connect(config=config)) as raw:
                catalogue.attach(raw)
                yield DuckDBSession(
                    LakeConnection(raw, catalogue, _PURPOSE, self._settings.lake_retry_seconds)
                )
        finally:
            catalogue.drop()

    def _catalogue(self, folder: Path) -> Catalogue:
        tables = f"{folder / 'tables'}/"
        Path(tables).mkdir(parents=True)
        given = Catalogue.of(self._settings) if self._settings.has_lake else None
        if given is None or given.is_file:
            return Catalogue(str(folder / "catalogue.ducklake"), "main", tables)
        return replace(given, schema=f"clm_verify_{secrets.token_hex(8)}", data_path=tables)
