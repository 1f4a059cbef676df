"""Whole runs of shops from which little can be learnt: they end well, count right, and say what they cannot learn."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.shops import quiet

pytestmark = pytest.mark.slow
FIRST = pd.Timestamp("2024-01-01 10:00:00")
MODELS = (
    "churn_model",
    "value_model",
    "demand_model",
    "recommender_model",
    "persona_model",
    "uplift_model",
)


def orders(customers: list[str], days: list[int], products: int) -> pd.DataFrame:
    """Return one purchase for each customer and day, of products by turns, at 19.00 each."""
    count = len(days)
    return pd.DataFrame(
        {
            "event_id": [f"e{number}" for number in range(count)],
            "event_at": [str(FIRST + pd.Timedelta(days=day)) for day in days],
            "customer_id": customers,
            "event_type": "purchase",
            "order_id": [f"o{number}" for number in range(count)],
            "product_id": [f"p{number % products}" for number in range(count)],
            "quantity": 1,
            "unit_price": "19.00",
            "currency": "EUR",
        }
    )


def subscribers() -> pd.DataFrame:
    """One product, forty customers who pay every month."""
    days = [(7 * customer) % 30 + month for customer in range(40) for month in range(0, 120, 30)]
    return orders([f"c{number // 4}" for number in range(160)], days, products=1)


def once() -> pd.DataFrame:
    """Two hundred customers, none of whom comes back."""
    days = np.random.default_rng(1).integers(0, 120, 200).tolist()
    return orders([f"c{number}" for number in range(200)], days, products=12)


def loyal_one() -> pd.DataFrame:
    """One loyal customer among two hundred."""
    returning = orders(["c0"] * 12, list(range(3, 120, 10)), products=3).assign(
        event_id=lambda rows: "x" + rows["event_id"], order_id=lambda rows: "x" + rows["order_id"]
    )
    return pd.concat([once(), returning])


def three_weeks() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    customers = [f"c{number}" for number in rng.integers(0, 30, 70)]
    return orders(customers, rng.integers(0, 21, 70).tolist(), products=6)


def guests() -> pd.DataFrame:
    return three_weeks().assign(customer_id="")


def one_order() -> pd.DataFrame:
    return orders(["c0"], [2], products=1)


@pytest.mark.parametrize("shop", [subscribers, once, loyal_one, three_weeks, guests, one_order])
def test_a_run_ends_well_and_says_what_it_cannot_learn(
    shop: Callable[[], pd.DataFrame],
    settings_for: Callable[..., Settings],
    write_inbox: Callable[..., Path],
) -> None:
    events = shop()
    last = pd.to_datetime(events["event_at"]).max().date()
    end: date = last + timedelta(days=1)
    settings = settings_for(end_date=end.isoformat(), train_count=1, score_count=2)
    write_inbox(events)
    run_shop(settings, quiet)
    with warehouse_of(settings).connect("a test") as connection:
        net = connection.scalar("select sum(net_revenue) from marts.shop_daily")
        assert float(net) == pytest.approx(19.0 * len(events))
        for name in MODELS:
            if connection.relation_kind(f"models.{name}") is None:
                continue
            for version, said in connection.execute(f"select model_version, said from models.{name}"):
                assert version or len(said) > 20, name
        if shop is subscribers:
            products = connection.execute("select distinct product_id from marts.reorder_points")
            assert products == [("p0",)]
            forecast = connection.execute(
                "select sum(mean) from marts.demand_forecasts where period = 'day' and measure = 'units' "
                "and as_of = (select max(as_of) from marts.demand_forecasts) group by level"
            )
            assert len(forecast) == 2 and forecast[0] == pytest.approx(forecast[1])
