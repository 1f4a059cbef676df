"""The SQL that merges landed rows of some days into a contract table: versions, rejects, the ledger of deliveries.

Belongs here: the rules for row versions (known_at, superseded_at), as statements over temporary tables. Does not: the
types and reject reasons of rows (`typing_rows`), the rows that a feed returns (`feed_rows`), which days are loaded and
in what order (`loading`).

The versions of a key are ordered by known_at, then by the delivery's rank (when it was landed, its path), never by the
order of loading. A version that equals its predecessor is a duplicate. Rows of one delivery that claim the same key
with different contents are rejected. Foreign rows, those of other days (`chains`), take part and are not stored.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from clm_dagster.domains.ingest.adapter import Adapter
from clm_dagster.domains.ingest.contract import CONFLICTING, OPTIONAL, ContractTable
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.parquet_writer import Shape
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class WholeFile:
    """One delivery with all its days, for a feed whose SQL has to see them at once."""

    delivery_id: str
    shape: Shape
    paths: Sequence[Path]


@dataclass(frozen=True)
class LandedDays:
    """Landed Parquet files of one feed with the rows of some days.

    by_shape: the files grouped by their columns and styles. superseded: rows to ignore, as (part, delivery_id).
    whole_files: for a feed that needs them, the deliveries with rows of these days.
    """

    feed: Feed
    days: Sequence[date | None]
    by_shape: Mapping[Shape, Sequence[Path]]
    superseded: Collection[tuple[str, str]]
    whole_files: Sequence[WholeFile] = ()

    def rows(self, paths: Sequence[Path]) -> str:
        """Return SQL for the rows of some of the files."""
        ignored = ", ".join(f"({quoting.text(part)}, {quoting.text(name)})" for part, name in self.superseded)
        where = f" where (_part, _delivery_id) not in (values {ignored})" if ignored else ""
        read = f"read_parquet({quoting.paths(paths)}, hive_partitioning = false)"
        return f"(select * exclude (_part) from {read}{where})"

    def queries(self, adapter: Adapter) -> Iterator[tuple[str, str]]:
        """Yield the feed's SQL over all rows of these days: for one file, to find its columns, and for all files."""
        if not self.feed.whole_files:
            for shape, paths in self.by_shape.items():
                one, every = (self._sql(adapter, shape, self.rows(some)) for some in (paths[:1], paths))
                yield one, every
        for file in self.whole_files:
            own = f"_delivery_id = {quoting.text(file.delivery_id)}"
            sql = self._sql(adapter, file.shape, f"(select * from {self.rows(file.paths)} where {own})")
            listed = ", ".join(f"date '{day}'" for day in self.days if day)
            dated = f"_event_date in ({listed})" if listed else "false"
            undated = " or _event_date is null" if None in self.days else ""
            yield sql, f"select * from ({sql}) where {dated}{undated}"

    def _sql(self, adapter: Adapter, shape: Shape, landed: str) -> str:
        return adapter.sql(self.feed.name, shape.columns, landed, dict(shape.styles))


# Which of the typed rows become facts.
_KEPT = "reject_reason is null and skip_reason is null"


