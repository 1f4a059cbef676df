"""The SQL that merges landed rows of some days into a contract table: versions, rejects, the ledger of deliveries.

Belongs here: the rules for row versions (known_at, superseded_at), as statements over temporary tables. Does not: which
days are loaded, and in what order (`loading`), the rows that a feed returns (`feed_rows`).

The versions of a key (event_id and day) are ordered by (known_at, hash of the row), never by the order of loading. A
version that equals its predecessor is a duplicate.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from clm_dagster.domains.ingest import feed_rows
from clm_dagster.domains.ingest.adapter import PROVENANCE, Adapter, whole_number
from clm_dagster.domains.ingest.contract import END, OPTIONAL, START, ContractTable
from clm_dagster.domains.ingest.feeds import Feed
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class WholeFile:
    """One delivery with all its days, for a feed whose SQL has to see them at once."""

    delivery_id: str
    columns: tuple[str, ...]
    paths: Sequence[Path]


@dataclass(frozen=True)
class LandedDays:
    """Landed Parquet files of one feed with the rows of some days.

    by_columns: the files grouped by their columns. superseded: rows to ignore, as (part, delivery_id). whole_files:
    for a feed that needs them, the deliveries with rows of these days.
    """

    feed: Feed
    days: Sequence[date | None]
    by_columns: Mapping[tuple[str, ...], Sequence[Path]]
    superseded: Collection[tuple[str, str]]
    whole_files: Sequence[WholeFile] = ()

    def rows(self, paths: Sequence[Path]) -> str:
        """Return SQL for the rows of some of the files."""
        ignored = ", ".join(f"({quoting.text(part)}, {quoting.text(name)})" for part, name in self.superseded)
        where = f" where (_part, _delivery_id) not in (values {ignored})" if ignored else ""
        read = f"read_parquet({quoting.paths(paths)}, hive_partitioning = false)"
        return f"(select * exclude (_part) from {read}{where})"

    def queries(self, adapter: Adapter) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield the feed's SQL over all rows of these days: for one file, to find its columns; the columns; for all."""
        if not self.feed.whole_files:
            for columns, paths in self.by_columns.items():
                one, every = (
                    adapter.sql(self.feed.name, columns, self.rows(some)) for some in (paths[:1], paths)
                )
                yield one, columns, every
        for file in self.whole_files:
            own = f"_delivery_id = {quoting.text(file.delivery_id)}"
            landed = f"(select * from {self.rows(file.paths)} where {own})"
            sql = adapter.sql(self.feed.name, file.columns, landed)
            listed = ", ".join(f"date '{day}'" for day in self.days if day)
            dated = f"_event_date in ({listed})" if listed else "false"
            undated = " or _event_date is null" if None in self.days else ""
            yield sql, file.columns, f"select * from ({sql}) where {dated}{undated}"


# Which of the typed rows become facts.
_KEPT = "reject_reason is null and skip_reason is null"
_WHOLE_NUMBERS = ("BIGINT", "INTEGER")


