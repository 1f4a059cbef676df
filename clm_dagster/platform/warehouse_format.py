"""The format of a warehouse: which version of this project wrote it, and whether this version can use it.

Belongs here: the table `raw.warehouse_format`. Does not: bringing tables of an older format up to date: a table whose
code has changed is stale (`build_ledger`), and columns are added where a table is written (`warehouse`).

A format is a number that increases when an older version would misread or damage what a newer one has written. An older
format is always accepted, and its tables are brought up to date by `clm run`.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import duckdb

from clm_dagster.errors import UserError

# 1 is that of version 0.1.0, which did not record it.
FORMAT = 2
_TABLE = "raw.warehouse_format"


class NewerWarehouseError(UserError, RuntimeError):
    """The warehouse was written by a newer version. The message says which, and what to do."""


def own_version() -> str:
    """Return the version of this project."""
    try:
        return version("clm-dagster")
    except PackageNotFoundError:  # source files that are not installed
        return "unknown"


def check_format(raw: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Return whether a warehouse has the format of this version; an older one has not.

    Raise NewerWarehouseError for a newer one.
    """
    try:
        found = raw.execute(f"select format, version from {_TABLE}").fetchall()
    except duckdb.CatalogException:  # before there were formats, or a new file
        return False
    number, written_by = found[0] if found else (0, "")
    if number > FORMAT:
        raise NewerWarehouseError(
            f"{path} was written by clm_dagster {written_by} in format {number}; this is clm_dagster {own_version()}, "
            f"which knows formats up to {FORMAT}. Install version {written_by} or newer, or restore a backup that was "
            "made before the upgrade, with `clm restore`."
        )
    return bool(number == FORMAT)


def record_format(raw: duckdb.DuckDBPyConnection) -> None:
    """Record that this version writes the warehouse from now on. Call this inside a transaction."""
    raw.execute(f"create table if not exists {_TABLE} (format integer, version varchar)").fetchall()
    raw.execute(f"delete from {_TABLE}").fetchall()
    raw.execute(f"insert into {_TABLE} values (?, ?)", [FORMAT, own_version()]).fetchall()
