"""Futures in memory: the orders that a run on disk delivers, by customer."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from clm_dagster.simulate.shop import simulate
from clm_dagster_tests.simulate.futures import Futures
from clm_dagster_tests.simulate.shop import Shop
from clm_dagster_tests.simulate.test_touches import DAY, LOUD, ON, consenting

DAYS = 7


def test_a_future_earns_what_the_shop_on_disk_with_the_same_touches_delivers(tmp_path: Path) -> None:
    mailed = np.array(consenting(Shop(simulate(LOUD, tmp_path / "plain"))))
    futures = Futures(LOUD, DAY)
    for number, arm in enumerate(("control", "discount", "news")):
        rows = pd.DataFrame({"day": ON, "customer_id": [f"c{one:07d}" for one in mailed], "arm": arm})
        shop = Shop(simulate(LOUD, tmp_path / arm, touches=rows))
        lines = shop.query("select * from events where event_type = 'purchase' and customer_id is not null")
        lines = lines[(lines["day"] >= DAY) & (lines["day"] < DAY + DAYS)]
        costs = shop.table("products").set_index("product_id")["unit_cost"].astype(float)
        paid = lines["quantity"] * lines["unit_price"]
        lines = lines.assign(paid=paid, margin=paid - lines["quantity"] * lines["product_id"].map(costs))
        orders = lines.groupby(["customer_id", "order_id"]).agg(
            at=("event_at", "min"), paid=("paid", "sum"), margin=("margin", "sum")
        )
        by_customer = orders.sort_values("at").groupby("customer_id")
        expected = pd.DataFrame({"margin": by_customer["margin"].sum(), "first": by_customer["paid"].first()})
        found = futures.go_on(mailed, number, DAYS, [0])
        ids = [f"c{one:07d}" for one in range(LOUD.customers)]
        expected = expected.reindex(ids, fill_value=0.0)
        assert len(orders) > 20
        np.testing.assert_allclose(found, expected.to_numpy(dtype=float).T, atol=1e-9)


def test_futures_are_the_same_whenever_they_are_drawn_and_differ_from_each_other() -> None:
    futures, nobody = Futures(LOUD, DAY), np.array([], dtype=np.int64)
    first, second = (futures.go_on(nobody, 0, DAYS, [number]) for number in (0, 1))
    assert (first != second).any()
    assert (futures.go_on(nobody, 0, DAYS, [0]) == first).all()
    np.testing.assert_allclose(futures.go_on(nobody, 0, DAYS, [0, 1]), (first + second) / 2)
    assert timedelta(days=DAYS) < LOUD.end - ON
