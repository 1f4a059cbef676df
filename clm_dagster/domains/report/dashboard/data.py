"""Compute the tables of a project from the published copy.

Belongs here: the data file of the project: aggregates, and the customers to call. Does not: the queries
(`template/tables`, and what people make of them).

npm's DuckDB is older than the one that writes the published copy, and cannot open it. So the tables are computed here,
and stored in the format of DuckDB 1.2, which both can read.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from clm_dagster.domains.report.dashboard.project import SOURCE, TABLES, DashboardError, source_query
from clm_dagster.domains.report.pseudonyms import Pseudonyms
from clm_dagster.domains.report.reading import PageReading, page_as_of
from clm_dagster.domains.report.settings import ReportSettings
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.storage import write_atomically

DATA = "clm.duckdb"
_FORMAT = "v1.2.0"
_HEADER = re.compile(r"^-- (needs|columns): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class TableQuery:
    """A query of the project. needs: tables without which the result is empty. columns: of the result, with types."""

    name: str
    needs: tuple[str, ...]
    columns: str
    text: str


@dataclass(frozen=True)
class Refreshed:
    """What was computed. rows: by table."""

    as_of: datetime
    rows: dict[str, int]


def read_query(path: Path) -> TableQuery:
    """Read a query with its header. Raise DashboardError without one."""
    text = path.read_text(encoding="utf-8")
    header = dict(_HEADER.findall(text))
    missing = {"needs", "columns"} - set(header)
    if missing or not path.stem.isidentifier():
        found = f"no line `-- {sorted(missing)[0]}:`" if missing else f"the file name {path.name}"
        raise DashboardError(
            f"{path}: expected a file <table>.sql whose first lines are comments `-- needs: schema.table, ...` and "
            f"`-- columns: name TYPE, ...`, found {found}"
        )
    return TableQuery(
        path.stem, tuple(name.strip() for name in header["needs"].split(",")), header["columns"], text
    )


def refresh_data(settings: Settings, folder: Path) -> Refreshed:
    """Compute every table of a project, and replace its data file.

    Raise DashboardError if the folder has no project or a query fails, SettingsError if nothing was published,
    NothingToReportError without a snapshot.
    """
    paths = sorted((folder / TABLES).glob("*.sql"))
    if not paths:
        raise DashboardError(
            f"{folder / TABLES} has no queries; expected a project. `clm dashboard init --out {folder}` writes one"
        )
    queries = [read_query(path) for path in paths]
    with connect_published(settings, "dashboard") as connection:
        as_of = page_as_of(connection, None)
        pseudonyms = Pseudonyms.of_shop(settings) if settings.of(ReportSettings).ids == "pseudonyms" else None
        reading = PageReading(connection, as_of, settings.asset_prefix or settings.source, pseudonyms)
        shown = "id" if pseudonyms is None else pseudonyms.sql("id")
        rows = _compute(connection, reading, shown, queries, folder)
    for query in queries:
        # A table that somebody added.
        source = folder / SOURCE / f"{query.name}.sql"
        if not source.exists():
            write_atomically(source, source_query(query.name))
    return Refreshed(as_of, rows)


def _compute(
    connection: Connection, reading: PageReading, shown: str, queries: list[TableQuery], folder: Path
) -> dict[str, int]:
    """Write the data file and return the rows of each table. shown: SQL for what is shown of a customer `id`."""
    target = folder / SOURCE
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target, prefix=".clm-") as scratch:
        path = Path(scratch) / DATA
        quoted = str(path).replace("'", "''")
        connection.execute(
            f"attach '{quoted}' as dashboard (read_write, storage_version '{_FORMAT}', block_size 16384)"
        )
        try:
            connection.execute("set variable as_of = ?::timestamp", [reading.as_of])
            connection.execute("set variable currency = ?::varchar", [reading.currency])
            connection.execute(f"create or replace temp macro shown_customer(id) as {shown}")
            rows = {query.name: _fill(connection, query, folder) for query in queries}
        finally:
            connection.execute("detach dashboard")
        path.replace(target / DATA)
    return rows


def _fill(connection: Connection, query: TableQuery, folder: Path) -> int:
    table = f'dashboard."{query.name}"'
    try:
        connection.execute(f"create table {table} ({query.columns})")
        # Not `has`: a table without rows may be one of several that are joined.
        if all(connection.relation_kind(name) is not None for name in query.needs):
            connection.execute(f"insert into {table} by name {query.text}")
    except duckdb.Error as error:
        raise DashboardError(f"{folder / TABLES / query.name}.sql: {error}") from error
    rows: int = connection.scalar(f"select count(*) from {table}")
    if not rows:
        # Evidence knows no table without rows. Pages leave out rows whose first column is null.
        connection.execute(f"insert into {table} default values")
    return rows
