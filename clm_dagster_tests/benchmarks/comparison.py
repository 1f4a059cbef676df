"""Compare the tables of the pandas script with ours: the times are comparable only if the rows are equal.

Belongs here: which column is which, and the comparison. Does not: computing either side.

A table with a key is joined on it, and every column compared: text, dates and whole numbers exactly,
other numbers to within 0.0001 (pandas' money is float64). Events and rejects, whose
ids the script does not have, are compared as multisets of whole rows.
"""

import time
from pathlib import Path
from typing import Any

import duckdb

TOLERANCE = 1e-4
MONEY = ["gross_revenue", "returned_revenue", "net_revenue"]
SNAPSHOT = ["as_of", "customer_id"]
WINDOWS = [f"{c}_{w}d" for c in ("orders", "net_revenue") for w in (30, 90, 180, 365)]
# Table of theirs -> ours, key (ours: theirs where the name differs), columns compared.
KEYED: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "customer_daily": (
        "core.customer_daily",
        {"activity_date": "day", "customer_id": "customer_id"},
        ["country", "orders", "evening_orders", "products", "units", "returned_units", *MONEY, "net_charges"],
    ),
    "product_daily": (
        "core.product_daily",
        {"sales_date": "day", "product_id": "product_id"},
        ["orders", "buyers", "units", "returned_units", "gift_lines", *MONEY],
    ),
    "totals_daily": (
        "core.totals_daily",
        {"sales_date": "day"},
        ["orders", "buyers", "guest_orders", "units", *MONEY, "net_charges"],
    ),
    "shop_daily": (
        "marts.shop_daily",
        {"sales_date": "day"},
        [
            "orders",
            "guest_orders",
            "buyers",
            "new_buyers",
            "units",
            *MONEY,
            "net_charges",
            "average_order_value",
        ],
    ),
    "customer_features": (
        "core.customer_features",
        {name: name for name in SNAPSHOT},
        [
            "country",
            "first_seen_date",
            "last_seen_date",
            "first_order_date",
            "last_order_date",
            "recency_days",
            "tenure_days",
            "previous_order_days",
            "order_days",
            "orders",
            "mean_gap_days",
            "sd_gap_days",
            "net_revenue",
            "gross_revenue",
            "average_order_value",
            "units",
            "distinct_products",
            "return_rate",
            "weekend_order_share",
            "evening_order_share",
            "orders_year_ago_90d",
            *WINDOWS,
        ],
    ),
    "rfm_segments": (
        "marts.rfm_segments",
        {name: name for name in SNAPSHOT},
        [
            "recency_days",
            "frequency",
            "monetary",
            "r_score",
            "f_score",
            "m_score",
            "segment",
            "previous_segment",
        ],
    ),
}
_DAYS = {"day", "first_seen_date", "last_seen_date", "first_order_date", "last_order_date"}
_TEXT = {"country", "segment", "previous_segment", "product_id"}
_EVENTS = {
    "event_at": "timestamp",
    "customer_id": "bigint",
    "event_type": "varchar",
    "order_id": "varchar",
    "product_id": "varchar",
    "quantity": "bigint",
    "unit_price": "decimal(18, 4)",
    "country": "varchar",
    "description": "varchar",
}
_REJECTED = {
    "Invoice": "varchar",
    "StockCode": "varchar",
    "Quantity": "bigint",
    "InvoiceDate": "timestamp",
    "Price": "decimal(18, 4)",
    "Customer ID": "double",
    "Country": "varchar",
}


def compare(warehouse: str, pandas_dir: str) -> dict[str, Any]:
    """Compare every table. Raises AssertionError that names the first rows that differ."""
    start = time.perf_counter()
    connection = duckdb.connect(config={"memory_limit": "1GB"})
    connection.execute(f"attach '{warehouse}' as ours (read_only)")
    for path in Path(pandas_dir).glob("*.parquet"):
        connection.execute(f"create view theirs_{path.stem} as select * from read_parquet('{path}')")
    rows: dict[str, int] = {"events": _events(connection), "rejects": _rejects(connection)}
    rows["duplicates"] = _duplicates(connection)
    for name, (ours, key, columns) in KEYED.items():
        rows[name] = _keyed(connection, name, ours, key, columns)
    return {"equal": True, "rows": rows, "seconds": time.perf_counter() - start}


