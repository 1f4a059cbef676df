"""Shops of any size in a warehouse, made from one loaded shop by copying its rows in SQL.

Belongs here: the input of the loaded shop, copying its rows, the delivery of its last day. Does not: what a day costs
(`scale_steps`). A copy has other customers, orders and events, and the same days and products. Rows stay in the order
of time, as loading writes them, so that filters on days reach the scan.
"""

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from clm_dagster_tests.benchmarks.inputs import DATES, LAST_DAY, LAST_WEEK

if TYPE_CHECKING:
    from clm_dagster.settings import Settings

# Parts of a customer: each of their orders belongs to one of them, by a hash. 1 keeps the customers of the file, who
# order far more often than those of most shops.
PIECES = {"few orders": 20, "many orders": 1}
MEMORY = "4GB"
# Ids of the pieces end in two digits; those of a copy start with its number.
_OF_A_COPY = 100_000_000
# Tables whose rows multiply with the customers and events, and the expression for the time of a row.
_TABLES = {
    "raw.events": "event_at",
    "raw.key_days": "event_date",
    "core.order_days": "order_date",
    "core.customer_daily": "activity_date",
    "core.customer_products": "first_purchase_date",
    "core.customer_features": "as_of",
    "core.stage_states": "as_of",
    "core.rfm_scores": "as_of",
}
_CUSTOMER = f"cast(cast(customer_id as bigint) + {_OF_A_COPY} * copy_number as varchar)"
_CHANGED = {
    "customer_id": f"case when copy_number = 0 then customer_id else {_CUSTOMER} end as customer_id",
    "order_id": "case when copy_number = 0 then order_id else order_id || '-' || copy_number end as order_id",
    "event_id": "case when copy_number = 0 then event_id else event_id || '-' || copy_number end as event_id",
    "key_number": "case when copy_number = 0 then key_number else hash(key_number, copy_number) end as key_number",
}


def settings_of(folder: str, train_count: int = 0) -> "Settings":
    """Return the settings of a shop whose inbox and data are in a folder."""
    from clm_dagster.settings import load_settings

    return load_settings(
        source="online_retail_ii",
        input=f"{folder}/inbox",
        data_dir=f"{folder}/data",
        memory_limit=MEMORY,
        train_count=train_count,
        score_count=train_count,
        graded_horizons=0,
        # What serves decides the cost of a score, and the model costs more than the baseline.
        serve_refused_models=True,
        **DATES,
    )


def load(real: str, folder: str, kind: str) -> dict[str, Any]:
    """Load the history without its last day into `folder`, take all snapshots, and train once."""
    from clm_dagster.shop_run import run_shop

    Path(folder, "inbox").mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute(
        f"copy (select * from ({_lines(real, kind)}) where not starts_with(InvoiceDate, '{LAST_DAY}')) "
        f"to '{folder}/inbox/history.parquet' (format parquet, compression zstd)"
    )
    counts = connection.execute(
        f"select count(*), count(distinct \"Customer ID\") from read_parquet('{folder}/inbox/history.parquet')"
    ).fetchall()
    run_shop(settings_of(folder, 1), lambda title, total: lambda step, done: None)
    return {"events": counts[0][0], "customers": counts[0][1]}


def _lines(real: str, kind: str) -> str:
    """Return the query of the file's lines, with customers split by a hash of the order."""
    pieces = PIECES[kind]
    piece = f"""case when nullif("Customer ID", '') is null then null else cast(
        cast(try_cast("Customer ID" as double) as bigint) * 100 + cast(hash(Invoice) % {pieces} as bigint)
        as varchar) end"""
    return (
        f'select * replace ({piece} as "Customer ID") '
        f"from read_csv('{real}', header = true, all_varchar = true)"
    )


