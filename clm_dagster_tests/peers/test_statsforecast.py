"""Theta and the ARIMA search against statsforecast.

Theta is the same model, so its forecasts are the same numbers wherever both are given the same smoothing constant and
start. The two ARIMA searches fit differently: ours by conditional sum of squares, theirs by exact likelihood. So the
choice of differences, the exact AICc and the error of the forecasts are compared, on fixed series.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from statsmodels.tsa.seasonal import seasonal_decompose

from clm_dagster.statistics.forecasting.arima import Arima, auto_arima
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster_tests.benchmarks.method_inputs import HORIZON, Series, real_series, simulated_series
from clm_dagster_tests.benchmarks.method_peers import mase, our_theta

pytestmark = [
    pytest.mark.peers,
    # statsforecast and the packages that it brings, while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
EQUAL = 2.0
"""Models within two units of AICc have about the same support (Burnham and Anderson 2002, section 2.6)."""


def peer(module: str) -> ModuleType:
    found: ModuleType = pytest.importorskip(
        f"statsforecast.{module}", reason="the extra `peers` is not installed: make peers"
    )
    return found


@pytest.fixture(scope="module")
def real(reference_data: Path) -> Series:
    return real_series(reference_data, products=2)


def assert_same_theta(values: Floats, season: int) -> None:
    """Compare with their standard Theta model at our smoothing constant.

    They smooth the line of theta 2 from a free start, we the series from its first value. The start of the one that
    is the start of the other: the first value less half the trend line there.
    """
    theirs = peer("theta")
    history = values[:-HORIZON]
    ours, found = our_theta(history, season)
    alpha, seasonal = found["alpha"], found["seasonal"]
    pattern = seasonal_decompose(history, model="additive", period=season).seasonal if seasonal else 0.0
    level = history - pattern
    first = np.polyfit(np.arange(level.size), level, 1)[1]
    fit = theirs.auto_theta(
        history,
        season,
        model="STM",
        decomposition_type="additive",
        alpha=alpha,
        initial_smoothed=level[0] - first / 2,
    )
    assert bool(fit.get("decompose", False)) == seasonal
    expected = theirs.forecast_theta(fit, HORIZON)["mean"]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9 * max(1.0, float(np.abs(values).max())))


@pytest.mark.parametrize("name", simulated_series(12, 6))
def test_theta_is_the_same_model(name: str) -> None:
    assert_same_theta(*simulated_series(12, 6)[name])


def test_theta_is_the_same_model_on_the_real_shop(real: Series) -> None:
    for values, season in real.values():
        assert_same_theta(values, season)


def test_theta_of_each_ones_own_constant_is_as_good() -> None:
    """Each estimates its constant in its own way: theirs is at least .1 and minimises another error."""
    models = peer("models")
    errors = []
    for values, season in simulated_series(12, 6).values():
        history, actual = values[:-HORIZON], values[-HORIZON:]
        theirs = models.Theta(season_length=season, decomposition_type="additive").fit(history)
        paths = (our_theta(history, season)[0], theirs.predict(HORIZON)["mean"])
        errors.append([mase(path, history, actual, season) for path in paths])
    ours, expected = np.mean(errors, axis=0)
    assert ours < 1.02 * expected


def both(series: Series) -> list[tuple[Arima, Mapping[str, Any], float, float]]:
    """Our model and theirs, and the MASE of each, on every series."""
    models, found = peer("models"), []
    for values, season in series.values():
        history, actual = values[:-HORIZON], values[-HORIZON:]
        ours = auto_arima(history, season)
        theirs = models.AutoARIMA(season_length=season).fit(history)
        paths = (ours.mean(HORIZON), theirs.predict(HORIZON)["mean"])
        found.append((ours, theirs.model_, *(mase(path, history, actual, season) for path in paths)))
    return found


def assert_same_differences(ours: Arima, theirs: Mapping[str, Any]) -> None:
    assert (ours.orders.d, ours.orders.seasonal_d) == tuple(theirs["arma"][-2:]), (
        ours.orders,
        theirs["arma"],
    )


def test_the_search_finds_as_good_a_model_without_a_season() -> None:
    """The sum of squares costs at most half a unit of AICc against the likelihood, on any of the processes."""
    found = both(simulated_series(12, 0))
    for ours, theirs, *_ in found:
        assert_same_differences(ours, theirs)
        assert ours.aicc < theirs["aicc"] + 0.5, (ours.orders, theirs["arma"])
    assert np.mean([ours for *_, ours, _ in found]) < 1.02 * np.mean([theirs for *_, theirs in found])


def test_the_search_with_a_week_forecasts_nearly_as_well() -> None:
    """Guard the known distance: the sum of squares drives moving averages to the edge, where the search rejects them.

    Measured: AICc up to 50 above theirs (median 19), MASE 5% above. The limits leave room for rounding, not for worse.
    """
    found = both(simulated_series(0, 6))
    for ours, theirs, *_ in found:
        assert_same_differences(ours, theirs)
        assert ours.aicc < theirs["aicc"] + 55, (ours.orders, theirs["arma"])
    assert np.mean([ours for *_, ours, _ in found]) < 1.06 * np.mean([theirs for *_, theirs in found])


def test_the_search_on_the_real_shop(real: Series) -> None:
    """At its maximum of likelihood too: revenue gets fewer parameters from us, and 2.3 units more."""
    found = both(real)
    for ours, theirs, *_ in found:
        assert_same_differences(ours, theirs)
        assert ours.refined().aicc < theirs["aicc"] + 1.5 * EQUAL, (ours.orders, theirs["arma"])
    assert np.mean([ours for *_, ours, _ in found]) < 1.02 * np.mean([theirs for *_, theirs in found])
