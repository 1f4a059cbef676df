"""Automatic seasonal ARIMA: order selection by Hyndman and Khandakar, likelihood and intervals by statsmodels.

d comes from KPSS tests, D from the seasonal strength, and the other orders and the constant from a stepwise
search by AICc (Hyndman and Khandakar 2008, Journal of Statistical Software 27(3); strength by Wang, Smith and
Hyndman 2006). The search fits by conditional sum of squares (`css`). The exact filter of statsmodels then runs
once at the estimated parameters, for the likelihood, the forecast and its variance. The whole search takes as
long as one or two fits by statsmodels.

Belongs here: models of one regular series without gaps. Does not: the choice of series and regressors, or the
evaluation of forecasts.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from statsmodels.tools.sm_exceptions import ConvergenceWarning
from statsmodels.tsa.seasonal import STL
from statsmodels.tsa.statespace.sarimax import SARIMAX

from clm_dagster.statistics.forecasting import css
from clm_dagster.statistics.forecasting.css import CssFit, Floats, Orders

KPSS_5_PERCENT = 0.463
"""Critical value of the KPSS test of level stationarity (Kwiatkowski et al. 1992, table 1)."""
STRONG_SEASON = 0.64
"""Seasonal strength above which the series is differenced seasonally, as in R's forecast::nsdiffs."""
SEARCH_TOLERANCE = 1e-4
"""Relative gain of the sum of squares at which a fit of the search ends; 0.01 of AICc for a hundred values."""
LEAST_ROOT = 1.01
"""Models with a root closer to the unit circle are rejected, as in R's forecast::auto.arima."""


@dataclass(frozen=True)
class Limits:
    """Limits of the search; the defaults are those of R's forecast::auto.arima."""

    p: int = 5
    q: int = 5
    seasonal_p: int = 2
    seasonal_q: int = 2
    d: int = 2
    models: int = 94


@dataclass(frozen=True)
class Tried:
    """One model of the search and its AICc, which is infinite for a rejected model."""

    orders: Orders
    aicc: float


@dataclass(frozen=True)
class Arima:
    """A fitted model with its training series."""

    css: CssFit
    series: Floats
    regressors: Floats
    """Shape (n, k); k may be 0."""
    tried: tuple[Tried, ...] = field(default=(), repr=False)
    """Every model of the search, in order; empty if the orders were given."""

    @property
    def orders(self) -> Orders:
        """The orders of the model."""
        return self.css.orders

    @property
    def parameters(self) -> dict[str, float]:
        """Coefficients by statsmodels' names; a constant or drift is called `constant`."""
        names = list(_sarimax(self.series, self.regressors, self.orders).param_names)
        if self.orders.constant:
            names[0] = "constant"
        return dict(zip(names, map(float, self.css.parameters), strict=True))

    @cached_property
    def filtered(self) -> Any:
        """The results of statsmodels at these parameters: llf, scale, get_forecast(...), summary(), diagnostics."""
        return _sarimax(self.series, self.regressors, self.orders).filter(
            self.css.parameters, cov_type="none"
        )

    @property
    def aicc(self) -> float:
        """The AICc of the exact likelihood at these parameters."""
        n = self.series.size - self.orders.lost
        return css.aicc(float(self.filtered.llf), self.css.parameters.size + 1, n)

    def mean(self, horizon: int, future: Floats | None = None, series: Floats | None = None) -> Floats:
        """Return the mean forecast (horizon,) by the recursion of the fit.

        future: future regressors (horizon, k). series: an extended series to forecast from without refitting. The
        regressors of the extension then come first in `future`.
        """
        longer = self.series if series is None else series
        extra = longer.size - self.series.size
        ahead = np.zeros((extra + horizon, 0)) if future is None else future
        return self.css.forecast(longer, np.vstack([self.regressors, ahead[:extra]]), ahead[extra:])

    def quantiles(self, probabilities: Iterable[float], horizon: int, future: Floats | None = None) -> Floats:
        """Return Gaussian quantiles (horizon, probabilities) of the exact filter, without calibration."""
        from scipy.special import ndtri

        exog = self._future(horizon, future)
        forecast = self.filtered.get_forecast(horizon, exog=exog if exog.shape[1] else None)
        spread = np.sqrt(np.asarray(forecast.var_pred_mean))
        found: Floats = np.asarray(forecast.predicted_mean)[:, None] + spread[:, None] * ndtri(
            np.array([*probabilities])
        )
        return found

    def refined(self) -> "Arima":
        """Return the model refitted by exact maximum likelihood in statsmodels, starting from these parameters."""
        model = _sarimax(self.series, self.regressors, self.orders)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = model.fit(self.css.parameters, disp=0, cov_type="none", maxiter=200)
        fit = replace(
            self.css,
            parameters=np.asarray(found.params),
            residuals=np.asarray(found.resid)[self.orders.lost :],
            converged=bool(found.mle_retvals["converged"]),
        )
        return replace(self, css=fit)

    def _future(self, horizon: int, future: Floats | None) -> Floats:
        ahead = np.zeros((horizon, 0)) if future is None else future
        whole = css.with_constant(self.orders, np.vstack([self.regressors, ahead]))
        return whole[self.series.size :]


