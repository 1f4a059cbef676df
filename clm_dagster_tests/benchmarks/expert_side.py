"""The hand-written SQL compared with the first load: its cost, and a check that it yields the same rows.

Belongs here: running it, the comparison. Does not: the script (`expert_sql`).
"""

import shutil
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from clm_dagster_tests.benchmarks import children

TABLES = ("customer_daily", "product_daily", "totals_daily", "customer_features", "rfm_scores")


def script(real: str, out: str) -> dict[str, Any]:
    """Run the script; importing is not counted."""
    from clm_dagster_tests.benchmarks import expert_sql

    return {"wall": expert_sql.main(real, out, str(children.PROJECT_DIR / "dbt_like_sql" / "seeds"))}


def equal_rows(warehouse: str, out: str) -> dict[str, Any]:
    """Compare every column that both have, to the bit. Raise AssertionError with the number of rows that differ.

    Snapshots of weeks that only the script has, past the end of the data, are left out.
    """
    connection = duckdb.connect(config={"memory_limit": "1GB"})
    connection.execute(f"attach '{warehouse}' as ours (read_only)")
    connection.execute(f"attach '{out}' as theirs (read_only)")
    rows = {}
    for table in TABLES:
        mine = {row[0] for row in connection.execute(f"describe ours.core.{table}").fetchall()}
        theirs = [row[0] for row in connection.execute(f"describe theirs.main.{table}").fetchall()]
        columns = ", ".join(column for column in theirs if column in mine)
        known = f"where as_of <= (select max(as_of) from ours.core.{table})" if "as_of" in theirs else ""
        left = f"select {columns} from ours.core.{table}"
        right = f"select {columns} from theirs.main.{table} {known}"
        for name, one, other in (("we have", left, right), ("the script has", right, left)):
            found = connection.execute(f"select count(*) from (({one}) except all ({other}))").fetchall()[0][
                0
            ]
            assert found == 0, f"{table}: {found:,} rows that only {name}"
        rows[table] = connection.execute(f"select count(*) from ({left})").fetchall()[0][0]
    return {"rows": rows}


def compare(real: str, work: str, ours: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The script's seconds against ours without bookkeeping; exits if a row differs."""
    out = f"{work}/expert.duckdb"
    runs = [children.run("expert_side:script", real=real, out=out) for _ in range(repeats)]
    equal = children.run("expert_side:equal_rows", warehouse=f"{work}/first/clm.duckdb", out=out)
    for path in Path(work).glob("expert.duckdb*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    wall = [run["wall"] for run in runs]
    return {
        "wall": wall,
        "ratio": ours["own"] / median(wall),
        "ours_same_tables": ours["same_tables"]["expert"],
        "rows": equal["rows"],
    }
