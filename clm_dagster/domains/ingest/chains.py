"""Versions of a key across days: an event that another delivery moves to another day is one event.

Belongs here: which keys have rows on several days, and the days that have to be merged again because of them. Does not:
the order of versions and the rows that are kept (`merging`), typing rows (`typing_rows`).

Days are loaded independently. `raw.spread_keys` has the days of each key whose rows on one day cannot be decided by
that day alone: it has rows on several days, or rows of one delivery that differ. Loading a day types the rows of its
keys on other days too (*foreign* rows), from the landing area, since the stored rows lack duplicates and rejects. If
the stored rows of another day differ from what follows, the day is merged again.

`raw.key_days` has a number for the key of every stored row, and its day. It is searched instead of the table, whose
keys are texts: the search reads all days, so its cost grows with the history, and this is an eighth of it.
"""

from collections.abc import Iterable, Sequence
from datetime import date

from clm_dagster.domains.ingest.contract import OPTIONAL, ContractTable
from clm_dagster.platform.warehouse import Connection


def find_elsewhere(connection: Connection, contract: ContractTable) -> list[date]:
    """Create `_elsewhere`: the keys of `_typed` with the other days on which they have rows. Return these days.

    Call this after the days of `_typed` are cleared and before their rows are accepted.
    """
    connection.execute("create or replace temp table _elsewhere (row_key varchar, event_date date)")
    if not contract.moves or contract.time is None:
        return []
    kept = "from _typed where reject_reason is null and skip_reason is null"
    own = f"(select {contract.key} {kept})"
    days = [
        day
        for (day,) in connection.execute(
            f"select distinct event_date from raw.key_days where contract_table = '{contract.name}' "
            f"and key_number in (select {_number(contract)} {kept}) order by 1"
        )
    ]
    # Two keys may have the same number, so the keys themselves decide.
    stored = f"{contract.key} in {own} and {listed(days, contract.time)}" if days else "false"
    connection.execute(f"""
        insert into _elsewhere
        select {contract.key}, cast({contract.time} as date) from {contract.relation} where {stored}
        union
        select row_key, event_date from raw.spread_keys
        where contract_table = '{contract.name}' and row_key in {own}
    """)
    return [day for (day,) in connection.execute("select distinct event_date from _elsewhere order by 1")]


def _number(contract: ContractTable) -> str:
    """Return SQL for the number of a key."""
    return f"hash({contract.key})"


# A row of no table: the version of DuckDB that computed the numbers. Another version may hash otherwise.
_STAMP = "select '', hash(version()), cast(null as date)"


def create_key_days(connection: Connection, contract: Iterable[ContractTable]) -> None:
    """Create raw.key_days with the keys of all stored rows, unless this version of DuckDB has done so before."""
    if connection.relation_kind("raw.key_days") is not None:
        found = connection.scalar(
            f"select count(*) from ({_STAMP} intersect select contract_table, key_number, event_date "
            "from raw.key_days where contract_table = '')"
        )
        if found:
            return
    connection.replace_table(
        "raw.key_days",
        "select cast(contract_table as varchar) as contract_table, cast(key_number as ubigint) as key_number, "
        f"event_date from ({_STAMP}) as stamp (contract_table, key_number, event_date)",
    )
    for table in contract:
        if table.moves and connection.relation_kind(table.relation) is not None:
            connection.execute(
                f"insert into raw.key_days select '{table.name}', {_number(table)}, cast({table.time} as date) "
                f"from {table.relation} order by 3"
            )


