"""Versions of a key across days: an event that a later delivery moves to another day is superseded on the old one.

Belongs here: the order of versions, and `superseded_at` of keys that have rows on several days. Does not: the versions
within a day (`merging`).

Days are loaded independently, so a load ends the versions of its keys on other days, or revives them. The ledger's
version of such a day changes, and what is built from it becomes stale.
"""

from collections.abc import Sequence

from clm_dagster.domains.ingest.contract import OPTIONAL, ContractTable
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.warehouse import Connection


def order_of(contract: ContractTable, first_known: str) -> str:
    """Return SQL for the order of the versions of a key; rows are joined with `_deliveries`.

    first_known: SQL for the known_at of a row of the first load that has none of its own. Such rows are ordered by
    their delivery alone: when an event happened says nothing about when it was corrected.
    """
    moment = f"case when history and known_at = {first_known} then timestamp '-infinity' else known_at end"
    time = f", {contract.time}" if contract.time else ""
    return f"{moment}, delivery_rank, deleted desc{time}, row_hash"


def row_hash(contract: ContractTable) -> str:
    """Return SQL for a hash of all columns except known_at. Versions are equal if their hashes are."""
    columns = [name for name in (*contract.columns, *OPTIONAL) if name != "known_at"]
    content = ", ".join(f"coalesce(cast({name} as varchar), chr(30))" for name in columns)
    return f"md5(concat_ws(chr(31), {content}))"


def content_version(contract: ContractTable, delivery_id: str) -> str:
    """Return SQL for the version of a day: a hash of its rows and their number."""
    stored = ", ".join([*contract.columns, *OPTIONAL, "superseded_at", delivery_id])
    return f"cast(bit_xor(hash({stored})) as varchar) || ':' || count(*)"


def note_moved(connection: Connection, contract: ContractTable, where: str) -> None:
    """Add to `_moved` the keys of some days that also have rows on other days. where: the days."""
    connection.execute("create temp table if not exists _moved (moved_key varchar)")
    connection.execute(f"""
        insert into _moved
        select {contract.key} from {contract.relation}
        where {contract.key} in (select {contract.key} from {contract.relation} where {where})
        group by {contract.key}
        having min(cast({contract.time} as date)) <> max(cast({contract.time} as date))
    """)


def chain_moved(connection: Connection, contract: ContractTable, first_known: str) -> list[str]:
    """Compute superseded_at of the keys in `_moved` over all their days; drop `_moved`.

    Return the days whose rows changed, as keys of partitions.
    """
    try:
        if connection.scalar("select count(*) from _moved") == 0:
            return []
        return _chain(connection, contract, first_known)
    finally:
        connection.execute("drop table _moved")


def _chain(connection: Connection, contract: ContractTable, first_known: str) -> list[str]:
    key = contract.key
    connection.execute(f"""
        create or replace temp table _ends as
        with versions as (
            select e.rowid as row_number, e.*, d.history, d.delivery_rank, {row_hash(contract)} as row_hash
            from {contract.relation} as e join _deliveries as d on e.delivery_id = d.delivery_id
            where e.{key} in (select moved_key from _moved)
        ), followed as (
            select row_number, known_at, superseded_at, cast({contract.time} as date) as day, lead(known_at) over (
                    partition by {key} order by {order_of(contract, first_known)}
                ) as successor
            from versions
        )
        select row_number, day, case when successor is not null then greatest(known_at, successor) end as ends_at
        from followed
        where superseded_at is distinct from case when successor is not null then greatest(known_at, successor) end
    """)
    connection.execute(
        f"update {contract.relation} as e set superseded_at = _ends.ends_at from _ends "
        "where e.rowid = _ends.row_number"
    )
    days = [str(day) for (day,) in connection.execute("select distinct day from _ends order by day")]
    connection.execute("drop table _ends")
    return days


def versions_of_days(
    connection: Connection, contract: ContractTable, days: Sequence[str]
) -> list[tuple[str, Version, int]]:
    """Return the version of each of these days from its stored rows, as (key, version, number of rows)."""
    if not days:
        return []
    listed = ", ".join(f"date '{day}'" for day in days)
    rows = connection.execute(
        f"select cast(cast({contract.time} as date) as varchar), {content_version(contract, 'delivery_id')}, "
        f"max(known_at), count(*) from {contract.relation} where {contract.time} >= timestamp '{days[0]}' "
        f"and {contract.time} < timestamp '{days[-1]}' + interval 1 day "
        f"and cast({contract.time} as date) in ({listed}) group by 1"
    )
    return [(day, Version(version, known_at), count) for day, version, known_at, count in rows]
