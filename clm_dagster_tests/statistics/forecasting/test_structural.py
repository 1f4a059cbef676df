"""The structural model compared with the Kalman filter of statsmodels."""

import numpy as np
import pytest
from statsmodels.tsa.statespace.structural import UnobservedComponents

from clm_dagster.statistics.forecasting import structural
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import ComponentsModel

CASES = [(300, 6, 0.5), (150, 7, 0.02), (120, 1, 1.0)]


def series_of(size: int, season: int, walk: float) -> Floats:
    rng = np.random.default_rng(size)
    level = 50 + rng.normal(0, walk, size).cumsum()
    made: Floats = level + np.resize(rng.normal(0, 8, season), size) + rng.normal(0, 4, size)
    return made


def theirs_of(values: Floats, season: int) -> UnobservedComponents:
    return UnobservedComponents(values, level="llevel", seasonal=season if season > 1 else None)


@pytest.mark.parametrize(("size", "season", "walk"), CASES)
def test_likelihood_and_forecast_match_statsmodels(size: int, season: int, walk: float) -> None:
    values, model = series_of(size, season, walk), theirs_of(series_of(size, season, walk), season)
    for level, seasonal in ((0.05, 0.01), (0.5, 0.0001), (0.001, 0.1)):
        variances = (level, seasonal if season > 1 else 0.0)
        differences = values[season:] - values[:-season]
        factor = structural._factor(structural.autocovariances(season, *variances), differences.size)
        noise = float(np.square(np.linalg.solve(_dense(factor), differences)).mean())
        parameters = noise * np.array([1.0, *variances[: 1 + (season > 1)]])
        filtered = model.filter(parameters, cov_type="none")
        assert structural.log_likelihood(values, season, variances) == pytest.approx(filtered.llf, abs=0.01)
        path = structural.structural_path(values, season, variances, 15)
        np.testing.assert_allclose(path, filtered.forecast(15), rtol=1e-4)


@pytest.mark.parametrize(("size", "season", "walk"), CASES)
def test_the_fit_is_as_likely_as_that_of_statsmodels(size: int, season: int, walk: float) -> None:
    values = series_of(size, season, walk)
    theirs = theirs_of(values, season).fit(disp=0, maxiter=200, cov_type="none")
    noise, level, *seasonal = theirs.params
    ours = structural.fit_structural(values, season)
    likelihood = structural.log_likelihood(values, season, ours)
    assert (
        likelihood
        >= structural.log_likelihood(
            values, season, (level / noise, *(s / noise for s in [*seasonal, 0.0][:1]))
        )
        - 0.05
    )


def test_a_random_walk_and_a_constant_mean() -> None:
    rng = np.random.default_rng(3)
    walk, noise = rng.normal(size=300).cumsum(), rng.normal(50, 1, 300)
    assert structural.fit_structural(walk, 1)[0] > 3
    assert structural.fit_structural(noise, 1)[0] < 0.01
    path = structural.structural_path(noise, 1, structural.fit_structural(noise, 1), 3)
    np.testing.assert_allclose(path, noise.mean(), atol=0.5)


def test_parameters_of_an_earlier_version_are_read() -> None:
    values = series_of(200, 6, 0.3)
    model = ComponentsModel()
    none = np.zeros((210, 0))
    old = model.path({"parameters": [4.0, 0.4, 0.02]}, 6, values, none)
    np.testing.assert_allclose(old, model.path({"level": 0.1, "seasonal": 0.005}, 6, values, none))
    flat = model.path({"parameters": [4.0, 0.4]}, 1, values, none)
    np.testing.assert_allclose(flat, model.path({"level": 0.1, "seasonal": 0.0}, 1, values, none))


def _dense(factor: Floats) -> Floats:
    """Return a banded lower triangle as a matrix."""
    size = factor.shape[1]
    found = np.zeros((size, size))
    for lag, band in enumerate(factor[:size]):
        found[np.arange(lag, size), np.arange(size - lag)] = band[: size - lag]
    return found
