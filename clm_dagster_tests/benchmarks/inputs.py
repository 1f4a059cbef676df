"""Input files: the real file without its last day, the last day, and the history repeated several times.

Belongs here: writing input files. Does not: loading them.
"""

from pathlib import Path
from typing import Any

import duckdb

# The end of the last week, so that it has a snapshot: no sale follows until then.
DATES = {"start_date": "2009-12-01", "end_date": "2011-12-12"}
# The last day of the real file. It is of middling size: 1,633 lines; the median day has 1,567.
LAST_DAY = "2011-12-09"
LAST_WEEK = "2011-12-05"


def write_split(real: str, folder: str) -> dict[str, Any]:
    """Write the real file as two deliveries: `history.csv.gz`, and the last day as `day.csv`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    source = f"read_csv('{real}', header = true, all_varchar = true)"
    connection.execute(
        f"copy (select * from {source} where not starts_with(InvoiceDate, '{LAST_DAY}')) "
        f"to '{folder}/history.csv.gz' (header)"
    )
    _write_day(connection, real, folder)
    return {}


def write_times(real: str, folder: str, times: int) -> dict[str, Any]:
    """Write the history `times` times as Parquet, with other customers and invoices, and the last day once.

    Rows differ in both, so no two have the same event id; what a day holds grows `times` over, the
    number of days and products does not. The last day is the real one whatever the size.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("set memory_limit = '1GB'")
    connection.execute(f"set temp_directory = '{folder}/.tmp'")
    connection.execute(f"""
        copy (
            select
                case when copy_number = 0 then Invoice else Invoice || '-' || copy_number end as Invoice,
                StockCode, Description, Quantity, InvoiceDate, Price,
                case
                    when copy_number = 0 then "Customer ID"
                    else cast(try_cast("Customer ID" as double) + 1000000 * copy_number as varchar)
                end as "Customer ID",
                Country
            from read_csv('{real}', header = true, all_varchar = true)
                cross join range({times}) as copies(copy_number)
            where not starts_with(InvoiceDate, '{LAST_DAY}')
        ) to '{folder}/history.parquet' (format parquet, compression zstd)
    """)
    rows = connection.execute(f"select count(*) from read_parquet('{folder}/history.parquet')").fetchall()
    _write_day(connection, real, folder)
    return {"rows": rows[0][0]}


def _write_day(connection: duckdb.DuckDBPyConnection, real: str, folder: str) -> None:
    connection.execute(
        f"copy (select * from read_csv('{real}', header = true, all_varchar = true) "
        f"where starts_with(InvoiceDate, '{LAST_DAY}')) to '{folder}/day.csv' (header)"
    )
