"""Seasonal ARIMA with regressors by conditional sum of squares: filters, derivatives, the search.

The model is a regression with seasonal ARIMA errors,

    phi(B) Phi(B^s) (1 - B)^d (1 - B^s)^D (y_t - x_t beta) = theta(B) Theta(B^s) e_t,

and what is minimised is the sum of e_t^2, with everything before the series taken as zero (Box, Jenkins
and Reinsel, Time Series Analysis, section 7.1.2). One pass is three calls of a linear filter, and every
derivative of e_t is a filtered series too, so that Levenberg-Marquardt needs a handful of passes.

Belongs here: one model of given orders on given numbers. Does not: which orders (`arima`), exact
likelihood and intervals (`arima`, by statsmodels).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, lfiltic

Floats = NDArray[np.float64]

ROUNDS = 60
"""Steps of Levenberg-Marquardt at most; most fits take under ten."""
EDGE = 0.999
"""Greatest reflection coefficient: beyond it a polynomial is as good as on the unit circle."""


@dataclass(frozen=True, order=True)
class Orders:
    """Orders of a seasonal ARIMA in Box and Jenkins' letters; `season` 1 means none."""

    p: int = 0
    d: int = 0
    q: int = 0
    seasonal_p: int = 0
    seasonal_d: int = 0
    seasonal_q: int = 0
    season: int = 1
    constant: bool = False
    """A mean where nothing is differenced, a drift where once; it is a regressor, t^(d + D)."""

    @property
    def differences(self) -> int:
        """How often the series is differenced, d + D."""
        return self.d + self.seasonal_d

    @property
    def lost(self) -> int:
        """How many observations differencing costs."""
        return self.d + self.season * self.seasonal_d

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Numbers of coefficients in the order of the parameters: p, q, P, Q."""
        return self.p, self.q, self.seasonal_p, self.seasonal_q

    def __str__(self) -> str:
        name = f"ARIMA({self.p},{self.d},{self.q})"
        if self.season > 1:
            name += f"({self.seasonal_p},{self.seasonal_d},{self.seasonal_q})[{self.season}]"
        return name + (" with constant" if self.constant else "")


@dataclass(frozen=True)
class Polynomials:
    """The four lag polynomials of a set of parameters, constant term first."""

    ar: Floats
    ma: Floats
    seasonal_ar: Floats
    seasonal_ma: Floats

    @classmethod
    def of(cls, orders: Orders, parameters: Floats) -> "Polynomials":
        """From the last p + q + P + Q parameters, in statsmodels' order and signs."""
        p, q, sp, sq = orders.sizes
        phi, theta, seasonal_phi, seasonal_theta = np.split(
            parameters[parameters.size - p - q - sp - sq :], np.cumsum((p, q, sp))
        )
        return cls(
            _spread(-phi, 1),
            _spread(theta, 1),
            _spread(-seasonal_phi, orders.season),
            _spread(seasonal_theta, orders.season),
        )

    @cached_property
    def whole_ar(self) -> Floats:
        """phi(B) Phi(B^s)."""
        return np.convolve(self.ar, self.seasonal_ar)

    @cached_property
    def whole_ma(self) -> Floats:
        """theta(B) Theta(B^s)."""
        return np.convolve(self.ma, self.seasonal_ma)

    def least_root(self) -> float:
        """The smallest absolute value of a root; near 1 the model is hardly stationary or invertible."""
        smallest = np.inf
        for polynomial in (self.ar, self.ma, self.seasonal_ar, self.seasonal_ma):
            roots = np.roots(polynomial)  # of the reversed polynomial: inverse roots
            if roots.size:
                smallest = min(smallest, 1 / max(float(np.abs(roots).max()), 1e-9))
        return smallest