def create_deliveries(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Create `_deliveries`: when each delivery was landed, and its rank among all.

    Files that were landed together are ranked by their paths, in which numbers count as numbers.
    """
    connection.execute(
        "create or replace temp table _deliveries "
        "(delivery_id varchar, landed_at timestamp, history boolean, delivery_rank bigint)"
    )
    ranked = sorted(deliveries, key=lambda d: (d.landed_at, _natural(d.path), d.delivery_id))
    connection.execute(
        "insert into _deliveries select unnest(?), unnest(?::timestamp[]), unnest(?), unnest(?::bigint[])",
        [
            [d.delivery_id for d in ranked],
            [d.landed_at for d in ranked],
            [d.history for d in ranked],
            list(range(len(ranked))),
        ],
    )


def _natural(path: str) -> list[tuple[str, int]]:
    """Return a key that sorts `events_9.csv` before `events_10.csv`."""
    parts = re.split(r"(\d+)", path)
    return [(text, int(number or 0)) for text, number in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def hash_repeated(connection: Connection, contract: ContractTable) -> None:
    """Create `_hashed`: the rows of `_typed` and `_foreign` whose key is repeated, with what orders their versions.

    Most keys occur once, so only repeated ones are hashed and ordered. Collisions of key_hash only cost time.
    is_conflict: whether another row of the delivery has the same key and known_at, but not the same content. A row
    without a known_at of its own has that of its delivery. Deleted rows conflict with none.
    """
    rows = [
        f"select *, rowid as row_number, {foreign} as is_foreign from {table} where {_KEPT}"
        for table, foreign in (("_typed", "false"), ("_foreign", "true"))
    ]
    keys = " union all ".join(
        f"select key_hash from {table} where {_KEPT}" for table in ("_typed", "_foreign")
    )
    connection.execute(
        f"create or replace temp table _repeated as select key_hash from ({keys}) group by 1 having count(*) > 1"
    )
    columns = dict.fromkeys(
        [contract.key, "_event_date", "known_at", "own_known_at", "deleted", *filter(None, [contract.time])]
    )
    content = ", ".join(
        f"coalesce(cast({name} as varchar), chr(30))"
        for name in (*contract.columns, *OPTIONAL)
        if name != "known_at"
    )
    connection.execute(f"""
        create or replace temp table _hashed as
        select {", ".join(columns)}, _delivery_id, _source_file, _source_row, _feed, row_number, is_foreign,
            md5(concat_ws(chr(31), {content})) as row_hash, false as is_conflict
        from ({" union all ".join(rows)}) semi join _repeated using (key_hash)
    """)


def reject_conflicts(connection: Connection, contract: ContractTable) -> None:
    """Reject all rows of a delivery that have the same key and known_at, but not the same content."""
    if CONFLICTING not in {reject.reason for reject in contract.rejects}:
        return
    claim = f"_delivery_id, {contract.identity}, own_known_at"
    connection.execute(f"""
        create or replace temp table _conflicts as
        select {claim} from _hashed where not deleted group by {claim} having min(row_hash) <> max(row_hash)
    """)
    if connection.scalar("select count(*) from _conflicts") > 0:
        same = " and ".join(f"h.{name} is not distinct from c.{name}" for name in claim.split(", "))
        connection.execute(
            f"update _hashed as h set is_conflict = true from _conflicts as c where not h.deleted and {same}"
        )
        connection.execute(
            f"update _typed set reject_reason = '{CONFLICTING}' from _hashed as h "
            "where _typed.rowid = h.row_number and h.is_conflict and not h.is_foreign"
        )
    connection.execute("drop table _conflicts")


def accept(connection: Connection, contract: ContractTable) -> None:
    """Create `_accepted`, the rows without rejects and duplicates, and insert them into the table."""
    listed = ", ".join([*contract.columns, *OPTIONAL])
    # Without a known_at of their own, rows of the first load are ordered by their delivery alone: when an event
    # happened says nothing about when it was corrected.
    order = (
        "case when history and own_known_at is null then timestamp '-infinity' else known_at end, delivery_rank, "
        f"deleted desc{f', {contract.time}' if contract.time else ''}, row_hash"
    )
    connection.execute(f"""
        create or replace temp table _chained as
        with ordered as (
            select h.*, history, delivery_rank, lag(row_hash) over (
                partition by {contract.identity} order by {order}, _source_file, _source_row, _feed
            ) is not distinct from row_hash as is_repeat
            from _hashed as h join _deliveries as d on h._delivery_id = d.delivery_id
            where not is_conflict
        )
        select row_number, is_foreign, case when successor is not null then greatest(known_at, successor) end
            as superseded_at
        from (
            select *, lead(known_at) over (partition by {contract.identity} order by {order}) as successor
            from ordered where not is_repeat
        )
    """)
    connection.execute(f"""
        create or replace temp view _accepted as
        select {listed}, cast(null as timestamp) as superseded_at, _delivery_id, _feed, _event_date
        from _typed anti join _repeated using (key_hash) where {_KEPT}
        union all
        select {listed}, c.superseded_at, _delivery_id, _feed, _event_date
        from _typed as t join _chained as c on t.rowid = c.row_number and not c.is_foreign
    """)
    connection.execute(
        f"insert into {contract.relation} by name "
        "select * exclude (_delivery_id, _feed, _event_date), _delivery_id as delivery_id from _accepted"
    )


def reject(connection: Connection, contract: ContractTable, landed: Sequence[LandedDays]) -> None:
    """Create `_rejected`, the rejected rows with all columns, and insert them into raw.rejects.

    Rows of a feed that are equal except for known_at are kept once.
    """
    connection.execute(
        "create or replace temp table _rejected (delivery_id varchar, feed varchar, event_date date, "
        "source_file varchar, source_row bigint, reason varchar, source_columns json, content varchar)"
    )
    if connection.scalar("select count(*) from _typed where reject_reason is not null") == 0:
        return
    for days in landed:
        for shape, paths in days.by_shape.items():
            same = sorted(column for column in shape.columns if column != "known_at")
            connection.execute(f"""
                insert into _rejected
                select t._delivery_id, t._feed, t._event_date, t._source_file, t._source_row, t.reject_reason,
                    {_json(shape.columns)}, json_merge_patch('{{}}', {_json(same)})
                from {days.rows(paths)} as l join _typed as t
                    on l._delivery_id = t._delivery_id and l._source_row = t._source_row
                    and l._event_date is not distinct from t._event_date
                where t.reject_reason is not null and t._feed = '{days.feed.name}'
            """)
    connection.execute("""
        create or replace temp table _rejected as
        select * exclude (content) from _rejected
        qualify row_number() over (
            partition by feed, event_date, reason, content order by delivery_id, source_file, source_row
        ) = 1
    """)
    connection.execute(f"""
        insert into raw.rejects by name
        select *, '{contract.name}' as contract_table
        from _rejected order by delivery_id, feed, source_row
    """)


def write_ledger(connection: Connection, contract: ContractTable) -> None:
    """Count the delivered, accepted, rejected and skipped rows of each delivery, feed and day.

    The remaining rows are duplicates. Skipped rows are also counted by reason.
    """
    connection.execute(f"""
        insert into raw.deliveries by name
        with counted as (
            select delivery_id, feed, event_date, max(source_file) as source_file, sum(delivered) as delivered,
                sum(accepted) as accepted, sum(rejected) as rejected, sum(skipped) as skipped
            from (
                select _delivery_id as delivery_id, _feed as feed, _event_date as event_date,
                    min(_source_file) as source_file, count(*) as delivered, 0 as accepted, 0 as rejected,
                    count(skip_reason) as skipped
                from _typed group by all
                union all
                select _delivery_id, _feed, _event_date, null, 0, count(*), 0, 0 from _accepted group by all
                union all
                select delivery_id, feed, event_date, null, 0, 0, count(*), 0 from _rejected group by all
            )
            group by delivery_id, feed, event_date
        )
        select delivery_id, '{contract.name}' as contract_table, feed, event_date, source_file, d.landed_at,
            delivered, accepted, rejected, delivered - accepted - rejected - skipped as duplicate, skipped
        from counted join _deliveries as d using (delivery_id)
        order by event_date, delivery_id, feed
    """)
    connection.execute(f"""
        insert into raw.skips by name
        select _delivery_id as delivery_id, '{contract.name}' as contract_table, _feed as feed,
            _event_date as event_date, skip_reason as reason, count(*) as row_count
        from _typed where skip_reason is not null group by all
        order by event_date, delivery_id, feed, reason
    """)


def write_guests(connection: Connection, contract: ContractTable) -> None:
    """Count the rows whose customer id was read as no customer, for each delivery, day and text."""
    connection.execute(f"""
        insert into raw.no_customers
        select _delivery_id, '{contract.name}', _event_date, no_customer, count(*)
        from _typed where no_customer is not null and reject_reason is null group by all order by all
    """)


def append_versions(connection: Connection, contract: ContractTable) -> None:
    """Insert into `_versions`: a hash of each day's accepted rows, the latest known_at, the row count."""
    stored = ", ".join([*contract.columns, *OPTIONAL, "superseded_at", "_delivery_id"])
    connection.execute(
        "insert into _versions select coalesce(cast(_event_date as varchar), ''), "
        f"cast(bit_xor(hash({stored})) as varchar) || ':' || count(*), max(known_at), count(*) "
        "from _accepted group by _event_date"
    )


def drop_temporary(connection: Connection) -> None:
    """Drop the temporary tables and views of one chunk of days."""
    connection.execute("drop view _accepted")
    for scratch in ("_typed", "_foreign", "_elsewhere", "_repeated", "_hashed", "_chained", "_rejected"):
        connection.execute(f"drop table {scratch}")


def _json(columns: Sequence[str]) -> str:
    pairs = ", ".join(f"{quoting.text(column)}, l.{quoting.name(column)}" for column in columns)
    return f"json_object({pairs})"
