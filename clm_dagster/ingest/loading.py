"""Merge landed rows into the raw tables: versions, rejects, the ledger.

Belongs here: the SQL that replaces some days of one contract table by what the landing area holds
of them. Does not: parsing files (`landing`), Dagster (`assets`).

Versions of a key (event_id and day) are ordered by (known_at, hash of the row), never by the order of
loading; one that equals its predecessor is a duplicate. Everything about a day is computed again from
all deliveries that touch it, so loading again, in another order or in other ranges gives the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.ingest.adapter import PROVENANCE, Adapter
from clm_dagster.ingest.contract import END, OPTIONAL, START, ContractTable
from clm_dagster.ingest.errors import InputError
from clm_dagster.ingest.landing import Delivery, Landing
from clm_dagster.sql_models import versions
from clm_dagster.sql_models.versions import Version
from clm_dagster.warehouse import Connection

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

    Raises InputError if the adapter gives a reason that it does not describe.
    """
    contract = adapter.tables[table].contract
    involved = {day for d in deliveries if table in d.tables for day in _parsed(d.tables[table].days)}
    wanted = sorted((d for d in involved if days.holds(d)), key=lambda d: d or date.min)
    _clear(connection, contract, days)
    _make_scratch(connection)
    for chunk in _chunks(wanted, deliveries, table):
        _merge(connection, adapter, landing, deliveries, contract, chunk, dates)
    _record(connection, adapter, contract, days, run_id)


def _clear(connection: Connection, contract: ContractTable, days: Days) -> None:
    if contract.time:
        connection.execute(f"delete from {contract.relation} where {days.where(contract.time)}")
    else:
        connection.execute(f"delete from {contract.relation}")
    for ledger in ("raw.rejects", "raw.deliveries"):
        connection.execute(
            f"delete from {ledger} where contract_table = '{contract.name}' and {days.where('event_date')}"
        )


def _make_scratch(connection: Connection) -> None:
    connection.execute(
        "create or replace temp table _versions (partition_key varchar, version varchar, "
        "known_at timestamp, row_count bigint)"
    )


def _merge(
    connection: Connection,
    adapter: Adapter,
    landing: Landing,
    deliveries: Sequence[Delivery],
    contract: ContractTable,
    days: Sequence[date | None],
    dates: ShopDates,
) -> None:
    """Read some landed days and append their versions, rejects and ledger rows."""
    _read_deliveries(connection, deliveries)
    selects = _adapted(connection, adapter, landing, deliveries, contract.name, days)
    columns = list(contract.columns) + list(OPTIONAL)
    end = f"timestamp '{dates.end}'" if dates.end else "date_trunc('day', landed_at) + interval 1 day"
    start = f"timestamp '{dates.start}'"
    union = " union all ".join(_typed(contract, sql, given, start, end) for sql, given in selects)
    connection.execute(f"create or replace temp table _typed as {union}")
    listed = ", ".join(columns)
    # Alike are versions that say the same, whenever they were learnt.
    content = ", ".join(
        f"coalesce(cast(t.{name} as varchar), chr(30))" for name in columns if name != "known_at"
    )
    key = f"{contract.key}, _event_date"
    # Most keys come once: only the others are hashed and ordered.
    connection.execute(
        f"create or replace temp table _repeated as select {key} from _typed "
        f"where reject_reason is null group by {key} having count(*) > 1"
    )
    same = f"t.{contract.key} = r.{contract.key} and t._event_date is not distinct from r._event_date"
    connection.execute(f"""
        create or replace temp table _chained as
        with hashed as (
            select t.*, md5(concat_ws(chr(31), {content})) as row_hash
            from _typed as t join _repeated as r on {same}
            where t.reject_reason is null
        ), ordered as (
            select *, lag(row_hash) over (
                partition by {key} order by known_at, row_hash, _delivery_id, _source_file, _source_row
            ) is not distinct from row_hash as is_repeat
            from hashed
        )
        select {listed}, lead(known_at) over (
                partition by {key} order by known_at, row_hash
            ) as superseded_at, _delivery_id, _event_date
        from ordered where not is_repeat
    """)
    connection.execute(f"""
        create or replace temp table _accepted as
        select {listed}, cast(null as timestamp) as superseded_at, _delivery_id, _event_date
        from _typed as t
        where reject_reason is null and not exists (select 1 from _repeated as r where {same})
        union all
        select * from _chained
    """)
    order = ""
    connection.execute(
        f"insert into {contract.relation} by name "
        f"select * exclude (_delivery_id, _event_date), _delivery_id as delivery_id from _accepted {order}"
    )
    _reject(connection, adapter, landing, deliveries, contract, days)
    _write_ledger(connection, contract)
    stored = ", ".join([*columns, "superseded_at", "_delivery_id"])
    connection.execute(
        "insert into _versions select coalesce(cast(_event_date as varchar), ''), "
        f"cast(bit_xor(hash({stored})) as varchar) || ':' || count(*), max(known_at), count(*) "
        "from _accepted group by _event_date"
    )
    for scratch in ("_typed", "_repeated", "_chained", "_accepted", "_rejected"):
        connection.execute(f"drop table {scratch}")