@dataclass(frozen=True)
class CssFit:
    """A model of given orders, fitted: parameters are beta, phi, theta, Phi, Theta, as in statsmodels."""

    orders: Orders
    parameters: Floats
    residuals: Floats
    """(n - lost,) one step ahead."""
    converged: bool

    @property
    def sigma2(self) -> float:
        """Variance of the residuals."""
        return float(self.residuals @ self.residuals / self.residuals.size)

    @property
    def log_likelihood(self) -> float:
        """Gaussian log-likelihood of the differenced series, given zeros before it."""
        n = self.residuals.size
        return -n / 2 * (np.log(2 * np.pi * max(self.sigma2, 1e-300)) + 1)

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for small samples; the variance counts as a parameter."""
        return aicc(self.log_likelihood, self.parameters.size + 1, self.residuals.size)

    @cached_property
    def polynomials(self) -> Polynomials:
        """The lag polynomials."""
        return Polynomials.of(self.orders, self.parameters)

    def forecast(self, series: Floats, regressors: Floats, future: Floats) -> Floats:
        """Mean path after the series, (horizon,). `regressors` (n, k), `future` (horizon, k), no constant.

        The series may be a longer one than the model was fitted on: its own residuals are filtered anew.
        """
        orders, beta = self.orders, self.parameters[: self.parameters.size - sum(self.orders.sizes)]
        n, horizon = series.size, future.shape[0]
        x = with_constant(orders, np.vstack([regressors, future]))
        errors = series - x[:n] @ beta
        whole = np.convolve(self.polynomials.whole_ar, differencing(orders))
        ma = self.polynomials.whole_ma
        shocks = lfilter(
            self.polynomials.whole_ar, ma, difference(errors, orders)
        )  # zeros before the differenced series, as in the fit
        state = lfiltic(ma, whole, _newest_first(errors, whole.size - 1), _newest_first(shocks, ma.size - 1))
        path, _ = lfilter(ma, whole, np.zeros(horizon), zi=state)
        return path + x[n:] @ beta


def fit(
    series: Floats, regressors: Floats, orders: Orders, start: Floats | None = None, tolerance: float = 1e-7
) -> CssFit:
    """Fit by Levenberg-Marquardt from `start` (default: least squares for beta, near zero for the rest).

    series (n,), regressors (n, k) without the constant. Steps out of the stationary and invertible region
    are refused. Raises ValueError where differencing leaves nothing to fit.
    """
    if series.size <= orders.lost + sum(orders.sizes) + 1:
        raise ValueError(f"{orders} needs more than {series.size} observations")
    w = difference(series, orders)
    x = difference(with_constant(orders, regressors), orders)
    k = x.shape[1]
    parameters = _default_start(w, x, orders) if start is None else start.astype(float)
    residuals, jacobian = _pass(w, x, parameters, orders)
    loss, damping = float(residuals @ residuals), 1e-3
    converged = parameters.size == 0
    for _ in range(ROUNDS if parameters.size else 0):
        gradient, curvature = jacobian.T @ residuals, jacobian.T @ jacobian
        diagonal = np.maximum(np.diag(curvature), 1e-12)
        better = False
        while damping < 1e8 and not better:
            step = np.linalg.solve(curvature + np.diag(damping * diagonal), -gradient)
            tried = parameters + step
            if admissible(orders, tried[k:]):
                new_residuals, new_jacobian = _pass(w, x, tried, orders)
                new_loss = float(new_residuals @ new_residuals)
                better = new_loss < loss
            damping = damping / 10 if better else damping * 10
        if not better:
            converged = True  # no direction leads down: a minimum, or the edge of the region
            break
        gain = (loss - new_loss) / max(loss, 1e-300)
        parameters, residuals, jacobian, loss = tried, new_residuals, new_jacobian, new_loss
        damping = max(damping, 1e-9)
        if gain < tolerance:
            converged = True
            break
    return CssFit(orders, parameters, residuals, converged)


def difference(values: Floats, orders: Orders) -> Floats:
    """(1 - B)^d (1 - B^s)^D along the first axis; shorter by what it costs."""
    for lag in [1] * orders.d + [orders.season] * orders.seasonal_d:
        values = values[lag:] - values[:-lag]
    return values


def differencing(orders: Orders) -> Floats:
    """The polynomial (1 - B)^d (1 - B^s)^D."""
    whole = np.ones(1)
    for lag in [1] * orders.d + [orders.season] * orders.seasonal_d:
        whole = np.convolve(whole, np.r_[1.0, np.zeros(lag - 1), -1.0])
    return whole


def with_constant(orders: Orders, regressors: Floats) -> Floats:
    """Regressors with the constant, if there is one, as first column: t^(d + D), in units of its scale."""
    if not orders.constant:
        return regressors
    time = np.arange(1.0, regressors.shape[0] + 1)
    return np.column_stack([time**orders.differences, regressors])


def aicc(log_likelihood: float, parameters: int, n: int) -> float:
    """Hurvich and Tsai's AICc; infinite where there are too few observations for it."""
    spare = n - parameters - 1
    if spare <= 0:
        return np.inf
    return -2 * log_likelihood + 2 * parameters + 2 * parameters * (parameters + 1) / spare


