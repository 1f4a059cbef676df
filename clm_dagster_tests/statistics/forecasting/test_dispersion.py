"""Predictive distributions against draws from known ones."""

import numpy as np
import pytest
from scipy.stats import poisson

from clm_dagster.statistics.forecasting.dispersion import additional_zeros, dispersion_quantiles, pooled

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@pytest.mark.parametrize("is_count", [True, False])
def test_bands_are_ordered_and_grow_with_the_level(is_count: bool) -> None:
    mean = np.geomspace(0.01, 500, 40)
    found = dispersion_quantiles(mean, 3 * mean, is_count, LEVELS, zeros=0.3, freedom=9.0)
    assert (found >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    assert (np.diff(found, axis=0) >= 0).all()


def test_little_freedom_widens_bands() -> None:
    mean = np.array([20.0])
    np.testing.assert_array_equal(dispersion_quantiles(mean, mean, True, LEVELS)[0], poisson.ppf(LEVELS, 20))
    wide = dispersion_quantiles(mean, mean, True, LEVELS, freedom=5.0)[0]
    assert wide[0] < poisson.ppf(0.025, 20) and wide[-1] > poisson.ppf(0.975, 20)


def test_rare_large_sales_have_their_zeros() -> None:
    rng = np.random.default_rng(3)
    drawn = np.where(rng.random(200_000) < 0.2, 1 + rng.poisson(5, 200_000), 0)
    mean, variance = np.array([drawn.mean()]), np.array([drawn.var()])
    zeros = additional_zeros(mean, variance / mean, np.array([(drawn == 0).mean()]))
    found = dispersion_quantiles(mean, variance, True, (0.5, 0.85, 0.9, 0.975), float(zeros[0]))[0]
    np.testing.assert_allclose(found, np.quantile(drawn, (0.5, 0.85, 0.9, 0.975)), atol=1)


def test_series_of_like_rate_share_their_dispersion() -> None:
    rng = np.random.default_rng(4)
    own = 2 * rng.chisquare(4, 100) / 4
    found, freedom = pooled(own, np.full(100, 4.0), np.full(100, 3.0), 1.0)
    assert found.std() < own.std() / 3
    assert found.mean() == pytest.approx(2, rel=0.15)
    assert (freedom > 4).all()


@pytest.mark.parametrize("is_count", [True, False])
def test_quantiles_are_finite_where_nothing_is_known_of_the_variance(is_count: bool) -> None:
    """A shop of one day has no freedom; Student's quantile is then so far out that the normal one rounds to 1."""
    mean = np.array([0.5, 8.0, 950.0])
    found = dispersion_quantiles(mean, 3 * mean, is_count, (0.025, 0.5, 0.9, 0.975, 0.999), freedom=0.0)
    assert np.isfinite(found).all() and (np.diff(found, axis=1) >= 0).all()
    assert (found[:, -1] > found[:, 1]).all()