def _read_deliveries(connection: Connection, deliveries: Sequence[Delivery]) -> None:
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


def _parts(
    landing: Landing, deliveries: Sequence[Delivery], table: str, days: Sequence[date | None]
) -> dict[tuple[str, ...], list[str]]:
    """Parquet files of some days, by the columns they have."""
    shapes = {d.tables[table].part: tuple(d.tables[table].columns) for d in deliveries if table in d.tables}
    found: dict[tuple[str, ...], list[str]] = {}
    for day in days:
        for path in landing.parts(table, day, shapes):
            found.setdefault(shapes[path.name.split("_")[0]], []).append(str(path))
    return found


def _landed(paths: Sequence[str]) -> str:
    listed = ", ".join(f"'{path}'" for path in paths)
    return (
        "(select * rename (event_date as _event_date) from read_parquet("
        f"[{listed}], hive_partitioning = true, hive_types = {{'event_date': date}}))"
    )


def _adapted(
    connection: Connection,
    adapter: Adapter,
    landing: Landing,
    deliveries: Sequence[Delivery],
    table: str,
    days: Sequence[date | None],
) -> list[tuple[str, dict[str, str]]]:
    """The adapter's query for each shape of landed files, and the columns it gives."""
    result = []
    for columns, paths in _parts(landing, deliveries, table, days).items():
        sample = adapter.sql(table, columns, _landed(paths[:1]))
        result.append((adapter.sql(table, columns, _landed(paths)), connection.columns(sample)))
    return result


def _typed(contract: ContractTable, sql: str, given: dict[str, str], start: str, end: str) -> str:
    """The contract's types, known_at, and the reason for which a row is rejected."""
    columns = contract.columns | OPTIONAL
    cast = [f"{_cast(name, kind, given)} as {name}" for name, kind in columns.items()]
    unreadable = {
        name: f"{_unreadable(name, kind, given)} as _unreadable_{name}"
        for name, kind in columns.items()
        if any(reject.when == f"unreadable.{name}" for reject in contract.rejects)
    }
    whens = " ".join(
        f"when {_condition(reject.when, start, end)} then '{reject.reason}'" for reject in contract.rejects
    )
    adapter_reason = "a.reject_reason" if "reject_reason" in given else "cast(null as varchar)"
    provenance = ", ".join(f"a.{name}" for name in PROVENANCE)
    return f"""
        select {", ".join(name for name in columns if name != "known_at")},
            coalesce(known_at, case when history then {contract.time or start} else landed_at end) as known_at,
            {", ".join(PROVENANCE)},
            coalesce(adapter_reason, case {whens} end) as reject_reason
        from (
            select {", ".join([*cast, *unreadable.values()])}, {provenance},
                {adapter_reason} as adapter_reason, d.landed_at, d.history
            from ({sql}) as a join _deliveries as d on a._delivery_id = d.delivery_id
        )
    """


def _cast(name: str, kind: str, given: dict[str, str]) -> str:
    if name not in given:
        return "false" if name == "deleted" else f"cast(null as {kind})"
    value = f"a.{name}" if given[name] == kind else f"try_cast(a.{name} as {kind})"
    return f"coalesce({value}, false)" if name == "deleted" else value


def _unreadable(name: str, kind: str, given: dict[str, str]) -> str:
    """Whether a value is there and is not of its type.

    An adapter that reads a column itself gives the text beside it, as `<column>__text`.
    """
    if name not in given:
        return "false"
    text = f"{name}__text" if f"{name}__text" in given else name
    return f"(a.{text} is not null and try_cast(a.{name} as {kind}) is null)"


def _condition(when: str, start: str, end: str) -> str:
    if when.startswith("unreadable."):
        return "_" + when.replace(".", "_", 1)
    return when.replace(START, start).replace(END, end)


