"""Loading landed rows into the raw tables, in chunks of days.

Belongs here: replacing some days of one contract table with their landed rows. Does not: the SQL of a chunk
(`merging`), parsing files (`landing`), Dagster (`assets`).

A day is always computed from all deliveries that contain rows of it. Loading is therefore idempotent, and the result
does not depend on the order or the ranges of loads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from clm_dagster.domains.ingest import merging
from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.inbox import create_files
from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.warehouse import Connection

# Maximum number of landed rows that are merged at once, to limit memory.
_CHUNK_ROWS = 2_000_000


@dataclass(frozen=True)
class Days:
    """The days of a table to replace: [start, end).

    undated: everything outside of [start, end) instead, including rows without a readable date.
    """

    start: date
    end: date
    undated: bool = False

    def contains(self, day: date | None) -> bool:
        """Whether a landed day is one of these days; None for rows without a date."""
        inside = day is not None and self.start <= day < self.end
        return not inside if self.undated else inside

    def where(self, column: str) -> str:
        """Return the days as a SQL predicate on a date or timestamp column."""
        inside = f"{column} >= timestamp '{self.start}' and {column} < timestamp '{self.end}'"
        return f"not coalesce({inside}, false)" if self.undated else inside


# All rows of a table.
EVERYTHING = Days(date.min, date.min, undated=True)


@dataclass(frozen=True)
class ShopDates:
    """The shop's start and end date; rows outside are rejected. Without an end, the day of the delivery is the last."""

    start: date
    end: date | None


def create_tables(connection: Connection, contract: Iterable[ContractTable]) -> None:
    """Create missing raw tables, the table of rejects, and the ledgers of deliveries and builds."""
    for table in contract:
        columns = ", ".join(f"{name} {kind}" for name, kind in table.all_columns.items())
        connection.execute(f"create table if not exists {table.relation} ({columns})")
    connection.execute(
        "create table if not exists raw.rejects (delivery_id varchar, contract_table varchar, "
        "event_date date, source_file varchar, source_row bigint, reason varchar, source_columns json)"
    )
    connection.execute(
        "create table if not exists raw.deliveries (delivery_id varchar, contract_table varchar, "
        "event_date date, source_file varchar, landed_at timestamp, delivered bigint, accepted bigint, "
        "rejected bigint, duplicate bigint)"
    )
    create_files(connection)
    versions.create_ledger(connection)


def load(
    connection: Connection,
    adapter: Adapter,
    landing: Landing,
    deliveries: Sequence[Delivery],
    table: str,
    days: Days,
    dates: ShopDates,
    run_id: str,
) -> None:
    """Replace some days of a table with their landed rows. Call this inside a transaction.

    Raise InputError if the adapter's SQL contradicts its adapter.yml.
    """
    contract = adapter.tables[table].contract
    landed = [d for d in deliveries if table in d.tables]
    rows = {day: n for day, n in _rows_by_day(landed, table).items() if days.contains(day)}
    end = f"timestamp '{dates.end}'" if dates.end else "date_trunc('day', landed_at) + interval 1 day"
    _clear(connection, contract, days)
    connection.execute(
        "create or replace temp table _versions (partition_key varchar, version varchar, "
        "known_at timestamp, row_count bigint)"
    )
    merging.create_deliveries(connection, landed)
    superseded = landing.superseded(table)
    for chunk in _chunks(rows):
        files = merging.ParquetFiles(_files_by_shape(landing, landed, table, chunk), superseded)
        merging.type_rows(connection, adapter, contract, files, f"timestamp '{dates.start}'", end)
        merging.accept(connection, contract)
        merging.reject(connection, contract, files)
        merging.write_ledger(connection, contract)
        merging.append_versions(connection, contract)
        merging.drop_temporary(connection)
    _record(connection, contract, days, run_id)


def _clear(connection: Connection, contract: ContractTable, days: Days) -> None:
    """Delete some days from a table, from its rejects and from its ledger of deliveries."""
    if contract.time:
        connection.execute(f"delete from {contract.relation} where {days.where(contract.time)}")
    else:
        connection.execute(f"delete from {contract.relation}")
    for ledger in ("raw.rejects", "raw.deliveries"):
        connection.execute(
            f"delete from {ledger} where contract_table = '{contract.name}' and {days.where('event_date')}"
        )


def load_absent(connection: Connection, contract: ContractTable, run_id: str) -> None:
    """Delete all rows of a table that the source does not provide (any more)."""
    _clear(connection, contract, EVERYTHING)
    connection.execute("delete from raw.builds where relation = ?", [contract.relation])
    versions.record(connection, contract.relation, [(versions.WHOLE, Version("empty"), 0)], run_id)


def _record(connection: Connection, contract: ContractTable, days: Days, run_id: str) -> None:
    """Record the version of every day in the build ledger, including days without rows."""
    found = {
        key: (Version(version, known_at), count)
        for key, version, known_at, count in connection.execute("select * from _versions")
    }
    connection.execute("drop table _versions")
    if contract.time and days.undated:
        return  # rows outside the daily partitions are never accepted
    keys = [versions.WHOLE]
    if contract.time:
        keys = [(days.start + timedelta(days=n)).isoformat() for n in range((days.end - days.start).days)]
    rows = [(key, *found.get(key, (Version("empty"), 0))) for key in keys]
    versions.record(connection, contract.relation, rows, run_id)


def _rows_by_day(deliveries: Sequence[Delivery], table: str) -> dict[date | None, int]:
    """Return the number of landed rows per day; None for rows without a date."""
    rows: dict[date | None, int] = {}
    for delivery in deliveries:
        for key, count in delivery.tables[table].days.items():
            day = date.fromisoformat(key) if key else None
            rows[day] = rows.get(day, 0) + count
    return rows


def _chunks(rows: dict[date | None, int]) -> Iterable[list[date | None]]:
    """Yield consecutive chunks of days with a limited number of rows."""
    chunk: list[date | None] = []
    size = 0
    for day in sorted(rows, key=lambda d: d or date.min):
        if chunk and size + rows[day] > _CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
        chunk.append(day)
        size += rows[day]
    if chunk:
        yield chunk


def _files_by_shape(
    landing: Landing, deliveries: Sequence[Delivery], table: str, days: Sequence[date | None]
) -> dict[merging.Shape, list[Path]]:
    """Return the Parquet files of some days, in the order of the days, grouped by columns and styles."""
    wanted: dict[date | None, dict[str, merging.Shape]] = {day: {} for day in days}
    for delivery in deliveries:
        landed = delivery.tables[table]
        for key in landed.days:
            day = date.fromisoformat(key) if key else None
            if day in wanted:
                styles = tuple(sorted(landed.styles.items()))
                wanted[day][landed.part] = merging.Shape(tuple(landed.columns), styles)
    found: dict[merging.Shape, list[Path]] = {}
    for day, parts in wanted.items():
        for part, shape in sorted(parts.items()):
            found.setdefault(shape, []).extend(landing.files(table, part, day))
    return found
