"""Reorder points: shortages are as rare as the service level says."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.backtest import Backtest
from clm_dagster.domains.demand.predict import QUANTILE_COLUMNS
from clm_dagster.domains.demand.reorder import reorder_points, widening
from clm_dagster.domains.demand.table_settings import ReorderSettings
from clm_dagster.statistics.forecasting.intervals import QUANTILES
from clm_dagster_tests.domains.demand.shop import panel_of

DAYS = pd.date_range("2024-07-01", periods=28)
RNG = np.random.default_rng(6)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Seed the generator, so that a test draws the same numbers alone and among others."""
    RNG.bit_generator.state = START


def forecasts(means: dict[str, float], spread: float) -> pd.DataFrame:
    """Normal days of each product with their true quantiles."""
    from scipy.stats import norm

    parts = []
    for key, mean in means.items():
        frame = pd.DataFrame(
            {"period": "day", "level": "product", "key": key, "measure": "units", "date": DAYS}
        )
        frame["mean"] = mean
        for name, q in zip(QUANTILE_COLUMNS, QUANTILES, strict=True):
            frame[name] = norm.ppf(q, mean, spread)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("lead", [1, 7])
def test_shortages_are_as_rare_as_the_service_level(level: float, lead: int) -> None:
    points = reorder_points(
        forecasts({"a": 400.0}, 50.0), pd.Series({"a": 1.0}), ReorderSettings(lead, level)
    )
    assert len(points) == 28 - lead + 1
    sold = RNG.normal(400, 50, (200_000, lead)).sum(axis=1)
    assert (sold <= points.reorder_point[0]).mean() == pytest.approx(level, abs=0.008)  # whole units
    assert points.expected_demand[0] == pytest.approx(400 * lead)
    np.testing.assert_allclose(points.reorder_point, np.ceil(points.expected_demand) + points.safety_stock)


def test_correlated_days_need_more_safety_stock() -> None:
    """Errors of AR(1) days: the spread of a sum over seven is known."""
    rho, lead, series, origins = 0.6, 7, 40, 9
    shocks = RNG.normal(size=(series, origins, 28 + 100))
    errors = np.zeros_like(shocks)
    for t in range(1, shocks.shape[2]):
        errors[:, :, t] = rho * errors[:, :, t - 1] + shocks[:, :, t]
    size = 200 + 28 * origins
    panel = panel_of(np.full((series, size), 50.0))
    at = 200 + 28 * np.arange(origins)
    backtest = Backtest(panel, at, ("a",), (50 + errors[:, :, 100:])[None])
    lags = np.arange(lead)
    expected = np.sqrt((rho ** np.abs(lags[:, None] - lags)).sum() / lead)
    assert widening(backtest.paths[0], backtest.actual, lead).mean() == pytest.approx(expected, rel=0.05)
    frame = forecasts({"a": 400.0}, 50.0)
    narrow, wide = (reorder_points(frame, pd.Series({"a": w})).safety_stock[0] for w in (1.0, 2.0))
    assert wide == pytest.approx(2 * narrow, abs=1)
    assert reorder_points(frame, pd.Series(dtype=float)).safety_stock[0] == narrow


def test_each_product_and_nothing_else_has_reorder_points() -> None:
    frame = pd.concat(
        [
            forecasts({"b": 10.0, "a": 400.0, "other": 9.0}, 2.0),
            forecasts({"c": 5.0}, 1.0).assign(level="country"),
            forecasts({"a": 7.0}, 1.0).assign(measure="revenue"),
            forecasts({"a": 7.0}, 1.0).assign(period="week"),
        ]
    )
    points = reorder_points(frame, pd.Series({"a": 1.0, "b": 3.0}))
    assert points.groupby("key").expected_demand.first().to_dict() == pytest.approx({"a": 2800.0, "b": 70.0})
    safety = points.groupby("key").safety_stock.first()
    assert safety["b"] == pytest.approx(3 * safety["a"], abs=3)


def test_invalid_settings_are_errors() -> None:
    frame = forecasts({"a": 4.0}, 1.0)
    with pytest.raises(ValueError, match="service level"):
        reorder_points(frame, pd.Series(dtype=float), ReorderSettings(7, 1.0))
    with pytest.raises(ValueError, match="lead time of 40 days"):
        reorder_points(frame, pd.Series(dtype=float), ReorderSettings(40, 0.9))
    none = forecasts({"a": 4.0}, 1.0).assign(level="country")
    with pytest.raises(ValueError, match="lead time"):
        reorder_points(none, pd.Series(dtype=float), ReorderSettings(0, 0.9))


def test_a_shop_without_forecasts_of_products_has_no_reorder_points() -> None:
    days = pd.date_range("2024-01-01", periods=28)
    shop = pd.DataFrame({"period": "day", "level": "shop", "key": "all", "measure": "units", "date": days})
    shop = shop.assign(mean=4.0, q025=1.0, q10=2.0, q50=4.0, q90=6.0, q975=8.0)
    assert reorder_points(shop, pd.Series(dtype=float)).empty
