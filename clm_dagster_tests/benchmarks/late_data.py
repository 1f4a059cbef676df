"""What late rows cost: `clm run` after rows of the past two years were held back from the first delivery.

Belongs here: which rows come late, the command, the partitions that it rebuilds. Does not: output (`report_run`).
"""

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb

from clm_dagster_tests.benchmarks import children

COLUMNS = (
    "Invoice",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "Price",
    '"Customer ID"',
    "Country",
)
# Rows that are held back, by what they are: one for each value of the key.
CASES = {
    "one row, a year late": "case when InvoiceDate >= '2010-12-09' then 'one row' end",
    "one row a day": "left(InvoiceDate, 10)",
    "one row a customer": '"Customer ID"',
}


def measure(real: str, work: str) -> dict[str, Any]:
    """Return, for each case, the costs of the first load and of the run after the late rows have arrived."""
    found = {}
    for number, (name, key) in enumerate(CASES.items()):
        folder = f"{work}/{number}"
        late = children.run("late_data:write", real=real, folder=folder, key=key)
        arguments = ["run", "--no-models", "--source", "online_retail_ii", "--input", f"{folder}/inbox"]
        first = children.run("whole_run:command", arguments=arguments, folder=f"{folder}/data")
        before = children.run("late_data:partitions", folder=f"{folder}/data")
        shutil.move(f"{folder}/late.csv", f"{folder}/inbox/late.csv")
        again = children.run("whole_run:command", arguments=arguments, folder=f"{folder}/data")
        after = children.run("late_data:partitions", folder=f"{folder}/data")
        found[name] = {
            "rows": late["rows"],
            "first": {"processor_seconds": first["processor_seconds"], "partitions": before["partitions"]},
            "again": {
                "processor_seconds": again["processor_seconds"],
                "partitions": after["partitions"] - before["partitions"],
            },
        }
        shutil.rmtree(folder)
    return found


def write(real: str, folder: str, key: str) -> dict[str, Any]:
    """Write `inbox/history.csv` without the rows held back, and these as `late.csv`."""
    inbox = Path(folder) / "inbox"
    inbox.mkdir(parents=True)
    connection = duckdb.connect()
    # A row with an equal in the history would be a duplicate, which changes nothing.
    connection.execute(f"""
        create table lines as
        with delivered as (
            select *, count(*) over (partition by {", ".join(COLUMNS)}) as copies
            from read_csv('{real}', header = true, all_varchar = true)
        )
        select
            * exclude (copies),
            {key} is not null
            and row_number() over (
                partition by {key}
                order by copies, "Customer ID" is null, Quantity like '-%', InvoiceDate, Invoice, StockCode
            ) = 1 as is_late
        from delivered
    """)
    for path, which in ((inbox / "history.csv", "not is_late"), (Path(folder) / "late.csv", "is_late")):
        connection.execute(f"copy (select * exclude (is_late) from lines where {which}) to '{path}' (header)")
    rows = connection.execute("select count(*) from lines where is_late").fetchall()
    return {"rows": rows[0][0]}


def partitions(folder: str) -> dict[str, Any]:
    """Return how many partitions all runs of a data folder have materialized together."""
    import dagster as dg

    os.environ["DAGSTER_HOME"] = f"{folder}/dagster"
    with dg.DagsterInstance.get() as instance:
        count = sum(
            len(
                instance.all_logs(
                    record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
                )
            )
            for record in instance.get_run_records()
        )
    return {"partitions": count}
