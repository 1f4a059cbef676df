"""Time and memory for the lists of all customers, by number of customers.

Belongs here: simulated shops of any size in a warehouse, a training and everybody's lists over them. Does not: words
(`report`), how good lists are, other packages (`recommend_peers`). Seconds are those of the processors together:
others on the machine do not count.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

PRODUCTS, DAYS, LINES, THREADS = 20_000, 730, 7.2, 2
# Purchases alone, each delivered once and in time: what loading costs is measured elsewhere.
QUIET: dict[str, Any] = dict.fromkeys(
    (
        "browsing",
        "ghost_browsing",
        "unknown_visits",
        "views",
        "cart",
        "late",
        "corrected",
        "phantom",
        "repeated",
        "return_rate",
        "review_rate",
        "guest_share",
    ),
    0,
)


def shop(out: str, customers: int) -> dict[str, Any]:
    """Simulate a shop, and put its purchases into a warehouse as staging has them."""
    from clm_dagster.simulate.parameters import Parameters
    from clm_dagster.simulate.shop import simulate

    parameters = Parameters(customers=customers, days=DAYS, products=PRODUCTS, extra_lines=LINES, **QUIET)
    made = simulate(parameters, Path(out) / "shop")
    connection = duckdb.connect(f"{out}/shop.duckdb", config={"memory_limit": "2GB"})
    try:
        connection.execute("create schema staging; create schema marts; create schema core").fetchall()
        connection.execute(
            "create table core.customer_identities (as_of timestamp, customer_id varchar, person_id varchar)"
        ).fetchall()
        connection.execute(f"""
            create table staging.stg_order_lines as
            select customer_id, product_id, order_id, 'purchase' as line_type, event_at::timestamp as event_at,
                event_at::timestamp::date as event_date, quantity::bigint as units
            from read_parquet('{made.inbox}/events/*.parquet', union_by_name = true)
            where event_type = 'purchase' and event_id like 'e%'
        """).fetchall()
        for table, columns in (
            ("customers", "customer_id, country"),
            ("products", "product_id, name, category"),
        ):
            key = columns.split(",")[0]
            connection.execute(
                f"create table marts.{table} as select {columns} "
                f"from read_parquet('{made.inbox}/{table}/*.parquet', union_by_name = true) "
                f"where {key} not like 'x0%' qualify row_number() over (partition by {key} order by known_at) = 1"
            ).fetchall()
    finally:
        connection.close()
    shutil.rmtree(f"{out}/shop")
    return {"end": str(parameters.end)}


def recommend(out: str, end: str) -> dict[str, Any]:
    """What the training and the lists do at the shop's last day; Dagster and MLflow apart."""
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from clm_dagster.domains.recommend.candidates import LISTS
    from clm_dagster.domains.recommend.checks import ListFaults
    from clm_dagster.domains.recommend.evaluate import evaluate_candidates
    from clm_dagster.domains.recommend.list_faults import count_faults
    from clm_dagster.domains.recommend.listing import all_customer_lists
    from clm_dagster.domains.recommend.queries import read_past
    from clm_dagster.domains.recommend.table_settings import ListSettings, RankerSettings
    from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
    from clm_dagster.platform.warehouse import Connection

    as_of = date.fromisoformat(end)
    seconds: dict[str, float] = {}
    own = duckdb.connect(f"{out}/shop.duckdb", config={"memory_limit": "2GB"})
    try:
        connection = Connection(own)
        with _timed(seconds, "read"):
            past = read_past(connection, datetime.combine(as_of, datetime.min.time()))
            customers = connection.frame("select *, null::varchar as segment from marts.customers order by 1")
            products = connection.frame("select * from marts.products order by 1")
    finally:
        own.close()
    assert past is not None
    with threadpool_limits(1):
        with _timed(seconds, "train"):
            result = evaluate_candidates(past, products, RankerSettings())
        rows, faults = ParquetBuffer(_TYPES, Path(out)), ListFaults()
        start = time.perf_counter()
        with _timed(seconds, "list"):
            active, known = past.sold_within(90), pd.Index(past.customers).isin(customers["customer_id"])
            rankers = dict.fromkeys(LISTS, result.ranker)
            for part in all_customer_lists(past, customers, products, ListSettings(), rankers, THREADS):
                rows.add(part)
                faults += count_faults(part, past, active, known)
        listed = time.perf_counter() - start
    assert faults == ListFaults(len(customers), len(customers)), faults
    own = duckdb.connect(f"{out}/shop.duckdb", config={"memory_limit": "2GB"})
    try:
        with _timed(seconds, "store"):
            own.execute(f"create or replace table marts.recommendations as {rows.query}").fetchall()
            people = own.execute("select count(distinct customer_id) from marts.recommendations").fetchall()
    finally:
        own.close()
    assert people == [(len(customers),)]
    return {
        "customers": len(customers),
        "buyers": past.shape[0],
        "products": past.shape[1],
        "purchases": len(past.age),
        "rows": len(rows),
        **seconds,
        "ndcg": float(result.measure("next_best")["ndcg"]),
        "judged": result.customers,
        "listed_wall": listed,
        "a_thousand": 1_000 * seconds["list"] / len(customers),
    }


_TYPES = {
    "customer_id": "varchar",
    "list": "varchar",
    "rank": "integer",
    "product_id": "varchar",
    "score": "double",
    "reason": "varchar",
    "method": "varchar",
}


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.process_time()
    yield
    seconds[name] = time.process_time() - start


def measure(work: str, sizes: list[int]) -> list[dict[str, Any]]:
    """A process for each shop, and one for what is measured in it."""
    from clm_dagster_tests.benchmarks import children

    found = []
    for customers in sizes:
        out = Path(work) / "recommend"
        out.mkdir()
        made = children.run("recommend_scale:shop", out=str(out), customers=customers)
        found.append(children.run("recommend_scale:recommend", out=str(out), end=made["end"]))
        shutil.rmtree(out)
    return found
