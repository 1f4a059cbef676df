"""Load landed rows into the raw tables: which days, in what pieces, and the record of it.

Belongs here: replacing some days of one contract table by what the landing area holds of them. Does not:
the SQL of a piece (`merging`), parsing files (`landing`), Dagster (`assets`).

Everything about a day is computed again from all deliveries that touch it, so loading again, in another
order or in other ranges gives the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from clm_dagster.domains.ingest import merging
from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.warehouse import Connection

# Landed rows that are merged at once: bounds memory whatever the range.
_CHUNK_ROWS = 2_000_000


@dataclass(frozen=True)
class Days:
    """The days of a table that are replaced: [start, end), or (`undated`) what has none of them.

    `undated` with a range means everything outside the range, rows without a readable date included.
    """

    start: date
    end: date
    undated: bool = False

    def holds(self, day: date | None) -> bool:
        """Whether a landed day is one of them."""
        inside = day is not None and self.start <= day < self.end
        return not inside if self.undated else inside

    def where(self, column: str) -> str:
        """The days as a condition on a date or instant column."""
        inside = f"{column} >= timestamp '{self.start}' and {column} < timestamp '{self.end}'"
        return f"not coalesce({inside}, false)" if self.undated else inside


# All that a table holds.
EVERYTHING = Days(date.min, date.min, undated=True)


@dataclass(frozen=True)
class ShopDates:
    """The shop's dates, outside which a row is rejected; no end means: until it was delivered."""

    start: date
    end: date | None


def create_tables(connection: Connection, contract: Iterable[ContractTable]) -> None:
    """Make the raw tables, the rejects and the ledger where they are missing."""
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
    """Replace some days of a table by what is landed of them. Call it inside a transaction.

    Raise InputError if the adapter's SQL does not do what its YAML says.
    """
    contract = adapter.tables[table].contract
    landed = [d for d in deliveries if table in d.tables]
    rows = {day: n for day, n in _rows_by_day(landed, table).items() if days.holds(day)}
    end = f"timestamp '{dates.end}'" if dates.end else "date_trunc('day', landed_at) + interval 1 day"
    _clear(connection, contract, days)
    connection.execute(
        "create or replace temp table _versions (partition_key varchar, version varchar, "
        "known_at timestamp, row_count bigint)"
    )
    merging.read_deliveries(connection, landed)
    superseded = landing.superseded(table)
    for chunk in _chunks(rows):
        files = merging.LandedFiles(_shapes(landing, landed, table, chunk), superseded)
        merging.type_rows(connection, adapter, contract, files, f"timestamp '{dates.start}'", end)
        merging.accept(connection, contract)
        merging.reject(connection, contract, files)
        merging.write_ledger(connection, contract)
        merging.note_versions(connection, contract)
        merging.drop_scratch(connection)
    _record(connection, contract, days, run_id)


def _clear(connection: Connection, contract: ContractTable, days: Days) -> None:
    """Remove some days of a table, of its rejects and of its ledger."""
    if contract.time:
        connection.execute(f"delete from {contract.relation} where {days.where(contract.time)}")
    else:
        connection.execute(f"delete from {contract.relation}")
    for ledger in ("raw.rejects", "raw.deliveries"):
        connection.execute(
            f"delete from {ledger} where contract_table = '{contract.name}' and {days.where('event_date')}"
        )


def load_absent(connection: Connection, contract: ContractTable, run_id: str) -> None:
    """Empty a table that the source does not have (any more)."""
    _clear(connection, contract, EVERYTHING)
    connection.execute("delete from raw.builds where relation = ?", [contract.relation])
    versions.record(connection, contract.relation, [(versions.WHOLE, Version("empty"), 0)], run_id)


def _record(connection: Connection, contract: ContractTable, days: Days, run_id: str) -> None:
    """Note the version of every day in the ledger of builds, those without a row included."""
    found = {
        key: (Version(version, known_at), count)
        for key, version, known_at, count in connection.execute("select * from _versions")
    }
    connection.execute("drop table _versions")
    if contract.time and days.undated:
        return  # nothing outside the days is ever accepted
    keys = [versions.WHOLE]
    if contract.time:
        keys = [(days.start + timedelta(days=n)).isoformat() for n in range((days.end - days.start).days)]
    rows = [(key, *found.get(key, (Version("empty"), 0))) for key in keys]
    versions.record(connection, contract.relation, rows, run_id)


def _rows_by_day(deliveries: Sequence[Delivery], table: str) -> dict[date | None, int]:
    """Landed rows of each day; None for those without a day."""
    rows: dict[date | None, int] = {}
    for delivery in deliveries:
        for key, count in delivery.tables[table].days.items():
            day = date.fromisoformat(key) if key else None
            rows[day] = rows.get(day, 0) + count
    return rows


def _chunks(rows: dict[date | None, int]) -> Iterable[list[date | None]]:
    """Days in order, cut where a chunk has enough rows."""
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


def _shapes(
    landing: Landing, deliveries: Sequence[Delivery], table: str, days: Sequence[date | None]
) -> dict[tuple[str, ...], list[Path]]:
    """Parquet files of some days, in the order of the days, by the columns they have."""
    wanted: dict[date | None, dict[str, tuple[str, ...]]] = {day: {} for day in days}
    for delivery in deliveries:
        landed = delivery.tables[table]
        for key in landed.days:
            day = date.fromisoformat(key) if key else None
            if day in wanted:
                wanted[day][landed.part] = tuple(landed.columns)
    found: dict[tuple[str, ...], list[Path]] = {}
    for day, parts in wanted.items():
        for part, columns in sorted(parts.items()):
            found.setdefault(columns, []).extend(landing.files(table, part, day))
    return found
