"""Holt-Winters and Theta, compared with statsmodels."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from clm_dagster.statistics.forecasting import smoothing
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import SmoothingModel, ThetaMethod

NONE = np.zeros((400, 0))


def series_of(size: int, season: int, walk: float) -> Floats:
    rng = np.random.default_rng(size + season)
    level = 50 + rng.normal(0, walk, size).cumsum()
    made: Floats = level + np.resize(rng.normal(0, 8, season), size) + rng.normal(0, 4, size)
    return made


@pytest.mark.parametrize(
    ("size", "season", "walk"), [(300, 6, 0.5), (240, 7, 0.0), (90, 1, 1.0), (40, 7, 2.0)]
)
def test_smoothing_matches_statsmodels(size: int, season: int, walk: float) -> None:
    values = series_of(size, season, walk)
    seasonal = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    theirs = ExponentialSmoothing(values, initialization_method="heuristic", **seasonal)
    level, by_season = smoothing.fit_smoothing(values, season)
    constants = {"smoothing_level": level} | ({"smoothing_seasonal": by_season} if season > 1 else {})
    at_ours = theirs.fit(optimized=False, **constants)
    found = smoothing.errors(values, smoothing.heuristic_start(values, season), level, by_season)
    np.testing.assert_allclose(found, at_ours.resid, atol=1e-8)
    # Their optimum is found, or a better one.
    assert at_ours.sse <= theirs.fit().sse * (1 + 1e-6)
    path = smoothing.smoothed_path(values, season, level, by_season, 2 * season + 3)
    expected = np.asarray(at_ours.forecast(2 * season + 3))
    # statsmodels forecasts the position of the last value by the season before that value.
    others = np.arange(path.size) % season != season - 1 if season > 1 else np.ones(path.size, dtype=bool)
    np.testing.assert_allclose(path[others], expected[others], atol=1e-8)


def test_smoothing_follows_its_recursion_over_a_longer_history() -> None:
    values = series_of(60, 4, 0.5)
    start = smoothing.heuristic_start(values, 4)
    level, season = start.level, start.season.copy()
    for t, value in enumerate(values):
        error = value - level - season[t % 4]
        level, season[t % 4] = level + 0.2 * error, season[t % 4] + 0.3 * error
    path = smoothing.smoothed_path(values, 4, 0.2, 0.3, 6)
    np.testing.assert_allclose(path, level + np.resize(np.roll(season, -(values.size % 4)), 6))
    model = SmoothingModel()
    parameters = model.fit(values[:40], 4, NONE)
    then = model.path(parameters, 4, values[:40], NONE[:52])
    assert not np.allclose(model.path(parameters, 4, values, NONE[:72]), then, rtol=1e-4)


def test_a_short_series_has_a_forecast() -> None:
    for season, size in ((7, 21), (6, 18), (1, 8)):
        values = series_of(size, season, 0.1)
        path = smoothing.smoothed_path(values, season, *smoothing.fit_smoothing(values, season), 2 * season)
        assert np.abs(path - values[-season:].mean()).max() < 40


@pytest.mark.parametrize(("season", "walk"), [(6, 0.3), (7, 0.0), (1, 1.0)])
def test_theta_matches_statsmodels(season: int, walk: float) -> None:
    values = series_of(240, season, walk) + 0.1 * np.arange(240)
    theirs = ThetaModel(pd.Series(values), period=season, deseasonalize=season > 1, method="additive").fit()
    theta = ThetaMethod()
    parameters = theta.fit(values, season, NONE)
    # Their search for the constant stops earlier.
    assert parameters["alpha"] == pytest.approx(theirs.params["alpha"], abs=1e-3)
    path = theta.path(parameters, season, values, NONE[: values.size + 15])
    np.testing.assert_allclose(path, theirs.forecast(15), rtol=1e-3)
    at_theirs = theta.path(
        parameters | {"alpha": theirs.params["alpha"]}, season, values, NONE[: values.size + 15]
    )
    np.testing.assert_allclose(at_theirs, theirs.forecast(15), rtol=1e-9)


def test_noise_has_no_season() -> None:
    noise = np.random.default_rng(6).normal(50, 3, 240)
    theirs = ThetaModel(pd.Series(noise), period=6, deseasonalize=True, method="additive").fit().forecast(15)
    theta = ThetaMethod()
    parameters = theta.fit(noise, 6, NONE)
    assert not parameters["seasonal"]
    np.testing.assert_allclose(theta.path(parameters, 6, noise, NONE[: noise.size + 15]), theirs, rtol=1e-3)