def auto_arima(
    series: Floats, season: int = 1, regressors: Floats | None = None, limits: Limits | None = None
) -> Arima:
    """Select the orders and fit. series: (n,), finite. season: its period, 1 for none. regressors: (n, k).

    A constant series gives ARIMA(0,0,0) with constant.

    Raises:
        ValueError: there are fewer than three observations, or a value is missing.
    """
    limits = limits or Limits()
    x = np.zeros((series.size, 0)) if regressors is None else np.asarray(regressors, dtype=float)
    series = np.asarray(series, dtype=float)
    if series.size < 3 or not np.isfinite(series).all() or not np.isfinite(x).all():
        raise ValueError(f"ARIMA needs at least three values, all finite, not {series}")
    if series.size < 3 * season:
        season = 1
    # Differences are chosen on the residuals of the regression, as in R.
    left = series - x @ np.linalg.lstsq(x, series, rcond=None)[0] if x.shape[1] else series
    if np.ptp(left) < 1e-9 * max(1.0, float(np.abs(left).max())):
        return Arima(css.fit(series, x, Orders(constant=True)), series, x)
    seasonal_d = int(season > 1 and seasonal_strength(left, season) > STRONG_SEASON)
    lagged = left[season:] - left[:-season] if seasonal_d else left
    d = differences(lagged, limits.d - seasonal_d)
    search = _Search(series, x, limits)
    best = search.run(Orders(0, d, 0, 0, seasonal_d, 0, season, constant=False))
    return Arima(best, series, x, tuple(search.tried))


def fit_arima(
    series: Floats, orders: Orders, regressors: Floats | None = None, start: Floats | None = None
) -> Arima:
    """Fit a model with given orders by conditional sum of squares."""
    x = np.zeros((series.size, 0)) if regressors is None else regressors
    return Arima(css.fit(series, x, orders, start), series, x)


def seasonal_strength(series: Floats, season: int) -> float:
    """Return 1 - Var(remainder) / Var(season + remainder) of an STL decomposition, 0 to 1."""
    if series.size < 2 * season + 1:
        return 0.0
    # As in R's stl, the smoothers are evaluated at every second value and interpolated.
    parts = STL(
        series, period=season, seasonal=11, robust=False, seasonal_jump=2, trend_jump=2, low_pass_jump=1
    ).fit()
    moving = float(np.var(parts.seasonal + parts.resid))
    return max(0.0, 1 - float(np.var(parts.resid)) / moving) if moving > 0 else 0.0


def differences(series: Floats, most: int) -> int:
    """Return the number of differences after which a KPSS test of level stationarity does not reject at 5%."""
    for d in range(most):
        if np.ptp(series) == 0 or series.size < 4:
            return d
        if not kpss_statistic(series) > KPSS_5_PERCENT:
            return d
        series = np.diff(series)
    return most


def kpss_statistic(series: Floats) -> float:
    """Return the KPSS statistic of level stationarity, with R's number of lags, 3 sqrt(n) / 13.

    The function in statsmodels changes its return value between versions and warns about p-values.
    """
    n, lags = series.size, int(3 * np.sqrt(series.size) / 13)
    rest = series - series.mean()
    variance = rest @ rest
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (rest[lag:] @ rest[:-lag])
    return float(np.square(rest.cumsum()).sum() / n / variance)


