"""The rows of the build ledger: how they are stored, replaced and forgotten.

Belongs here: `raw.builds`, and in a lake `raw.build_log` behind it. Does not: what a version is (`versions`).

In a DuckDB file, `raw.builds` is a table with one row for each stored partition. In a lake, steps of all tables write
the ledger at once, and a transaction that deletes rows conflicts with every other one of the same table. So steps only
add rows there, to `raw.build_log`, and `raw.builds` is the view of the last row of each partition. A partition that is
forgotten gets a last row that says so. `clm vacuum` deletes the rows that others have replaced.
"""

from collections.abc import Sequence
from datetime import datetime

from clm_dagster.platform.warehouse import Connection, Parameters

_COLUMNS = (
    "relation varchar, partition_key varchar, version varchar, known_at timestamp, row_count bigint, "
    "run_id varchar"
)
_LOG = "raw.build_log"
# The row of a partition that counts: the last one that was committed.
_IS_LAST = "row_number() over (partition by relation, partition_key order by written desc) = 1"


def create_ledger(connection: Connection) -> None:
    """Create the ledger if it is missing."""
    if not connection.is_lake:
        connection.execute(f"create table if not exists raw.builds ({_COLUMNS})")
    elif connection.relation_kind("raw.builds") is None:
        connection.execute(f"create table {_LOG} ({_COLUMNS}, is_forgotten boolean)")
        connection.execute(
            "create view raw.builds as select * exclude (is_forgotten) from "
            f"(select *, rowid as written from {_LOG} qualify {_IS_LAST}) as log where not is_forgotten"
        )


def order_of_builds(connection: Connection) -> str:
    """Return the column of raw.builds by which its rows are in the order in which they were written."""
    return "written" if connection.is_lake else "rowid"


def insert_entries(
    connection: Connection,
    relation: str,
    rows: Sequence[tuple[str, str, datetime | None, int | None]],
    run_id: str,
) -> None:
    """Replace the rows of some partitions. rows: key, version, known_at, number of rows."""
    keys, versions, known, counts = (list(column) for column in zip(*rows, strict=True))
    if not connection.is_lake:
        forget_entries(
            connection, "relation = ? and partition_key in (select unnest(?::varchar[]))", [relation, keys]
        )
    table, last = (_LOG, ", false") if connection.is_lake else ("raw.builds", "")
    connection.execute(
        f"insert into {table} select ?, unnest(?), unnest(?), unnest(?::timestamp[]), unnest(?::bigint[]), ?{last}",
        [relation, keys, versions, known, counts, run_id],
    )


def forget_entries(connection: Connection, where: str, parameters: Parameters) -> None:
    """Delete the rows of partitions that match a predicate on raw.builds."""
    if not connection.is_lake:
        connection.execute(f"delete from raw.builds where {where}", parameters)
        return
    # Most often nothing matches; an insert of no rows would still be a write.
    if connection.scalar(f"select count(*) from raw.builds where {where}", parameters):
        connection.execute(
            f"insert into {_LOG} select relation, partition_key, null, null, null, null, true from raw.builds "
            f"where {where}",
            parameters,
        )


def drop_replaced(connection: Connection, is_dry: bool) -> int:
    """Delete the rows of a lake's ledger that later ones have replaced; return their number."""
    if connection.relation_kind(_LOG) is None:
        return 0
    replaced = f"select written from (select *, rowid as written from {_LOG}) as log qualify not ({_IS_LAST})"
    count: int = connection.scalar(f"select count(*) from ({replaced})")
    if count and not is_dry:
        connection.execute(f"delete from {_LOG} where rowid in ({replaced})")
    return count