def has_undecided(connection: Connection, contract: ContractTable, days: Sequence[date]) -> bool:
    """Whether stored rows of some days have a key that rows of another day have too, which no load has decided.

    Keys that a load has seen on several days are in raw.spread_keys.
    """
    table, own = f"contract_table = '{contract.name}'", listed(days, "event_date")
    others = [
        day
        for (day,) in connection.execute(
            f"select distinct event_date from raw.key_days where {table} and not ({own}) "
            f"and key_number in (select key_number from raw.key_days where {table} and {own})"
        )
    ]
    if not others or contract.time is None:
        return False
    here, there = (
        f"select {contract.key} from {contract.relation} where {listed(some, contract.time)}"
        for some in (days, others)
    )
    count: int = connection.scalar(
        f"select count(*) from ({here} intersect {there}) as shared ({contract.key}) "
        f"where {contract.key} not in (select row_key from raw.spread_keys where {table} and {own})"
    )
    return count > 0


def write_key_days(connection: Connection, contract: ContractTable) -> None:
    """Add the keys of `_accepted` to raw.key_days."""
    if contract.moves:
        connection.execute(
            f"insert into raw.key_days select '{contract.name}', {_number(contract)}, _event_date from _accepted"
        )


def write_spread(connection: Connection, contract: ContractTable) -> None:
    """Add the keys of `_hashed` that have rows on several days, or conflicting rows, to raw.spread_keys."""
    if not contract.moves:
        return
    key = contract.key
    connection.execute(f"""
        insert into raw.spread_keys by name
        with spread as (
            select {key} as row_key from _hashed group by {key}
            having min(_event_date) <> max(_event_date) or bool_or(is_conflict)
        ), days as (
            select distinct {key} as row_key, _event_date as event_date
            from _hashed where not is_foreign and {key} in (select row_key from spread)
            union
            select row_key, event_date from _elsewhere
        )
        select '{contract.name}' as contract_table, row_key, event_date from days
        except
        select contract_table, row_key, event_date from raw.spread_keys
    """)


def outdated_days(connection: Connection, contract: ContractTable, elsewhere: Sequence[date]) -> set[date]:
    """Return the days of foreign rows that the table stores otherwise than they were decided now.

    elsewhere: all days of foreign rows.
    """
    if not elsewhere or contract.time is None:
        return set()
    stored = ", ".join([*contract.columns, *OPTIONAL])
    return {
        day
        for (day,) in connection.execute(f"""
            with decided as (
                select {", ".join(f"f.{name}" for name in (*contract.columns, *OPTIONAL))}, c.superseded_at,
                    f._delivery_id as delivery_id
                from _foreign as f join _chained as c on f.rowid = c.row_number and c.is_foreign
            ), present as (
                select {stored}, superseded_at, delivery_id
                from {contract.relation} where {contract.key} in (select row_key from _elsewhere)
                    and {listed(elsewhere, contract.time)}
            )
            select distinct cast({contract.time} as date) from (
                (select * from decided except all select * from present)
                union all
                (select * from present except all select * from decided)
            )
        """)
    }


def note_spread(connection: Connection, contract: ContractTable, where: str) -> None:
    """Create `_spread_before`: the keys of raw.spread_keys on some days. where: the days, on event_date."""
    connection.execute(
        "create or replace temp table _spread_before as select row_key from raw.spread_keys "
        f"where contract_table = '{contract.name}' and {where}"
    )


def left_days(connection: Connection, contract: ContractTable, where: str) -> list[date]:
    """Return the other days of the keys that have left some days since `note_spread`. where: the days."""
    table = f"contract_table = '{contract.name}'"
    return [
        day
        for (day,) in connection.execute(f"""
            select distinct event_date from raw.spread_keys where {table} and not ({where}) and row_key in (
                select row_key from _spread_before
                except select row_key from raw.spread_keys where {table} and {where}
            ) order by 1
        """)
    ]


def listed(days: Iterable[date], column: str) -> str:
    """Return days as a SQL predicate on a date or timestamp column."""
    ordered = sorted(days)
    dates = ", ".join(f"date '{day}'" for day in ordered)
    return (
        f"{column} >= timestamp '{ordered[0]}' and {column} < timestamp '{ordered[-1]}' + interval 1 day "
        f"and cast({column} as date) in ({dates})"
    )
