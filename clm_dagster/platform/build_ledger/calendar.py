"""Snapshots that are not on the shop's calendar any more.

Belongs here: deleting their rows and their ledger entries. Does not: the calendar itself (`platform.partitions`), days
outside of the shop's dates (`platform.assets.model_assets`).

The calendar changes with the shop's end date. A source that was delivered up to a Friday and later up to a month's end
has other snapshots; a snapshot that was built past the end of the data would be read as if its last days had no sales.
"""

from collections.abc import Mapping
from datetime import datetime, time

from clm_dagster.platform.build_ledger.entries import create_ledger, forget_entries
from clm_dagster.platform.build_ledger.versions import forget
from clm_dagster.platform.partitions import WEEK, as_of_of_key, key_of_as_of, snapshot_span
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

_MONDAY = 1  # DuckDB's isodow


def has_snapshots_off_calendar(
    connection: Connection, columns: Mapping[str, str], settings: Settings
) -> bool:
    """Whether any of these relations has such snapshots, or entries in the ledger. columns: as_of by relation."""
    start, end = snapshot_span(settings)
    if connection.relation_kind("raw.builds") is not None and connection.scalar(
        "select count(*) from raw.builds where relation in (select unnest(?)) "
        "and (partition_key < ? or partition_key >= ?)",
        [list(columns), start.isoformat(), end.isoformat() if end else "9999"],
    ):
        return True
    return any(
        connection.relation_kind(relation) is not None
        and connection.scalar(f"select count(*) from {relation} where {_off_calendar(column, settings)}")
        for relation, column in columns.items()
    )


def forget_snapshots(connection: Connection, relation: str, column: str, settings: Settings) -> None:
    """Delete the snapshots of a relation that no partition has, and their entries in the build ledger.

    column: the as_of of a row.
    """
    start, end = snapshot_span(settings)
    if connection.relation_kind(relation) is not None:
        where = _off_calendar(column, settings)
        found = connection.execute(f"select distinct {column} from {relation} where {where}")
        if found:
            connection.execute(f"delete from {relation} where {where}")
            create_ledger(connection)
            forget_entries(
                connection,
                "relation = ? and partition_key in (select unnest(?))",
                [relation, [key_of_as_of(as_of) for (as_of,) in found]],
            )
    forget(connection, relation, start.isoformat(), end.isoformat() if end else None)


def _off_calendar(column: str, settings: Settings) -> str:
    """Return the SQL predicate for rows whose as_of is not that of a partition."""
    start, end = snapshot_span(settings)
    first = datetime.combine(start, time.min)
    beyond = f"{column} <= timestamp '{first}'"
    if end is None:
        return f"{beyond} or isodow({column}) <> {_MONDAY}"
    last = as_of_of_key((end - WEEK).isoformat(), settings.end_date)
    beyond += f" or {column} > timestamp '{last}'"
    return f"{beyond} or (isodow({column}) <> {_MONDAY} and {column} <> timestamp '{last}')"
