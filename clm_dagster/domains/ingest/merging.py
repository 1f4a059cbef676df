"""The SQL that merges landed rows of some days into a contract table: versions, rejects, the ledger of deliveries.

Belongs here: the rules for row versions (known_at, superseded_at), as statements over temporary tables. Does not: which
days are loaded, and in what order (`loading`).

The versions of a key (event_id and day) are ordered by (known_at, hash of the row), never by the order of loading. A
version that equals its predecessor is a duplicate.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clm_dagster.domains.ingest.adapter import PROVENANCE, Adapter
from clm_dagster.domains.ingest.contract import END, OPTIONAL, START, ContractTable
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.values import whole_number
from clm_dagster.platform import quoting
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class Shape:
    """What landed files that are typed together have in common. styles: (column, style), see `values`."""

    columns: tuple[str, ...]
    styles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ParquetFiles:
    """Landed Parquet files of some days.

    by_shape: the files grouped by their columns and styles. superseded: rows to ignore, as (part, delivery_id).
    """

    by_shape: Mapping[Shape, Sequence[Path]]
    superseded: Collection[tuple[str, str]]

    def rows(self, paths: Sequence[Path]) -> str:
        """Return SQL for the rows of some of the files."""
        ignored = ", ".join(f"({quoting.text(part)}, {quoting.text(name)})" for part, name in self.superseded)
        where = f" where (_part, _delivery_id) not in (values {ignored})" if ignored else ""
        read = f"read_parquet({quoting.paths(paths)}, hive_partitioning = false)"
        return f"(select * exclude (_part) from {read}{where})"


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
    landed: ParquetFiles,
    start: str,
    end: str,
) -> None:
    """Create `_typed`: all landed rows in the contract's types, with known_at and the reject reason, if any.

    Raise InputError if the adapter's SQL uses an undescribed reason, or if its timestamp differs from `time`.
    """
    selects = []
    for shape, paths in landed.by_shape.items():
        first, rows = (
            adapter.sql(contract.name, shape.columns, landed.rows(some), dict(shape.styles))
            for some in (paths[:1], paths)
        )
        selects.append(_typed(contract, rows, connection.columns(first), start, end))
    connection.execute(f"create or replace temp table _typed as {' union all '.join(selects)}")
    described = adapter.tables[contract.name].reasons
    for (reason,) in connection.execute("select distinct reject_reason from _typed"):
        if reason is not None and reason not in described:
            raise InputError(
                f"{adapter.path / 'adapter.yml'}: {contract.name}.sql uses the reject reason {reason!r}, "
                f"but `rejects` does not describe it; described reasons: {', '.join(described)}"
            )
    if contract.time:
        moved = connection.execute(
            f"select _source_file, _source_row, _event_date, {contract.time} from _typed where reject_reason "
            f"is null and cast({contract.time} as date) is distinct from _event_date limit 1"
        )
        for file, row, day, instant in moved:
            raise InputError(
                f"{adapter.path}: `time` in adapter.yml assigns row {row} of {file} to {day or 'no day'}, but "
                f"{contract.name}.sql returns {contract.time} {instant}; use {{{{ time() }}}} in the SQL"
            )


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
        "where reject_reason is null group by key_hash having count(*) > 1"
    )
    connection.execute(f"""
        create or replace temp table _chained as
        with hashed as (
            select *, md5(concat_ws(chr(31), {content})) as row_hash
            from _typed semi join _repeated using (key_hash) where reject_reason is null
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
        create or replace temp view _accepted as
        select {listed}, cast(null as timestamp) as superseded_at, _delivery_id, _event_date
        from _typed anti join _repeated using (key_hash) where reject_reason is null
        union all
        select * from _chained
    """)
    connection.execute(
        f"insert into {contract.relation} by name "
        "select * exclude (_delivery_id, _event_date), _delivery_id as delivery_id from _accepted"
    )


def reject(connection: Connection, contract: ContractTable, landed: ParquetFiles) -> None:
    """Create `_rejected`, the rejected rows with all columns, and insert them into raw.rejects.

    Rows that are equal except for known_at are kept once.
    """
    connection.execute(
        "create or replace temp table _rejected (delivery_id varchar, event_date date, source_file varchar, "
        "source_row bigint, reason varchar, source_columns json, content varchar)"
    )
    if connection.scalar("select count(*) from _typed where reject_reason is not null") == 0:
        return
    for shape, paths in landed.by_shape.items():
        same = sorted(column for column in shape.columns if column != "known_at")
        connection.execute(f"""
            insert into _rejected
            select t._delivery_id, t._event_date, t._source_file, t._source_row, t.reject_reason,
                {_json(shape.columns)}, json_merge_patch('{{}}', {_json(same)})
            from {landed.rows(paths)} as l join _typed as t
                on l._delivery_id = t._delivery_id and l._source_row = t._source_row
                and l._event_date is not distinct from t._event_date
            where t.reject_reason is not null
        """)
    connection.execute("""
        create or replace temp table _rejected as
        select * exclude (content) from _rejected
        qualify row_number() over (
            partition by event_date, reason, content order by delivery_id, source_file, source_row
        ) = 1
    """)
    connection.execute(f"""
        insert into raw.rejects
        select delivery_id, '{contract.name}', event_date, source_file, source_row, reason, source_columns
        from _rejected order by delivery_id, source_row
    """)


def write_ledger(connection: Connection, contract: ContractTable) -> None:
    """Count the delivered, accepted and rejected rows of each delivery and day; the remaining rows are duplicates."""
    connection.execute(f"""
        insert into raw.deliveries
        with counted as (
            select delivery_id, event_date, max(source_file) as source_file, sum(delivered) as delivered,
                sum(accepted) as accepted, sum(rejected) as rejected
            from (
                select _delivery_id as delivery_id, _event_date as event_date, min(_source_file) as source_file,
                    count(*) as delivered, 0 as accepted, 0 as rejected
                from _typed group by all
                union all
                select _delivery_id, _event_date, null, 0, count(*), 0 from _accepted group by all
                union all
                select delivery_id, event_date, null, 0, 0, count(*) from _rejected group by all
            )
            group by delivery_id, event_date
        )
        select delivery_id, '{contract.name}', event_date, source_file, d.landed_at, delivered, accepted,
            rejected, delivered - accepted - rejected
        from counted join _deliveries as d using (delivery_id)
        order by event_date, delivery_id
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


def _typed(contract: ContractTable, sql: str, given: dict[str, str], start: str, end: str) -> str:
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
    adapter_reason = "a.reject_reason" if "reject_reason" in given else "cast(null as varchar)"
    provenance = ", ".join(f"a.{name}" for name in PROVENANCE)
    first_known = contract.time or start
    return f"""
        select {", ".join(name for name in columns if name != "known_at")},
            coalesce(known_at, case when history then {first_known} else landed_at end) as known_at,
            {", ".join(PROVENANCE)}, hash({contract.key}, _event_date) as key_hash,
            coalesce(adapter_reason, case {whens} end) as reject_reason
        from (
            select {", ".join([*cast, *unreadable])}, {provenance},
                {adapter_reason} as adapter_reason, d.landed_at, d.history
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
