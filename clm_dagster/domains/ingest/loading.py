"""Loading landed rows into the raw tables, in chunks of days.

Belongs here: replacing some days of one contract table with their landed rows. Does not: the SQL of a chunk
(`merging`), parsing files (`landing`), Dagster (`assets`).

A day is always computed from all deliveries that contain rows of it. Loading is therefore idempotent, and the result
does not depend on the order or the ranges of loads.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from clm_dagster.domains.ingest import chains, currencies, merging, typing_rows
from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.inbox import create_files
from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.domains.ingest.parquet_writer import Shape
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


_COUNTS = ("delivered", "accepted", "rejected", "duplicate", "skipped")
# The tables that say what became of the delivered rows. A delivery's rows are counted for each feed and day.
_LEDGER: dict[str, dict[str, str]] = {
    "raw.deliveries": {
        "delivery_id": "VARCHAR",
        "contract_table": "VARCHAR",
        "feed": "VARCHAR",
        "event_date": "DATE",
        "source_file": "VARCHAR",
        "landed_at": "TIMESTAMP",
        **dict.fromkeys(_COUNTS, "BIGINT"),
    },
    "raw.rejects": {
        "delivery_id": "VARCHAR",
        "contract_table": "VARCHAR",
        "feed": "VARCHAR",
        "event_date": "DATE",
        "source_file": "VARCHAR",
        "source_row": "BIGINT",
        "reason": "VARCHAR",
        "source_columns": "JSON",
    },
    "raw.skips": {
        "delivery_id": "VARCHAR",
        "contract_table": "VARCHAR",
        "feed": "VARCHAR",
        "event_date": "DATE",
        "reason": "VARCHAR",
        "row_count": "BIGINT",
    },
    # Rows whose customer id means that there is none.
    "raw.no_customers": {
        "delivery_id": "VARCHAR",
        "contract_table": "VARCHAR",
        "event_date": "DATE",
        "customer_id": "VARCHAR",
        "row_count": "BIGINT",
    },
}


def create_tables(connection: Connection, contract: Iterable[ContractTable]) -> None:
    """Create missing raw tables, the tables of rejected and skipped rows, and the ledgers of deliveries and builds.

    Ledgers that were written before there were feeds get their columns: every table had one feed of its own name.
    """
    for table in contract:
        _create_table(connection, table)
    for relation, types in _LEDGER.items():
        connection.ensure_columns(relation, types)
    connection.execute("update raw.deliveries set feed = contract_table, skipped = 0 where feed is null")
    connection.execute("update raw.rejects set feed = contract_table where feed is null")
    create_files(connection)
    versions.create_ledger(connection)


def _create_table(connection: Connection, table: ContractTable) -> None:
    """Create a raw table. Give one of an earlier version of the contract the columns and types of this one.

    A changed contract makes every partition stale, so its rows are loaded again.
    """
    if connection.relation_kind(table.relation) is None:
        columns = ", ".join(f"{name} {kind}" for name, kind in table.all_columns.items())
        connection.execute(f"create table {table.relation} ({columns})")
        return
    stored = connection.columns(f"select * from {table.relation}")
    for name, kind in table.all_columns.items():
        if name not in stored:
            connection.execute(f"alter table {table.relation} add column {name} {kind}")
        elif stored[name] != kind:
            connection.execute(
                f"alter table {table.relation} alter column {name} set data type {kind} "
                f"using try_cast({name} as {kind})"
            )


def load(
    connection: Connection,
    adapter: Adapter,
    landing: Landing,
    deliveries: Sequence[Delivery],
    table: str,
    days: Days,
    dates: ShopDates,
    run_id: str,
    currency: str = "",
) -> None:
    """Replace some days of a table with their landed rows. Call this inside a transaction.

    currency: the shop's currency; empty if the shop has a single one.

    Raise InputError if the adapter's SQL contradicts its adapter.yml.
    """
    feeds = adapter.tables[table]
    contract = feeds[0].contract
    landed = [d for d in deliveries if any(feed.name in d.tables for feed in feeds)]
    rows = {day: n for day, n in _rows_by_day(landed, feeds).items() if days.contains(day)}
    end = f"timestamp '{dates.end}'" if dates.end else "date_trunc('day', landed_at) + interval 1 day"
    first_known = contract.time or f"timestamp '{dates.start}'"
    chained = contract.time is not None and contract.key.endswith("_id")
    if chained:
        chains.note_moved(connection, contract, days.where(str(contract.time)))
    _clear(connection, contract, days)
    connection.execute(
        "create or replace temp table _versions (partition_key varchar, version varchar, "
        "known_at timestamp, row_count bigint)"
    )
    merging.create_deliveries(connection, landed)
    if table == "events":
        currencies.create_rates(connection, days.where("day"))
    superseded = {feed.name: landing.superseded(feed.name) for feed in feeds}
    for chunk in _chunks(rows):
        files = [_landed_days(landing, landed, feed, chunk, superseded[feed.name]) for feed in feeds]
        typing_rows.type_rows(
            connection, adapter, contract, files, f"timestamp '{dates.start}'", end, currency
        )
        merging.reject_conflicts(connection, contract)
        merging.accept(connection, contract, first_known)
        merging.reject(connection, contract, files)
        merging.write_ledger(connection, contract)
        merging.write_guests(connection, contract)
        merging.append_versions(connection, contract)
        merging.drop_temporary(connection)
    moved: list[str] = []
    if chained:
        chains.note_moved(connection, contract, days.where(str(contract.time)))
        moved = chains.chain_moved(connection, contract, first_known)
    if table == "events":
        currencies.check_single_currency(connection, currency)
    _record(connection, contract, days, run_id)
    # Replaces the versions of the days whose rows were superseded, or revived, by rows of another day.
    versions.record(
        connection, contract.relation, chains.versions_of_days(connection, contract, moved), run_id
    )


def _clear(connection: Connection, contract: ContractTable, days: Days) -> None:
    """Delete some days from a table, from its rejects and skips and from its ledger of deliveries."""
    if contract.time:
        connection.execute(f"delete from {contract.relation} where {days.where(contract.time)}")
    else:
        connection.execute(f"delete from {contract.relation}")
    for ledger in _LEDGER:
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


def _rows_by_day(deliveries: Sequence[Delivery], feeds: Sequence[Feed]) -> dict[date | None, int]:
    """Return the number of landed rows per day, for all feeds together; None for rows without a date."""
    rows: dict[date | None, int] = {}
    for delivery in deliveries:
        for feed in feeds:
            for key, count in delivery.tables[feed.name].days.items() if feed.name in delivery.tables else ():
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


def _landed_days(
    landing: Landing,
    deliveries: Sequence[Delivery],
    feed: Feed,
    days: Sequence[date | None],
    superseded: Collection[tuple[str, str]],
) -> merging.LandedDays:
    """Return a feed's Parquet files of some days, in the order of the days, grouped by columns and styles."""
    wanted: dict[date | None, dict[str, Shape]] = {day: {} for day in days}
    touched = []
    for delivery in deliveries:
        if feed.name not in delivery.tables:
            continue
        landed = delivery.tables[feed.name]
        found = [day for key in landed.days if (day := date.fromisoformat(key) if key else None) in wanted]
        for day in found:
            wanted[day][landed.part] = landed.shape
        if found:
            touched.append(delivery)
    by_shape: dict[Shape, list[Path]] = {}
    for day, parts in wanted.items():
        for part, shape in sorted(parts.items()):
            by_shape.setdefault(shape, []).extend(landing.files(feed.name, part, day))
    whole = [_whole_file(landing, delivery, feed) for delivery in touched] if feed.whole_files else []
    return merging.LandedDays(feed, days, by_shape, superseded, whole)


def _whole_file(landing: Landing, delivery: Delivery, feed: Feed) -> merging.WholeFile:
    landed = delivery.tables[feed.name]
    paths = landing.all_files(feed.name, landed)
    return merging.WholeFile(delivery.delivery_id, landed.shape, paths)
