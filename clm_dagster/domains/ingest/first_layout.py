"""The layout of landing areas that version 0.1.0 wrote, and moving it to the layout of this version.

Belongs here: that layout. Does not: the layout of this version (`landing`).

    <table>/event_date=2011-06-01/<part>_0.parquet  rows of one or more files
    manifests/<delivery>.json                       one delivery
    first_load.json                                 whether the first load is complete

The rows lack the columns `_part` and `_event_date`. The landing area may hold the only copy of a file that was removed
from the input, so its rows are kept and written again, not read from files. A killed move is begun anew or completed by
the next one.
"""

import shutil
from pathlib import Path
from typing import Any

import duckdb

from clm_dagster.domains.ingest.damage import read_state
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.parquet_writer import day_name
from clm_dagster.platform import quoting
from clm_dagster.storage import write_json

_MANIFESTS, _FIRST_LOAD = "manifests", "first_load.json"
# Manifests of this version are named by a number, those of 0.1.0 by a hash of this length.
_HASH_LENGTH = 16
# Number of the manifest that a move writes.
_NUMBER = "000001"
_REMEDY = "It lists a landed file of version 0.1.0. Restore it from a backup, or put the file back and delete this one."


def numbered_manifests(folder: Path) -> list[Path]:
    """Return the manifests of this version, oldest first."""
    return [path for path in _all_manifests(folder) if len(path.stem) < _HASH_LENGTH]


def first_deliveries(folder: Path) -> list[dict[str, Any]]:
    """Return the deliveries of a landing area that is not moved yet, as a manifest of this version lists them.

    Raise InputError if a manifest is damaged.
    """
    if numbered_manifests(folder):
        return []
    return [{"mtime_ns": 0} | read_state(path, _REMEDY) for path in _old_manifests(folder)]


def move_first_layout(folder: Path) -> int:
    """Move a landing area to the layout of this version. Return the number of deliveries that were moved.

    Do nothing where it has that layout. The caller holds the lock of the landing area. Raise InputError if a manifest
    is damaged or landed rows are missing.
    """
    old = _old_manifests(folder)
    if not old:
        return 0
    deliveries = first_deliveries(folder)
    if deliveries:
        tables = {(name, feed["part"]) for d in deliveries for name, feed in d["tables"].items()}
        parts = {place: f"{_NUMBER}-{number:04d}-0000" for number, place in enumerate(sorted(tables))}
        with duckdb.connect() as connection:
            for (table, part), moved in parts.items():
                feeds = (d["tables"][table] for d in deliveries if table in d["tables"])
                days = {day for feed in feeds if feed["part"] == part for day in feed["days"]}
                _write_part(connection, folder / table, part, moved, days)
        for delivery in deliveries:
            for name, feed in delivery["tables"].items():
                feed["part"] = parts[name, feed["part"]]
        landed_at = max(delivery["landed_at"] for delivery in deliveries)
        write_json(
            folder / _MANIFESTS / f"{_NUMBER}.json", {"landed_at": landed_at, "deliveries": deliveries}
        )
    for path in old:
        path.unlink()
    for place in folder.glob("*/event_date=*"):
        shutil.rmtree(place)
    (folder / _FIRST_LOAD).unlink(missing_ok=True)
    return len(deliveries)


def _write_part(
    connection: duckdb.DuckDBPyConnection, table: Path, part: str, moved: str, days: set[str]
) -> None:
    """Write the rows of a part again, with the two columns that they lack. Raise InputError if some are missing."""
    shutil.rmtree(table / moved, ignore_errors=True)  # of a killed move
    for day in sorted(days):
        # The only difference in the name of a day's folder is an underscore.
        source = table / day_name(day).removeprefix("_")
        files = sorted(source.glob(f"{part}_*.parquet"))
        if not files:
            raise InputError(
                f"{source}/{part}_*.parquet is missing: landed rows are lost. Restore the landing area from a backup, "
                f"or put all files of the shop into the input, delete {table.parent} and run again."
            )
        target = table / moved / day_name(day) / "data_0.parquet"
        target.parent.mkdir(parents=True)
        date = f"date {quoting.text(day)}" if day else "null::date"
        connection.execute(
            f"copy (select *, {quoting.text(moved)} as _part, {date} as _event_date "
            f"from read_parquet({quoting.paths(files)}, hive_partitioning = false)) "
            f"to {quoting.text(target)} (format parquet, compression snappy)"
        ).fetchall()


def _old_manifests(folder: Path) -> list[Path]:
    return [path for path in _all_manifests(folder) if len(path.stem) >= _HASH_LENGTH]


def _all_manifests(folder: Path) -> list[Path]:
    return sorted((folder / _MANIFESTS).glob("*.json"))