def _pass(w: Floats, x: Floats, parameters: Floats, orders: Orders) -> tuple[Floats, Floats]:
    """Residuals (n,) and their derivatives (n, parameters)."""
    k, season = x.shape[1], orders.season
    lags = Polynomials.of(orders, parameters)
    u = w - x @ parameters[:k] if k else w
    without_ar = lfilter(lags.seasonal_ar, lags.whole_ma, u)
    residuals = lfilter(lags.ar, [1.0], without_ar)
    jacobian = np.zeros((w.size, parameters.size))
    if k:
        jacobian[:, :k] = -lfilter(lags.whole_ar, lags.whole_ma, x, axis=0)
    parts: tuple[tuple[int, int, Callable[[], Floats]], ...] = (
        (orders.p, 1, lambda: without_ar),
        (orders.q, 1, lambda: lfilter([1.0], lags.ma, residuals)),
        (orders.seasonal_p, season, lambda: lfilter(lags.ar, lags.whole_ma, u)),
        (orders.seasonal_q, season, lambda: lfilter([1.0], lags.seasonal_ma, residuals)),
    )
    column = k
    for size, step, series in parts:
        filtered = series() if size else w
        for i in range(1, size + 1):
            jacobian[i * step :, column] = -filtered[: -i * step]
            column += 1
    return residuals, jacobian


def _default_start(w: Floats, x: Floats, orders: Orders) -> Floats:
    beta = np.linalg.lstsq(x, w, rcond=None)[0] if x.shape[1] else np.zeros(0)
    p, q, sp, sq = orders.sizes
    # Different from zero and from each other: at zero AR and MA cannot be told apart.
    return np.concatenate([beta, np.full(p, 0.1), np.zeros(q), np.full(sp, 0.1), np.zeros(sq)])


def admissible(orders: Orders, coefficients: Floats) -> bool:
    """Whether the p + q + P + Q coefficients are stationary and invertible."""
    p, q, sp, _ = orders.sizes
    phi, theta, seasonal_phi, seasonal_theta = np.split(coefficients, np.cumsum((p, q, sp)))
    return all(_inside(part) for part in (phi, -theta, seasonal_phi, -seasonal_theta))


def _inside(coefficients: Floats) -> bool:
    """Whether 1 - c_1 z - ... has all its roots outside the unit circle, by Durbin and Levinson backwards."""
    c = coefficients
    while c.size:
        last = c[-1]
        if not abs(last) < EDGE:
            return False
        c = (c[:-1] + last * c[-2::-1]) / (1 - last * last) if c.size > 1 else c[:0]
    return True


def _spread(coefficients: Floats, step: int) -> Floats:
    whole = np.zeros(coefficients.size * step + 1)
    whole[0] = 1.0
    whole[step::step] = coefficients
    return whole


def _newest_first(values: Floats, count: int) -> Floats:
    """The last `count` values, newest first, zeros where there are fewer."""
    last = values[::-1][:count]
    return np.concatenate([last, np.zeros(count - last.size)])
