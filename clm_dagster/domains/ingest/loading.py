"""Loading landed rows into the raw tables, in chunks of days.

Belongs here: replacing some days of one contract table with their landed rows. Does not: the SQL of a chunk
(`merging`), parsing files (`landing`), Dagster (`assets`).

A day is always computed from all deliveries that contain rows of it. Loading is therefore idempotent, and the result
does not depend on the order or the ranges of loads.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from clm_dagster.domains.ingest import chains, currencies, merging, typing_rows
from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.inbox import create_files
from clm_dagster.domains.ingest.landing import Delivery, Landing
from clm_dagster.domains.ingest.lookups import create_views
from clm_dagster.domains.ingest.parquet_writer import Shape
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.entries import create_ledger, forget_entries
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
    # Keys that one day alone does not decide, see `chains`.
    "raw.spread_keys": {"contract_table": "VARCHAR", "row_key": "VARCHAR", "event_date": "DATE"},
    # The day of every stored key, see `chains`.
    "raw.key_days": {"contract_table": "VARCHAR", "key_number": "UBIGINT", "event_date": "DATE"},
    # Currencies of current events that move money, by day.
    "raw.currencies": {
        "contract_table": "VARCHAR",
        "event_date": "DATE",
        "currency": "VARCHAR",
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


def create_tables(connection: Connection, contract: Collection[ContractTable]) -> None:
    """Create missing raw tables, the tables of rejected and skipped rows, and the ledgers of deliveries and builds.

    Ledgers that were written before there were feeds get their columns: every table had one feed of its own name.
    """
    for table in contract:
        _create_table(connection, table)
    chains.create_key_days(connection, contract)
    for relation, types in _LEDGER.items():
        connection.ensure_columns(relation, types)
    connection.execute("update raw.deliveries set feed = contract_table, skipped = 0 where feed is null")
    connection.execute("update raw.rejects set feed = contract_table where feed is null")
    create_files(connection)
    create_ledger(connection)


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
            connection.change_type(table.relation, name, kind, f"try_cast({name} as {kind})")


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
    rows = _rows_by_day(landed, feeds)
    if not any(days.contains(day) for day in rows) and not _has_rows(connection, contract, days):
        _record(connection, contract, days, {}, (), run_id)
        return
    chains.note_spread(connection, contract, days.where("event_date"))
    _clear(connection, contract, days.where)
    connection.execute(
        "create or replace temp table _versions (partition_key varchar, version varchar, "
        "known_at timestamp, row_count bigint)"
    )
    merging.create_deliveries(connection, landed)
    create_views(connection, adapter, [feed.name for feed in feeds], landing.folder)
    if table == "events":
        currencies.create_rates(connection)
    end = f"timestamp '{dates.end}'" if dates.end else "date_trunc('day', landed_at) + interval 1 day"
    merge = _Merge(
        connection,
        adapter,
        contract,
        landing,
        landed,
        typing_rows.Limits(f"timestamp '{dates.start}'", end, currency),
        {feed.name: landing.superseded(feed.name) for feed in feeds},
    )
    outdated: set[date] = set()
    for chunk in _chunks({day: count for day, count in rows.items() if days.contains(day)}):
        outdated |= merge.chunk(chunk)
    outdated |= set(chains.left_days(connection, contract, days.where("event_date")))
    again: dict[date | None, int] = {day: rows[day] for day in outdated if day in rows}
    for chunk in _chunks(again):
        merge.again(chunk)
    if table == "events":
        currencies.check_single_currency(connection, currency)
    found = {
        key: (Version(version, known_at), count)
        for key, version, known_at, count in connection.execute("select * from _versions")
    }
    connection.execute("drop table _versions")
    _record(connection, contract, days, found, outdated, run_id)


def _has_rows(connection: Connection, contract: ContractTable, days: Days) -> bool:
    """Whether rows of some days were delivered before."""
    count: int = connection.scalar(
        f"select count(*) from raw.deliveries where contract_table = '{contract.name}' and {days.where('event_date')}"
    )
    return count > 0


@dataclass(frozen=True)
class _Merge:
    """Merges landed rows of one contract table, by chunks of days."""

    connection: Connection
    adapter: Adapter
    contract: ContractTable
    landing: Landing
    deliveries: Sequence[Delivery]
    limits: typing_rows.Limits
    superseded: Mapping[str, Collection[tuple[str, str]]]

    def chunk(self, days: Sequence[date | None]) -> set[date]:
        """Merge days that are cleared. Return other days whose stored rows do not fit to these rows any more."""
        given = (self.connection, self.adapter, self.contract)
        files = self._files(days)
        typing_rows.type_rows(*given, files, self.limits)
        elsewhere = chains.find_elsewhere(self.connection, self.contract)
        typing_rows.type_foreign(*given, self._files(elsewhere) if elsewhere else [], self.limits)
        merging.hash_repeated(self.connection, self.contract)
        merging.reject_conflicts(self.connection, self.contract)
        merging.accept(self.connection, self.contract)
        merging.reject(self.connection, self.contract, files)
        merging.write_ledger(self.connection, self.contract)
        merging.write_guests(self.connection, self.contract)
        merging.append_versions(self.connection, self.contract)
        if self.contract.name == "events":
            currencies.write_currencies(self.connection)
        chains.write_spread(self.connection, self.contract)
        chains.write_key_days(self.connection, self.contract)
        outdated = chains.outdated_days(self.connection, self.contract, elsewhere)
        merging.drop_temporary(self.connection)
        return outdated

    def again(self, days: Sequence[date | None]) -> None:
        """Clear and merge days that were loaded before."""
        dates = [day for day in days if day is not None]
        _clear(self.connection, self.contract, lambda column: chains.listed(dates, column))
        self.connection.execute(f"delete from _versions where {chains.listed(dates, 'partition_key::date')}")
        self.chunk(days)

    def _files(self, days: Sequence[date | None]) -> list[merging.LandedDays]:
        return [
            _landed_days(self.landing, self.deliveries, feed, days, self.superseded[feed.name])
            for feed in self.adapter.tables[self.contract.name]
        ]


def _clear(connection: Connection, contract: ContractTable, where: Callable[[str], str]) -> None:
    """Delete some days from a table, and from the tables that say what became of their rows.

    where: returns the days as a predicate on a column.
    """
    if contract.time:
        connection.execute(f"delete from {contract.relation} where {where(contract.time)}")
    else:
        connection.execute(f"delete from {contract.relation}")
    for ledger in _LEDGER:
        connection.execute(
            f"delete from {ledger} where contract_table = '{contract.name}' and {where('event_date')}"
        )


def load_absent(connection: Connection, contract: ContractTable, run_id: str) -> None:
    """Delete all rows of a table that the source does not provide (any more)."""
    _clear(connection, contract, EVERYTHING.where)
    forget_entries(connection, "relation = ?", [contract.relation])
    versions.record(connection, contract.relation, [(versions.WHOLE, Version("empty"), 0)], run_id)


def _record(
    connection: Connection,
    contract: ContractTable,
    days: Days,
    found: Mapping[str, tuple[Version, int]],
    others: Iterable[date],
    run_id: str,
) -> None:
    """Record the version of every day in the build ledger, including days without rows.

    found: version and number of rows of the days with rows. others: further days.
    """
    keys = [versions.WHOLE]
    if contract.time:
        # Rows outside the daily partitions are never accepted.
        length = 0 if days.undated else (days.end - days.start).days
        keys = [(days.start + timedelta(days=n)).isoformat() for n in range(length)]
        keys = sorted({*keys, *(day.isoformat() for day in others)})
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
