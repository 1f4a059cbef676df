"""How long lists take, and how much memory, as a shop's customers grow.

Belongs here: a made-up shop of any size, the second stage over it. Does not: words (`report`), how good lists are.
Every figure is processor seconds of one thread: others on the machine do not count.
"""

import time
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.recommend.interactions import Interactions
from clm_dagster.recommend.ranking import Ranker, RankerSettings

AS_OF, DAYS, SEED = date(2025, 1, 1), 400, 20
EACH, TASTES = 20, 50
TEACHING = 5_000
"""Customers of the shop that teaches the ranker: what is measured is making lists."""


def lists(customers: int, products: int, sample: int) -> dict[str, Any]:
    """Fit the recommenders to everybody's purchases, and list an even sample of the customers."""
    ranker = _taught(products)
    past = made_up(customers, products)
    with threadpool_limits(1):
        start = time.process_time()
        prepared = ranker.prepared(past)
        fitted = time.process_time() - start
        rows = np.unique(np.linspace(0, customers - 1, sample).astype(np.int64))
        start = time.process_time()
        found = ranker.lists(past, rows, prepared=prepared)
        listed = time.process_time() - start
    assert len(found) >= 19 * len(rows)
    return {
        "customers": customers, "products": products, "purchases": len(past.age), "fit": fitted,
        "a_thousand": 1_000 * listed / len(rows), "sample": len(rows),
    }  # fmt: skip


def made_up(customers: int, products: int, each: int = EACH) -> Interactions:
    """Customers of fifty tastes who buy some twenty products over four hundred days, most of them popular ones."""
    rng = np.random.default_rng(SEED)
    count = customers * each
    customer = np.repeat(np.arange(customers), each)
    width = products // TASTES
    shelf = np.where(rng.random(count) < 0.8, customer % TASTES, rng.integers(0, TASTES, count))
    product = shelf * width + np.minimum((width * rng.random(count) ** 2.5).astype(np.int64), width - 1)
    age = 1.0 + rng.integers(0, DAYS, count)
    order = np.lexsort((-age, product, customer))
    return Interactions(
        as_of=AS_OF, customers=_names("c", customers), products=_names("p", products),
        customer=customer.astype(np.int32),
        product=product[order].astype(np.int32), age=age[order].astype(np.int32), quantity=np.ones(count, np.float32),
    )  # fmt: skip


def _taught(products: int) -> Ranker:
    past = made_up(TEACHING, products)
    lines = pd.DataFrame(
        {
            "customer_id": past.customers[past.customer], "product_id": past.products[past.product],
            "day": pd.Timestamp(AS_OF) - pd.to_timedelta(past.age, unit="D"), "quantity": past.quantity,
            "order_id": past.customer * 1000 + past.age,
        }
    )  # fmt: skip
    settings = RankerSettings(snapshots=1, year_ago=False, customers=500, members=3)
    assert (lines["day"] >= pd.Timestamp(AS_OF - timedelta(days=DAYS))).all()
    return Ranker(settings).fit(lines, AS_OF, pd.DataFrame({"product_id": past.products}))


def _names(letter: str, count: int) -> np.ndarray:
    return np.char.mod(f"{letter}%07d", np.arange(count)).astype(object)


def measure(sizes: list[int]) -> list[dict[str, Any]]:
    """One process for each number of customers."""
    from clm_dagster_tests.benchmarks import children

    return [
        children.run("recommend_scale:lists", customers=size, products=20_000, sample=1_000) for size in sizes
    ]
