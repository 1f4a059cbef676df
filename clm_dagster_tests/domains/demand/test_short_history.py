"""Forecasts of young products and young shops against the distribution that their days were drawn from.

The right quantiles come from scipy's distributions and from fresh draws, not from the code under test.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from clm_dagster.domains.demand.model import forecast
from clm_dagster.domains.demand.reorder import reorder_points
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster_tests.domains.demand.shop import only_methods

FIRST = date(2025, 1, 6)
PRODUCTS = 48
BANDS = ["q025", "q10", "q50", "q90", "q975"]
WEEKDAYS = np.array([0.6, 0.8, 1.0, 1.0, 1.2, 1.6, 0.8])
Draw = Callable[[np.random.Generator, np.ndarray], np.ndarray]


@pytest.fixture(autouse=True, scope="module")
def fast() -> Iterator[None]:
    """Evaluate the naive methods only."""
    with only_methods("seasonal_naive", "eight_week_mean"):
        yield


def drawn(days: int, rate: np.ndarray, draw: Draw, seed: int, begins: int = 0) -> pd.DataFrame:
    """Units of products and of the shop. rate: (7,) mean of each weekday. begins: first day of the products."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range(FIRST, periods=days)
    values = draw(rng, np.tile(rate[dates.day_of_week], (PRODUCTS, 1))).astype(float)
    values[:, :begins] = 0
    names = [f"p{number}" for number in range(PRODUCTS)]
    wide = pd.DataFrame(values.T, index=dates, columns=names)
    products = wide.melt(ignore_index=False, var_name="key").assign(level="product")
    shop = wide.sum(axis=1).to_frame("value").assign(level="shop", key="all")
    rows = pd.concat([products, shop]).assign(measure="units").reset_index(names="day")
    return rows[rows["value"] != 0]


def days_of_products(series: pd.DataFrame, days: int) -> pd.DataFrame:
    rows = forecast(series, FIRST + timedelta(days=days), DemandSettings(origins=2)).forecasts
    rows = rows[rows["level"] == "product"]
    assert len(rows[rows["period"] == "day"]) == PRODUCTS * 28
    return rows


def poisson_draw(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    return rng.poisson(mean)


def bursty_draw(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Negative binomial with a variance of four times its mean."""
    return rng.negative_binomial(mean / 3, 1 / 4)


def packs_draw(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Packs of six."""
    return 6 * rng.poisson(mean / 6)


@pytest.mark.parametrize("age", [30, 60, 120, 209, 215])
@pytest.mark.parametrize("rate", [20.0, 3.0, 0.4])
def test_poisson_days_have_poisson_quantiles_at_any_age(age: int, rate: float) -> None:
    rows = days_of_products(drawn(age, np.full(7, rate), poisson_draw, age), age)
    days = rows[rows["period"] == "day"]
    assert days["mean"].mean() == pytest.approx(rate, rel=0.02 + 0.08 / np.sqrt(rate))
    for name, level in zip(BANDS, (0.025, 0.1, 0.5, 0.9, 0.975), strict=True):
        right = poisson.ppf(level, rate)
        # At thirty days the mean itself is uncertain, which widens the bands.
        assert days[name].mean() == pytest.approx(right, abs=0.55 + 0.35 * np.sqrt(rate)), name
    found = reorder_points(rows, pd.Series(dtype=float))
    first = found.groupby("key")["reorder_point"].first()
    right = poisson.ppf(0.95, 7 * rate)
    assert first.mean() == pytest.approx(right, rel=0.04, abs=3.0)


@pytest.mark.parametrize("draw", [poisson_draw, bursty_draw, packs_draw])
@pytest.mark.parametrize("age", [21, 45, 100, 180])
def test_bands_cover_what_they_say(draw: Draw, age: int) -> None:
    """Days with a weekly pattern, in a young shop."""
    rate = 18 * WEEKDAYS
    rows = days_of_products(drawn(age, rate, draw, age + 1), age)
    days = rows[rows["period"] == "day"]
    means = rate[days["date"].dt.day_of_week]
    fresh = draw(np.random.default_rng(9), np.tile(means, (200, 1)))
    for low, high, nominal in (("q10", "q90", 0.80), ("q025", "q975", 0.95)):
        inside = (fresh >= days[low].to_numpy()) & (fresh <= days[high].to_numpy())
        # Bands of whole numbers cover at least what they say, and those of packs more.
        assert nominal - 0.03 <= inside.mean() <= nominal + 0.12
    weekly = days.groupby(days["date"].dt.day_of_week)["mean"].mean()
    if age >= 45 and draw is poisson_draw:
        np.testing.assert_allclose(weekly, rate, rtol=0.25)


@pytest.mark.parametrize("age", [20, 60, 100])
def test_young_products_of_an_old_shop_do_not_take_the_spread_of_slow_ones(age: int) -> None:
    days = 500
    young = drawn(days, np.full(7, 20.0), poisson_draw, 3, begins=days - age)
    slow = drawn(days, np.full(7, 0.3), poisson_draw, 4)
    slow = slow[slow["level"] == "product"].assign(key=lambda rows: "slow " + rows["key"])
    products = pd.concat([young[young["level"] == "product"], slow])
    shop = products.groupby("day", as_index=False)["value"].sum()
    series = pd.concat([products, shop.assign(level="shop", key="all", measure="units")])
    rows = forecast(series, FIRST + timedelta(days=days), DemandSettings(origins=4)).forecasts
    rows = rows[(rows["period"] == "day") & rows["key"].isin(set(young["key"]) - {"all"})]
    assert set(rows["outcome"]) == {"young"}
    for name, level in zip(BANDS, (0.025, 0.1, 0.5, 0.9, 0.975), strict=True):
        assert rows[name].mean() == pytest.approx(poisson.ppf(level, 20), abs=2.2), name


def test_a_closed_weekday_stays_closed_and_a_slow_product_is_open_all_week() -> None:
    rate = np.where(np.arange(7) == 6, 0.0, 6.0)
    rows = days_of_products(drawn(40, rate, poisson_draw, 5), 40)
    days = rows[rows["period"] == "day"]
    sunday = days["date"].dt.day_of_week == 6
    assert (days.loc[sunday, ["mean", *BANDS]] == 0).all(axis=None)
    assert (days.loc[~sunday, "q50"] > 0).all()
    rows = days_of_products(drawn(30, np.full(7, 0.3), poisson_draw, 6), 30)
    assert (rows.loc[rows["period"] == "day", "mean"] > 0).mean() > 0.95


def test_weeks_of_a_young_shop_have_the_spread_of_their_sum() -> None:
    rows = days_of_products(drawn(70, np.full(7, 5.0), poisson_draw, 8), 70)
    weeks = rows[rows["period"] == "week"]
    for name, level in zip(BANDS, (0.025, 0.1, 0.5, 0.9, 0.975), strict=True):
        assert weeks[name].mean() == pytest.approx(poisson.ppf(level, 35), abs=2.5), name


def test_equal_days_have_a_narrow_band_and_a_single_day_a_wide_one() -> None:
    dates = pd.date_range(FIRST, periods=30)
    equal = pd.DataFrame({"level": "shop", "key": "all", "measure": "units", "day": dates, "value": 12.0})
    rows = forecast(equal, FIRST + timedelta(days=30)).forecasts
    days = rows[rows["period"] == "day"]
    assert (days["mean"] == 12).all()
    assert (days["q975"] - days["q025"]).max() < 8
    rows = forecast(equal.head(1), FIRST + timedelta(days=1)).forecasts
    days = rows[rows["period"] == "day"]
    assert (days["q025"] < 12).all() and (days["q975"] > 12).all()