class _Search:
    """The stepwise search. It keeps every fit, because a model starts from the parameters of its neighbour."""

    def __init__(self, series: Floats, regressors: Floats, limits: Limits) -> None:
        self.series, self.regressors, self.limits = series, regressors, limits
        self.fits: dict[Orders, CssFit | None] = {}
        self.tried: list[Tried] = []

    def run(self, base: Orders) -> CssFit:
        limits, seasonal = self.limits, int(base.season > 1)
        constant = base.differences <= 1
        first = [
            replace(base, p=2, q=2, seasonal_p=seasonal, seasonal_q=seasonal, constant=constant),
            replace(base, constant=constant),
            replace(base, p=1, seasonal_p=seasonal, constant=constant),
            replace(base, q=1, seasonal_q=seasonal, constant=constant),
            base,
        ]
        start: CssFit | None = None
        for orders in first:
            start = self._better(orders, start)
        if start is None:  # all models were rejected: the series is very short
            return css.fit(self.series, self.regressors[:, :0], replace(base, d=0, constant=True))
        best, improved = start, True
        while improved and len(self.tried) < limits.models:
            improved = False
            for orders in self._neighbours(best.orders):
                if orders not in self.fits and len(self.tried) < limits.models:
                    found = self._better(orders, best)
                    if found is not None and found is not best:
                        best, improved = found, True
                        break
        return best

    def _better(self, orders: Orders, best: CssFit | None) -> CssFit | None:
        fit = self._fit(orders, best)
        score = np.inf if fit is None else fit.aicc
        self.fits[orders] = fit
        self.tried.append(Tried(orders, float(score)))
        return fit if fit is not None and (best is None or score < best.aicc) else best

    def _fit(self, orders: Orders, parent: CssFit | None) -> CssFit | None:
        n = self.series.size - orders.lost
        if n <= 2 * (sum(orders.sizes) + orders.constant + self.regressors.shape[1]) + 1:
            return None
        start = None if parent is None else _start_from(parent, orders)
        fit = css.fit(self.series, self.regressors, orders, start, tolerance=SEARCH_TOLERANCE)
        return fit if fit.polynomials.has_roots_beyond(LEAST_ROOT) else None

    def _neighbours(self, orders: Orders) -> Iterator[Orders]:
        limits = self.limits
        one: tuple[Callable[[Orders, int], Orders], ...] = (
            lambda o, i: replace(o, seasonal_p=o.seasonal_p + i),
            lambda o, i: replace(o, seasonal_q=o.seasonal_q + i),
            lambda o, i: replace(o, seasonal_p=o.seasonal_p + i, seasonal_q=o.seasonal_q + i),
            lambda o, i: replace(o, p=o.p + i),
            lambda o, i: replace(o, q=o.q + i),
            lambda o, i: replace(o, p=o.p + i, q=o.q + i),
        )
        moves = [move(orders, i) for move in one for i in (-1, 1)]
        if orders.differences <= 1:
            moves.append(replace(orders, constant=not orders.constant))
        most = (limits.p, limits.q, limits.seasonal_p, limits.seasonal_q)
        for moved in moves:
            within = all(0 <= size <= top for size, top in zip(moved.sizes, most, strict=True))
            if within and (orders.season > 1 or not (moved.seasonal_p or moved.seasonal_q)):
                yield moved


def _start_from(parent: CssFit, orders: Orders) -> Floats | None:
    """Return the parent's coefficients as a start for the new orders; new coefficients start near zero."""
    old = parent.orders
    regressors = parent.parameters.size - sum(old.sizes)
    if orders.constant != old.constant:
        return None
    parts, at = [parent.parameters[:regressors]], regressors
    for size, old_size, initial in zip(orders.sizes, old.sizes, (0.05, 0.0, 0.05, 0.0), strict=True):
        part = np.full(size, initial)
        kept = min(size, old_size)
        part[:kept] = parent.parameters[at : at + kept]
        parts.append(part)
        at += old_size
    start = np.concatenate(parts)
    return start if css.admissible(orders, start[regressors:]) else None


def _sarimax(series: Floats, regressors: Floats, orders: Orders) -> SARIMAX:
    exog = css.with_constant(orders, regressors)
    seasonal = (orders.seasonal_p, orders.seasonal_d, orders.seasonal_q, orders.season)
    return SARIMAX(
        series,
        exog=exog if exog.shape[1] else None,
        order=(orders.p, orders.d, orders.q),
        seasonal_order=seasonal if orders.season > 1 else (0, 0, 0, 0),
        concentrate_scale=True,
    )
