"""The search and its filters, compared with statsmodels, a recursion by hand, and published coefficients."""

import warnings

import numpy as np
import pytest
from statsmodels.tsa.arima_process import arma_generate_sample
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.stattools import kpss

from clm_dagster.statistics.forecasting import css
from clm_dagster.statistics.forecasting.arima import (
    Limits,
    auto_arima,
    differences,
    fit_arima,
    kpss_statistic,
    seasonal_strength,
)
from clm_dagster.statistics.forecasting.css import CssFit, Floats, Orders, admissible

# A row per year: monthly totals of accidental deaths in the USA, 1973-1978 (Brockwell and Davis 1991), R: USAccDeaths.
US_ACCIDENTAL_DEATHS = np.array(
    [
        [9007, 8106, 8928, 9137, 10017, 10826, 11317, 10744, 9713, 9938, 9161, 8927],
        [7750, 6981, 8038, 8422, 8714, 9512, 10120, 9823, 8743, 9129, 8710, 8680],
        [8162, 7306, 8124, 7870, 9387, 9556, 10093, 9620, 8285, 8466, 8160, 8034],
        [7717, 7461, 7767, 7925, 8623, 8945, 10078, 9179, 8037, 8488, 7874, 8647],
        [7792, 6957, 7726, 8106, 8890, 9299, 10625, 9302, 8314, 8850, 8265, 8796],
        [7836, 6892, 7791, 8192, 9115, 9434, 10484, 9827, 9110, 9070, 8633, 9240],
    ],
    dtype=float,
).ravel()
NONE = np.zeros((300, 0))


def sample(ar: list[float], ma: list[float], size: int = 300, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    made: Floats = arma_generate_sample([1, *ar], [1, *ma], size, distrvs=rng.standard_normal)
    return made


def by_hand(orders: Orders, parameters: Floats, w: Floats) -> Floats:
    """Compute residuals by the definition, one step after the other, without a constant."""
    lags = css.Polynomials.of(orders, parameters)
    ar, ma = np.convolve(lags.ar, lags.seasonal_ar), np.convolve(lags.ma, lags.seasonal_ma)
    e = np.zeros(w.size)
    for t in range(w.size):
        e[t] = sum(ar[i] * w[t - i] for i in range(min(t + 1, ar.size)))
        e[t] -= sum(ma[i] * e[t - i] for i in range(1, min(t + 1, ma.size)))
    return e


def test_us_accidental_deaths_match_the_published_coefficients() -> None:
    """REFERENCE, "Forecasting": ARIMA(0,1,1)(0,1,1)12, ma -.4303, sma -.5527, variance 99,350."""
    found = auto_arima(US_ACCIDENTAL_DEATHS, 12)
    assert found.orders == Orders(0, 1, 1, 0, 1, 1, 12)
    exact = found.refined()
    assert exact.parameters["ma.L1"] == pytest.approx(-0.4303, abs=1e-4)
    assert exact.parameters["ma.S.L12"] == pytest.approx(-0.5527, abs=1e-4)
    assert exact.filtered.scale == pytest.approx(99_350, abs=5)
    assert exact.aicc < found.aicc


@pytest.mark.parametrize(
    "orders", [Orders(2, 0, 1, 1, 0, 1, 7), Orders(0, 1, 2, 2, 1, 0, 7), Orders(3, 0, 0), Orders(0, 0, 3)]
)
def test_residuals_match_the_definition(orders: Orders) -> None:
    w = sample([-0.5], [0.3])
    parameters = np.random.default_rng(2).uniform(-0.3, 0.3, sum(orders.sizes))
    residuals, _ = css._residuals(w, NONE, parameters, orders)
    np.testing.assert_allclose(residuals, by_hand(orders, parameters, w), atol=1e-10)


def test_derivatives_match_finite_differences() -> None:
    orders = Orders(2, 1, 2, 1, 0, 1, 7, constant=True)
    series, regressors = sample([-0.5], []).cumsum(), np.random.default_rng(3).normal(size=(300, 2))
    w = css.difference(series, orders)
    x = css.difference(css.with_constant(orders, regressors), orders)
    parameters = np.random.default_rng(4).uniform(-0.3, 0.3, 3 + sum(orders.sizes))
    _, jacobian = css._residuals(w, x, parameters, orders)
    for i, step in enumerate(1e-6 * np.eye(parameters.size)):
        ahead, behind = (css._residuals(w, x, parameters + sign * step, orders)[0] for sign in (1, -1))
        np.testing.assert_allclose(jacobian[:, i], (ahead - behind) / 2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "orders", [Orders(1, 0, 1, constant=True), Orders(1, 1, 1, 1, 0, 0, 7, constant=True)]
)
def test_a_fit_is_close_to_the_exact_one(orders: Orders) -> None:
    """Conditional and exact likelihood differ by the start of the series, less with every observation."""
    series = 5 + sample([-0.6], [0.4], size=1500)
    if orders.d:
        series = series.cumsum()
    ours = fit_arima(series, orders)
    exact = ours.refined()
    np.testing.assert_allclose(ours.filtered.llf, exact.filtered.llf, atol=0.5)


def test_forecasts_match_the_filter_of_statsmodels() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(310, 2))
    orders = Orders(2, 1, 1, 1, 0, 1, 7, constant=True)
    series = sample([-0.5], [], 310).cumsum() + x @ [3.0, -2.0]
    ours = fit_arima(series[:300], orders, x[:300])
    time = np.arange(1.0, 311)[:, None]
    exog = np.hstack([time, x])
    theirs = SARIMAX(
        series[:300], exog[:300], order=(2, 1, 1), seasonal_order=(1, 0, 1, 7), concentrate_scale=True
    ).filter(ours.css.parameters)
    expected = theirs.get_forecast(10, exog=exog[300:])
    np.testing.assert_allclose(ours.mean(10, x[300:]), expected.predicted_mean, rtol=1e-5)
    low, high = ours.quantiles((0.1, 0.9), 10, x[300:]).T
    np.testing.assert_allclose(np.c_[low, high], expected.conf_int(alpha=0.2), rtol=1e-6)
    assert ours.parameters["x2"] == pytest.approx(3.0, abs=0.3)