def copy_shop(base: str, folder: str, times: int, snapshots: int) -> dict[str, Any]:
    """Write the shop of `base` with all its rows `times` times.

    snapshots: number of snapshots that are kept, four weeks apart, and the one before the last week; a score reads 26.
    """
    shutil.copytree(f"{base}/data", f"{folder}/data")
    Path(folder, "inbox").mkdir()
    connection = duckdb.connect(
        f"{folder}/data/clm.duckdb", config={"memory_limit": MEMORY, "temp_directory": f"{folder}/.tmp"}
    )
    week = date.fromisoformat(LAST_WEEK)
    kept = [week, *(week + timedelta(weeks=1 - 4 * step) for step in range(1, snapshots))]
    for table, time in _TABLES.items():
        _multiply(connection, table, time, times, kept)
    # The ledger of deliveries has to balance with the rows.
    connection.execute(
        f"update raw.deliveries set delivered = delivered + {times - 1} * accepted, accepted = {times} * accepted"
    )
    connection.execute("checkpoint")
    counts = connection.execute(
        "select (select count(*) from raw.events), (select count(distinct customer_id) from core.customer_daily)"
    ).fetchall()
    connection.close()
    shutil.rmtree(f"{folder}/.tmp", ignore_errors=True)
    return {
        "events": counts[0][0],
        "customers": counts[0][1],
        "size_mb": Path(folder, "data", "clm.duckdb").stat().st_size / 1e6,
    }


def _multiply(
    connection: duckdb.DuckDBPyConnection, table: str, time: str, times: int, kept: list[date]
) -> None:
    """Replace the rows of a table by copies. time: the expression for the time of a row."""
    columns = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    changed = ", ".join(_CHANGED[name] for name in columns if name in _CHANGED)
    where = "true"
    if time == "as_of":
        listed = ", ".join(f"timestamp '{day}'" for day in kept)
        where = f"as_of in ({listed})"
    connection.execute(f"create temporary table one as select * from {table} where {where}")
    # The copies of a block of rows follow it, so that rows stay in the order of time, apart from a day or two.
    connection.execute(
        f"create or replace table {table} as select * exclude (copy_number) replace ({changed}) "
        f"from one cross join range({times}) as copies(copy_number)"
    )
    connection.execute("drop table one")


def write_day(real: str, folder: str, kind: str, times: int) -> dict[str, Any]:
    """Write the last day `times` times into the inbox."""
    connection = duckdb.connect()
    connection.execute(f"""
        copy (
            select case when copy_number = 0 then Invoice else Invoice || '-' || copy_number end as Invoice,
                StockCode, Description, Quantity, InvoiceDate, Price,
                cast(cast("Customer ID" as bigint) + {_OF_A_COPY} * copy_number as varchar) as "Customer ID", Country
            from ({_lines(real, kind)}) cross join range({times}) as copies(copy_number)
            where starts_with(InvoiceDate, '{LAST_DAY}')
        ) to '{folder}/inbox/day.csv' (header)
    """)
    rows = connection.execute(f"select count(*) from read_csv('{folder}/inbox/day.csv')").fetchall()
    return {"day_events": rows[0][0]}


def snapshot_size(folder: str) -> dict[str, Any]:
    """Return the megabytes of the newest snapshot's rows in a file of their own."""
    file = Path(folder, "snapshot.duckdb")
    connection = duckdb.connect(
        str(file), config={"memory_limit": MEMORY, "temp_directory": f"{folder}/.tmp"}
    )
    connection.execute(f"attach '{folder}/data/clm.duckdb' as shop (read_only)")
    for table in [table for table, time in _TABLES.items() if time == "as_of"]:
        name = table.replace(".", "_")
        connection.execute(
            f"create table {name} as select * from shop.{table} "
            f"where as_of = (select max(as_of) from shop.core.customer_features)"
        )
    connection.execute("checkpoint")
    connection.close()
    megabytes = file.stat().st_size / 1e6
    file.unlink()
    return {"snapshot_mb": megabytes}
