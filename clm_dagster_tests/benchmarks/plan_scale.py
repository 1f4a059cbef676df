"""A plan of actions for a million customers: prices, contact limits, holdouts, the choice, reasons and receipts.

Belongs here: the customers, seconds, in one piece and in shards. Does not: reading and writing the warehouse, output
(`report_actions`).
"""

import shutil
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from clm_dagster.domains.actions.plan import Plan, PlanSource
from clm_dagster.domains.actions.playbook import Play, read_playbook
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.project import load_project
from clm_dagster.platform.python_tables.in_shards import in_one_step
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.shards import CustomerRows, Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.settings import PROJECT_DIR

# Share of the customers who meet each line, and who were contacted in the last two months.
MET, CONTACTED = 0.25, 0.2
_TABLE = "marts.next_best_actions"


def prepare(out: str, customers: int) -> dict[str, Any]:
    """Write the inputs as the files that a step makes of the warehouse, each in order of customer_id."""
    rng = np.random.default_rng(0)
    ids = np.array([_id(number) for number in range(customers)])
    contacted = int(CONTACTED * customers)
    frame = pd.DataFrame(
        {
            "customer_id": ids,
            "stage": rng.choice(["loyal", "growing", "lost", "at_risk", "new"], customers),
            "segment": "loyal",
            "risk_band": rng.choice(["low", "high"], customers),
            "recency_days": rng.integers(1, 400, customers),
            "order_probability": rng.random(customers),
            "order_value": rng.gamma(2, 40, customers),
        }
    )
    met = [
        pd.DataFrame({"customer_id": ids[rng.random(customers) < MET], "place": place})
        for place in range(len(_plays()))
    ]
    inputs = {
        "customers": frame,
        "pairs": pd.concat(met).sort_values(["customer_id", "place"], ignore_index=True),
        "contacts": pd.DataFrame(
            {"customer_id": ids[:contacted], "play": None, "days": rng.integers(1, 60, contacted)}
        ).astype({"play": "str"}),
        "products": pd.DataFrame(
            {"customer_id": ids, "list": "next_best", "products": [["p1", "p2", "p3"]] * customers}
        ),
        "uplift": pd.DataFrame({"customer_id": ids[:0], "arm": ids[:0], "effect": rng.random(0)}),
    }
    for name, rows in inputs.items():
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            connection.execute(f"copy rows to '{out}/{name}.parquet' (format parquet, row_group_size 20480)")
    return {"offers": len(inputs["pairs"])}


def plan_customers(out: str, customers: int, shard_customers: int) -> dict[str, Any]:
    """Plan once with the shipped playbook: a budget of a cent a customer, and mails for a fifth of them."""
    types = load_project(PROJECT_DIR / "dbt_like_sql").nodes[_TABLE].types
    columns = [name for name in types if name != "as_of"]
    plays = _plays()
    cuts = range(shard_customers, customers, shard_customers) if shard_customers else ()
    shards = Shards(tuple(_id(number) for number in cuts))
    limits = PlanSettings(
        budget=0.01 * customers,
        capacity=(("email", customers // 5), ("phone", 100)),
        rest_days=7,
        assume_consent=True,
        holdout_share=0.1,
        global_holdout_share=0.05,
        holdout_key="clm",
        control_arms=("control",),
        horizon_days=90,
    )
    start = time.perf_counter()
    source = PlanSource(
        plays=plays,
        known=customers,
        customers=_rows(out, "customers", shards),
        pairs=_rows(out, "pairs", shards),
        contacts=_rows(out, "contacts", shards),
        products=_rows(out, "products", shards),
        margin_rate=0.3,
        served={},
        uplift=_rows(out, "uplift", shards),
    )
    shelf = Shelf(Path(out) / "shelf" if shards.cuts else None)
    plan = Plan(source, plays, limits, Version("benchmark"), shelf, columns=columns)
    buffered = {name: types[name] for name in columns}
    output = in_one_step(plan, lambda: ParquetBuffer(buffered, Path(out)))
    seconds = time.perf_counter() - start
    stored = Path(out) / f"plan-{shard_customers}.parquet"
    with duckdb.connect(config={"memory_limit": "512MB", "threads": 1}) as connection:
        if isinstance(output.rows, ParquetBuffer):
            query = output.rows.query
        else:
            connection.register("rows", output.rows)
            query = "select * from rows"
        connection.execute(f"copy ({query}) to '{stored}' (format parquet)")
    return {
        "customers": customers,
        "shard_customers": shard_customers,
        "planned": output.metadata["contacts"],
        "seconds": seconds,
        "gap": output.metadata["share_of_gain_that_may_be_missing"],
    }


def compare(out: str, one: int, other: int) -> dict[str, Any]:
    """Return in how many rows two plans differ."""
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        first, second = (f"select * from '{out}/plan-{size}.parquet'" for size in (one, other))
        both = f"(({first} except all {second}) union all ({second} except all {first}))"
        return {"differing": connection.execute(f"select count(*) from {both}").fetchall()[0][0]}


def measure(work: str, customers: int, sizes: list[int]) -> list[dict[str, Any]]:
    """Plan in shards of each size, 0 for one piece, each in a process of its own, and compare their rows."""
    from clm_dagster_tests.benchmarks import children

    out = Path(work) / "plan"
    out.mkdir()
    made = children.run("plan_scale:prepare", out=str(out), customers=customers)
    found = []
    for size in sizes:
        row = children.run(
            "plan_scale:plan_customers", out=str(out), customers=customers, shard_customers=size
        )
        same = children.run("plan_scale:compare", out=str(out), one=sizes[0], other=size)
        found.append({**row, "offers": made["offers"], "differing": same["differing"]})
    shutil.rmtree(out)
    return found


def _plays() -> list[Play]:
    return read_playbook((PROJECT_DIR / "dbt_like_sql" / "seeds" / "playbook.csv").read_text())


def _id(number: int) -> str:
    return f"c{number:07d}"


def _rows(out: str, name: str, shards: Shards) -> CustomerRows:
    path = Path(out) / f"{name}.parquet"
    with duckdb.connect(config={"threads": 1}) as connection:
        if not shards.cuts:
            return CustomerRows.whole(connection.execute(f"select * from '{path}'").df())
        ((count,),) = connection.execute(f"select count(*) from '{path}'").fetchall()
    return CustomerRows(path, count, shards)
