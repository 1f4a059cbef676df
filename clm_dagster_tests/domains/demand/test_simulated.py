"""Forecasts of the simulated shop, compared with its planted demand."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.model import forecast
from clm_dagster.domains.demand.names import DAY
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster_tests.simulate.shop import Shop, make

pytestmark = pytest.mark.slow
DAYS, HORIZON, PRODUCTS = 600, 28, 20


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = make(tmp_path_factory.mktemp("demand"), customers=6_000, days=DAYS, products=60, seed=11)
    yield made
    made.close()


def test_forecasts_are_closer_to_the_planted_demand_than_the_seasonal_naive(shop: Shop) -> None:
    sold = shop.query("""
        select day, product_id as key, sum(quantity)::double as value from events
        where event_type = 'purchase' group by all
    """)
    start = pd.Timestamp(shop.parameters.start)
    as_of = start + timedelta(days=DAYS - HORIZON)
    largest = sold.groupby("key").value.sum().nlargest(PRODUCTS).index
    sold["key"] = sold.key.where(sold.key.isin(largest), "other")
    parts = sold.groupby(["key", "day"], as_index=False).value.sum().assign(level="product")
    whole = sold.groupby("day", as_index=False).value.sum().assign(level="shop", key="all")
    series = pd.concat([parts, whole]).assign(
        measure="units", day=lambda frame: start + pd.to_timedelta(frame.day, unit="D")
    )
    rows = forecast(series, as_of.date(), DemandSettings(horizon_weeks=4, backtest_weeks=4)).forecasts
    rows = rows[rows.period == DAY].set_index(["key", "date"])
    truth = shop.truth("demand/*").rename(columns={"product_id": "key"})
    truth["date"] = start + pd.to_timedelta(truth.day, unit="D")
    planted = truth[truth.key.isin(largest)].set_index(["key", "date"]).expected_units
    planted = planted.reindex(rows[rows.level == "product"].drop("other").index, fill_value=0.0)
    predicted = rows["mean"].reindex(planted.index)
    naive = series.assign(date=series.day + pd.Timedelta(days=7)).set_index(["key", "date"]).value
    last_week = planted.index.get_level_values("date").map(
        lambda day: day - pd.Timedelta(days=7 * ((day - as_of).days // 7))
    )
    before = naive.reindex(pd.MultiIndex.from_arrays([planted.index.get_level_values("key"), last_week]))
    error = {
        "forecast": np.abs(predicted - planted).mean(),
        "naive": np.abs(before.fillna(0).to_numpy() - planted).mean(),
    }
    assert error["forecast"] < 0.6 * error["naive"], error
    total = truth[truth.date >= as_of].groupby("date").expected_units.sum()
    shops = rows.xs("all", level="key")["mean"].reindex(total.index)
    assert shops.sum() == pytest.approx(total.sum(), rel=0.15)
    actual = whole.set_index(start + pd.to_timedelta(whole.day, unit="D")).value.reindex(total.index)
    band = rows.xs("all", level="key")
    inside = (actual >= band.q025) & (actual <= band.q975)
    assert inside.mean() > 0.8