def _reject(
    connection: Connection,
    adapter: Adapter,
    landing: Landing,
    deliveries: Sequence[Delivery],
    contract: ContractTable,
    days: Sequence[date | None],
) -> None:
    """Keep rejected rows whole; those delivered again, known_at apart, are duplicates."""
    connection.execute(
        "create or replace temp table _rejected (delivery_id varchar, event_date date, "
        "source_file varchar, source_row bigint, reason varchar, source_columns json)"
    )
    reasons = connection.execute("select distinct reject_reason from _typed where reject_reason is not null")
    described = adapter.tables[contract.name].reasons
    for (reason,) in reasons:
        if reason not in described:
            raise InputError(
                f"{adapter.path / 'adapter.yml'}: {contract.name}.sql rejects for {reason!r}, "
                f"which `rejects` does not describe; described are {', '.join(described)}"
            )
    if not reasons:
        return
    for columns, paths in _parts(landing, deliveries, contract.name, days).items():
        pairs = ", ".join(f"'{c.replace(chr(39), chr(39) * 2)}', l.\"{c}\"" for c in columns)
        connection.execute(f"""
            insert into _rejected
            select t._delivery_id, t._event_date, t._source_file, t._source_row, t.reject_reason,
                json_object({pairs})
            from {_landed(paths)} as l join _typed as t
                on l._delivery_id = t._delivery_id and l._source_row = t._source_row
                and l._event_date is not distinct from t._event_date
            where t.reject_reason is not null
        """)
    connection.execute(f"""
        insert into raw.rejects
        select delivery_id, '{contract.name}', event_date, source_file, source_row, reason, source_columns
        from _rejected
        qualify row_number() over (
            partition by event_date, reason, json_merge_patch(source_columns, '{{"known_at": null}}')
            order by delivery_id, source_file, source_row
        ) = 1
        order by delivery_id, source_row
    """)


def _write_ledger(connection: Connection, contract: ContractTable) -> None:
    """Count what became of every delivered row; the rest after accepted and rejected is repeated."""
    connection.execute(f"""
        insert into raw.deliveries
        with delivered as (
            select _delivery_id, _event_date, any_value(_source_file) as source_file, count(*) as n
            from _typed group by _delivery_id, _event_date
        ), accepted as (
            select _delivery_id, _event_date, count(*) as n from _accepted group by _delivery_id, _event_date
        ), kept_rejects as (
            select r.delivery_id, r.event_date, count(*) as n
            from raw.rejects as r
            where r.contract_table = '{contract.name}'
                and exists (
                    select 1 from delivered as d
                    where d._delivery_id = r.delivery_id and d._event_date is not distinct from r.event_date
                )
            group by r.delivery_id, r.event_date
        )
        select
            delivered._delivery_id, '{contract.name}', delivered._event_date, delivered.source_file,
            d.landed_at, delivered.n, coalesce(accepted.n, 0), coalesce(kept_rejects.n, 0),
            delivered.n - coalesce(accepted.n, 0) - coalesce(kept_rejects.n, 0)
        from delivered
        join _deliveries as d on delivered._delivery_id = d.delivery_id
        left join accepted on accepted._delivery_id = delivered._delivery_id
            and accepted._event_date is not distinct from delivered._event_date
        left join kept_rejects on kept_rejects.delivery_id = delivered._delivery_id
            and kept_rejects.event_date is not distinct from delivered._event_date
        order by delivered._event_date, delivered._delivery_id
    """)


def _record(
    connection: Connection, adapter: Adapter, contract: ContractTable, days: Days, run_id: str
) -> None:
    """Note the version of every day in the ledger of builds, those without a row included."""
    found = {
        key: (Version(version, known_at), count)
        for key, version, known_at, count in connection.execute("select * from _versions")
    }
    connection.execute("drop table _versions")
    if contract.time and not days.undated:
        keys = [(days.start + timedelta(days=n)).isoformat() for n in range((days.end - days.start).days)]
        rows = [(key, *found.get(key, (Version("empty"), 0))) for key in keys]
    else:
        rows = [(versions.WHOLE, *found.get("", (Version("empty"), 0)))]
        if contract.time:
            return  # nothing outside the partitions is ever accepted
    versions.record(connection, contract.relation, rows, run_id)


def _parsed(days: Iterable[str]) -> list[date | None]:
    return [date.fromisoformat(day) if day else None for day in days]


def _chunks(
    days: Sequence[date | None], deliveries: Sequence[Delivery], table: str
) -> Iterable[list[date | None]]:
    """Days in order, cut where a chunk has enough rows."""
    rows: dict[date | None, int] = {}
    for delivery in deliveries:
        if table in delivery.tables:
            for key, count in delivery.tables[table].days.items():
                day = date.fromisoformat(key) if key else None
                rows[day] = rows.get(day, 0) + count
    chunk: list[date | None] = []
    size = 0
    for day in days:
        if chunk and size + rows[day] > _CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
        chunk.append(day)
        size += rows[day]
    if chunk:
        yield chunk
