"""Comparison of the tables of two warehouses, row by row.

Belongs here: reading and comparing. Does not: what a test expects of them.
"""

from pathlib import Path

import duckdb

# What names the run or the file system, not the shop.
NOT_COMPARED = {
    "raw.deliveries": {"landed_at"},
    "raw.builds": {"run_id"},
    "raw.files": {"landed_at"},
}


def differing_tables(one: Path, other: Path, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """Return what differs: tables of only one of two warehouses, columns, and tables with other rows."""
    with duckdb.connect() as connection:
        for name, path in (("one", one), ("other", other)):
            connection.execute(f"attach '{path}' as {name} (read_only)")
        tables = {name: _tables(connection, name) for name in ("one", "other")}
        found = [f"{relation}: only in one" for relation in tables["one"].keys() ^ tables["other"].keys()]
        for relation in sorted(tables["one"].keys() & tables["other"].keys() - leave_out):
            columns = {name: tables[name][relation] for name in tables}
            if columns["one"] != columns["other"]:
                found.append(f"{relation}: columns {sorted(columns['one'] ^ columns['other'])}")
            compared = [c for c in sorted(columns["one"]) if c[0] not in NOT_COMPARED.get(relation, set())]
            # A view adds up in an order that differs from query to query.
            listed = ", ".join(f'round("{c}", 9)' if kind == "DOUBLE" else f'"{c}"' for c, kind in compared)
            for a, b in (("one", "other"), ("other", "one")):
                query = f"select {listed} from {a}.{relation} except all select {listed} from {b}.{relation}"
                rows = connection.execute(f"select count(*) from ({query})").fetchall()[0][0]
                if rows:
                    found.append(f"{relation}: {rows} rows only in {a}")
        return found


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    query = "select table_schema || '.' || table_name, column_name, data_type from information_schema.columns"
    for relation, column, kind in connection.execute(
        f"{query} where table_catalog = '{database}'"
    ).fetchall():
        found.setdefault(relation, set()).add((column, kind))
    return found