def _events(connection: duckdb.DuckDBPyConnection) -> int:
    listed = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in _EVENTS.items())
    return _multisets(
        connection,
        "events",
        f"select {listed} from ours.raw.events where superseded_at is null",
        f"select {listed} from theirs_events",
    )


def _rejects(connection: duckdb.DuckDBPyConnection) -> int:
    ours = ", ".join(f'cast(source_columns ->> \'$."{n}"\' as {k}) as "{n}"' for n, k in _REJECTED.items())
    theirs = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in _REJECTED.items())
    return _multisets(
        connection,
        "rejects",
        f"select reason, {ours} from ours.raw.rejects",
        f"select reason, {theirs} from theirs_rejects",
    )


def _duplicates(connection: duckdb.DuckDBPyConnection) -> int:
    ours, theirs = connection.execute(
        "select (select sum(duplicate)::bigint from ours.raw.deliveries), (select rows from theirs_duplicates)"
    ).fetchall()[0]
    assert ours == theirs, f"duplicates: ours {ours:,}, pandas {theirs:,}"
    return int(ours)


def _multisets(connection: duckdb.DuckDBPyConnection, name: str, ours: str, theirs: str) -> int:
    for side, left, right in (("ours", ours, theirs), ("pandas", theirs, ours)):
        found = connection.execute(f"({left}) except all ({right}) limit 5").fetchall()
        assert not found, f"{name}: rows that only {side} has: {found}"
    return int(connection.execute(f"select count(*) from ({ours})").fetchall()[0][0])


def _keyed(
    connection: duckdb.DuckDBPyConnection, name: str, ours: str, key: dict[str, str], columns: list[str]
) -> int:
    on = " and ".join(f"o.{mine} = {_their_key(theirs)}" for mine, theirs in key.items())
    first_mine, first_theirs = next(iter(key.items()))
    differs = [f"o.{first_mine} is null", f"p.{first_theirs} is null", *map(_differs, columns)]
    shown = ", ".join(f"o.{c}, p.{c}" for c in columns)
    pandas = f"theirs_{name}"
    if "as_of" in key:  # the script has a snapshot of the last week, which has not ended
        pandas = f"(select * from {pandas} where {key['as_of']} <= (select max(as_of) from ours.{ours}))"
    counts = connection.execute(
        f"select (select count(*) from ours.{ours}), (select count(*) from {pandas})"
    ).fetchall()[0]
    assert counts[0] == counts[1], f"{name}: ours has {counts[0]:,} rows, pandas {counts[1]:,}"
    found = connection.execute(
        f"select o.{first_mine}, {shown} from ours.{ours} as o full join {pandas} as p on {on} "
        f"where {' or '.join(differs)} limit 3"
    ).fetchall()
    assert not found, f"{name}: {columns} differ (ours, pandas): {found}"
    return int(counts[0])


def _their_key(column: str) -> str:
    if column == "customer_id":
        return "cast(cast(p.customer_id as bigint) as varchar)"
    return f"cast(p.{column} as date)" if column == "day" else f"p.{column}"


def _differs(column: str) -> str:
    if column in _TEXT:
        return f"o.{column} is distinct from p.{column}"
    if column in _DAYS:
        return f"o.{column} is distinct from cast(p.{column} as date)"
    theirs = f"case when not isnan(cast(p.{column} as double)) then cast(p.{column} as double) end"
    both = f"abs(cast(o.{column} as double) - {theirs}) > {TOLERANCE}"
    return f"coalesce({both}, (o.{column} is null) <> ({theirs} is null))"