def test_a_longer_history_is_forecast_without_a_new_fit() -> None:
    series = sample([-0.7], [0.3], 400).cumsum()
    fitted = fit_arima(series[:300], Orders(1, 1, 1))
    again = CssFit(fitted.orders, fitted.css.parameters, fitted.css.residuals, True)
    expected = SARIMAX(series, order=(1, 1, 1)).filter([*again.parameters, 1.0]).forecast(5)
    np.testing.assert_allclose(fitted.mean(5, series=series), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("coefficients", "inside"),
    [([0.5], True), ([1.1], False), ([0.5, 0.4], True), ([0.5, 0.6], False), ([1.2, -0.5, 0.1], True)],
)
def test_the_admissible_region_matches_the_roots(coefficients: list[float], inside: bool) -> None:
    roots = np.roots([1, *(-np.array(coefficients))])
    assert (np.abs(roots) < 1).all() == inside
    assert admissible(Orders(p=len(coefficients)), np.array(coefficients)) == inside


def test_every_neighbour_of_the_winner_was_tried() -> None:
    found = auto_arima(sample([-0.5, 0.3], [0.4], 400), 7)
    by_orders = {tried.orders: tried.aicc for tried in found.tried}
    assert found.css.aicc == pytest.approx(min(by_orders.values()))
    o = found.orders
    for p in (o.p - 1, o.p + 1):
        assert p < 0 or p > 5 or Orders(p, o.d, o.q, *_seasonal(o)) in by_orders


def _seasonal(o: Orders) -> tuple[int, int, int, int, bool]:
    return o.seasonal_p, o.seasonal_d, o.seasonal_q, o.season, o.constant


def test_differences_of_a_random_walk_and_of_noise() -> None:
    noise = np.random.default_rng(6).normal(size=400)
    assert differences(noise, 2) == 0
    assert differences(noise.cumsum(), 2) == 1
    assert differences(noise.cumsum().cumsum(), 2) == 2


def test_kpss_matches_statsmodels() -> None:
    series = sample([-0.6], [], 500)
    for values in (series, series.cumsum()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # p-values beyond the table, and the shape of its answer
            theirs = kpss(values, regression="c", nlags=int(3 * np.sqrt(500) / 13))[0]
        assert kpss_statistic(values) == pytest.approx(theirs)


def test_seasonal_strength() -> None:
    rng = np.random.default_rng(7)
    noise, week = rng.normal(size=350), np.tile([5.0, 1, 0, 0, 0, -1, -5], 50)
    assert seasonal_strength(week + 0.1 * noise, 7) > 0.95
    assert seasonal_strength(noise, 7) < 0.4
    assert auto_arima(week + noise, 7).orders.seasonal_d == 1
    assert auto_arima(noise, 7).orders.seasonal_d == 0


def test_short_constant_and_broken_series() -> None:
    flat = auto_arima(np.full(50, 3.0), 7)
    np.testing.assert_allclose(flat.mean(4), 3.0)
    assert np.isfinite(auto_arima(np.array([1.0, 2.0, 4.0]), 7).mean(2)).all()
    with pytest.raises(ValueError, match="finite"):
        auto_arima(np.array([1.0, np.nan, 3.0, 4.0]))
    with pytest.raises(ValueError, match="three"):
        auto_arima(np.array([1.0, 2.0]))
    assert len(auto_arima(sample([-0.5], []), 7, limits=Limits(models=6)).tried) <= 6