def create_deliveries(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Create `_deliveries`: when each delivery was landed."""
    connection.execute(
        "create or replace temp table _deliveries (delivery_id varchar, landed_at timestamp, history boolean)"
    )
    connection.execute(
        "insert into _deliveries select unnest(?), unnest(?::timestamp[]), unnest(?)",
        [
            [d.delivery_id for d in deliveries],
            [d.landed_at for d in deliveries],
            [d.history for d in deliveries],
        ],
    )


def type_rows(
    connection: Connection,
    adapter: Adapter,
    contract: ContractTable,
    landed: Sequence[LandedDays],
    start: str,
    end: str,
) -> None:
    """Create `_typed`: all landed rows in the contract's types, with known_at, feed, reject and skip reason, if any.

    Raise InputError if a feed's SQL multiplies or drops rows, uses an undescribed reason, or if its timestamp differs
    from `time`.
    """
    selects = []
    for days in landed:
        for one, _, sql in days.queries(adapter):
            selects.append(_typed(contract, days.feed, sql, connection.columns(one), start, end))
    connection.execute(f"create or replace temp table _typed as {' union all '.join(selects)}")
    for days in landed:
        feed_rows.check_one_for_one(connection, days)
        feed_rows.check_reasons(connection, adapter, days.feed)
        feed_rows.check_time(connection, adapter, days.feed)


def accept(connection: Connection, contract: ContractTable) -> None:
    """Create `_accepted`, the rows without rejects and duplicates, and insert them into the table."""
    columns = list(contract.columns) + list(OPTIONAL)
    listed = ", ".join(columns)
    # Versions are equal if all columns except known_at are equal.
    content = ", ".join(
        f"coalesce(cast({name} as varchar), chr(30))" for name in columns if name != "known_at"
    )
    key = f"{contract.key}, _event_date"
    # Most keys occur once, so only repeated keys are hashed and ordered. Hash collisions only cost time.
    connection.execute(
        "create or replace temp table _repeated as select key_hash from _typed "
        f"where {_KEPT} group by key_hash having count(*) > 1"
    )
    connection.execute(f"""
        create or replace temp table _chained as
        with hashed as (
            select *, md5(concat_ws(chr(31), {content})) as row_hash
            from _typed semi join _repeated using (key_hash) where {_KEPT}
        ), ordered as (
            select *, lag(row_hash) over (
                partition by {key}
                order by known_at, row_hash, _delivery_id, _source_file, _source_row, _feed
            ) is not distinct from row_hash as is_repeat
            from hashed
        )
        select {listed}, lead(known_at) over (
                partition by {key} order by known_at, row_hash
            ) as superseded_at, _delivery_id, _feed, _event_date
        from ordered where not is_repeat
    """)
    connection.execute(f"""
        create or replace temp view _accepted as
        select {listed}, cast(null as timestamp) as superseded_at, _delivery_id, _feed, _event_date
        from _typed anti join _repeated using (key_hash) where {_KEPT}
        union all
        select * from _chained
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
        for columns, paths in days.by_columns.items():
            same = sorted(column for column in columns if column != "known_at")
            connection.execute(f"""
                insert into _rejected
                select t._delivery_id, t._feed, t._event_date, t._source_file, t._source_row, t.reject_reason,
                    {_json(columns)}, json_merge_patch('{{}}', {_json(same)})
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
    for scratch in ("_typed", "_repeated", "_chained", "_rejected"):
        connection.execute(f"drop table {scratch}")


def _typed(contract: ContractTable, feed: Feed, sql: str, given: dict[str, str], start: str, end: str) -> str:
    columns = contract.columns | OPTIONAL
    cast = [f"{_cast(name, kind, given)} as {name}" for name, kind in columns.items()]
    unreadable = [
        f"{_unreadable(name, kind, given)} as _unreadable_{name}"
        for name, kind in columns.items()
        if any(reject.when == f"unreadable.{name}" for reject in contract.rejects)
    ]
    whens = " ".join(
        f"when {_condition(reject.when, start, end)} then '{reject.reason}'" for reject in contract.rejects
    )
    adapter_reason, skip_reason = (
        f"a.{name}" if name in given else "cast(null as varchar)" for name in ("reject_reason", "skip_reason")
    )
    provenance = ", ".join(f"a.{name}" for name in PROVENANCE)
    first_known = contract.time or start
    return f"""
        select {", ".join(name for name in columns if name != "known_at")},
            coalesce(known_at, case when history then {first_known} else landed_at end) as known_at,
            {", ".join(PROVENANCE)}, hash({contract.key}, _event_date) as key_hash,
            case when skip_reason is null then coalesce(adapter_reason, case {whens} end) end as reject_reason,
            skip_reason, '{feed.name}' as _feed
        from (
            select {", ".join([*cast, *unreadable])}, {provenance},
                {adapter_reason} as adapter_reason, {skip_reason} as skip_reason, d.landed_at, d.history
            from ({sql}) as a join _deliveries as d on a._delivery_id = d.delivery_id
        )
    """


def _cast(name: str, kind: str, given: Mapping[str, str]) -> str:
    if name not in given:
        return "false" if name == "deleted" else f"cast(null as {kind})"
    value = _readable(name, kind, given)
    return f"coalesce({value}, false)" if name == "deleted" else value


def _readable(name: str, kind: str, given: Mapping[str, str]) -> str:
    if given[name] == kind:
        return f"a.{name}"
    return whole_number(f"a.{name}", kind) if kind in _WHOLE_NUMBERS else f"try_cast(a.{name} as {kind})"


def _unreadable(name: str, kind: str, given: Mapping[str, str]) -> str:
    """Return SQL that is true for a value that is present but cannot be parsed.

    An adapter that parses a column itself also returns its text, as `<column>__text`.
    """
    text = f"{name}__text" if f"{name}__text" in given else name
    if name not in given or (text == name and given[name] == kind):
        return "false"
    return f"(a.{text} is not null and ({_readable(name, kind, given)}) is null)"


def _condition(when: str, start: str, end: str) -> str:
    if when.startswith("unreadable."):
        return "_" + when.replace(".", "_", 1)
    return when.replace(START, start).replace(END, end)


def _json(columns: Sequence[str]) -> str:
    pairs = ", ".join(f"{quoting.text(column)}, l.{quoting.name(column)}" for column in columns)
    return f"json_object({pairs})"
