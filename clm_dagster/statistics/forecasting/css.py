"""Seasonal ARIMA with regressors by conditional sum of squares: filters, derivatives, optimisation.

The model is a regression with seasonal ARIMA errors,

    phi(B) Phi(B^s) (1 - B)^d (1 - B^s)^D (y_t - x_t beta) = theta(B) Theta(B^s) e_t,

and the fit minimises the sum of e_t^2, with all values before the series set to zero (Box, Jenkins and Reinsel,
Time Series Analysis, section 7.1.2). One evaluation is three linear filters (`filters`). Every derivative of e_t is a
filtered series too, so Levenberg-Marquardt needs few evaluations.

Belongs here: fitting and forecasting with given orders. Does not: the choice of orders, the exact likelihood, or
intervals (all in `arima`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.signal import lfilter, lfiltic

from clm_dagster.statistics.forecasting.filters import Inverse, moving

Floats = NDArray[np.float64]

ROUNDS = 60
"""Maximum number of Levenberg-Marquardt steps; most fits need fewer than ten."""
EDGE = 0.999
"""Largest reflection coefficient; above it, a polynomial practically has a root on the unit circle."""


@dataclass(frozen=True, order=True)
class Orders:
    """Orders of a seasonal ARIMA in Box-Jenkins notation; a `season` of 1 means no season."""

    p: int = 0
    d: int = 0
    q: int = 0
    seasonal_p: int = 0
    seasonal_d: int = 0
    seasonal_q: int = 0
    season: int = 1
    constant: bool = False
    """A mean without differencing, a drift with one difference; it is the regressor t^(d + D)."""

    @property
    def differences(self) -> int:
        """The number of differences, d + D."""
        return self.d + self.seasonal_d

    @property
    def lost(self) -> int:
        """The number of observations lost by differencing."""
        return self.d + self.season * self.seasonal_d

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """The numbers of coefficients, in the order of the parameters: p, q, P, Q."""
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
        """Return the polynomials of the last p + q + P + Q parameters, in statsmodels' order and signs."""
        phi, theta, seasonal_phi, seasonal_theta = _parts(orders, parameters)
        return cls(
            _spread(-phi, 1),
            _spread(theta, 1),
            _spread(-seasonal_phi, orders.season),
            _spread(seasonal_theta, orders.season),
        )

    @cached_property
    def full_ar(self) -> Floats:
        """phi(B) Phi(B^s)."""
        return _product(self.ar, self.seasonal_ar)

    @cached_property
    def full_ma(self) -> Floats:
        """theta(B) Theta(B^s)."""
        return _product(self.ma, self.seasonal_ma)

    def has_roots_beyond(self, radius: float) -> bool:
        """Return whether all roots are larger than a radius; a root near 1 is almost one of an unstable model."""
        return all(
            _has_roots_outside(-polynomial[1:] * radius ** np.arange(1.0, polynomial.size), edge=1.0)
            for polynomial in (self.ar, self.ma, self.seasonal_ar, self.seasonal_ma)
        )


@dataclass(frozen=True)
class CssFit:
    """A fitted model. Its parameters are beta, phi, theta, Phi, Theta, as in statsmodels."""

    orders: Orders
    parameters: Floats
    residuals: Floats
    """One-step-ahead residuals, shape (n - lost,)."""
    converged: bool

    @property
    def sigma2(self) -> float:
        """Variance of the residuals."""
        return float(self.residuals @ self.residuals / self.residuals.size)

    @property
    def log_likelihood(self) -> float:
        """Gaussian log-likelihood of the differenced series, conditional on zeros before it."""
        n = self.residuals.size
        return float(-n / 2 * (np.log(2 * np.pi * max(self.sigma2, 1e-300)) + 1))

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for small samples; the variance counts as a parameter."""
        return aicc(self.log_likelihood, self.parameters.size + 1, self.residuals.size)

    @cached_property
    def polynomials(self) -> Polynomials:
        """The lag polynomials."""
        return Polynomials.of(self.orders, self.parameters)

    def forecast(self, series: Floats, regressors: Floats, future: Floats) -> Floats:
        """Return the mean forecast after the series, (horizon,); `regressors` (n, k) and `future` (horizon, k).

        The regressors do not include the constant. The series may be longer than the one that the model was
        fitted on: its residuals are computed from it.
        """
        orders, beta = self.orders, self.parameters[: self.parameters.size - sum(self.orders.sizes)]
        n, horizon = series.size, future.shape[0]
        x = with_constant(orders, np.vstack([regressors, future]))
        errors = series - x[:n] @ beta
        whole = np.convolve(self.polynomials.full_ar, differencing(orders))
        ma = self.polynomials.full_ma
        # Zeros before the differenced series, as in the fit.
        shocks = Inverse(ma, n - orders.lost)(moving(self.polynomials.full_ar, difference(errors, orders)))
        state = lfiltic(ma, whole, _newest_first(errors, whole.size - 1), _newest_first(shocks, ma.size - 1))
        path, _ = lfilter(ma, whole, np.zeros(horizon), zi=state)
        forecast: Floats = path + x[n:] @ beta
        return forecast


def fit(
    series: Floats, regressors: Floats, orders: Orders, start: Floats | None = None, tolerance: float = 1e-7
) -> CssFit:
    """Fit by Levenberg-Marquardt from `start` (default: least squares for beta, near zero for the rest).

    series: (n,). regressors: (n, k), without the constant. Steps that leave the stationary and invertible region
    are rejected.

    Raises:
        ValueError: the series is too short for the orders.
    """
    if series.size <= orders.lost + sum(orders.sizes) + 1:
        raise ValueError(f"{orders} needs more than {series.size} observations")
    w = difference(series, orders)
    x = difference(with_constant(orders, regressors), orders)
    k = x.shape[1]
    parameters = _default_start(w, x, orders) if start is None else start.astype(float)
    residuals, jacobian = _residuals(w, x, parameters, orders)
    loss, damping = float(residuals @ residuals), 1e-3
    converged, on_diagonal = parameters.size == 0, np.arange(parameters.size)
    for _ in range(ROUNDS if parameters.size else 0):
        gradient, curvature = jacobian.T @ residuals, jacobian.T @ jacobian
        diagonal = np.maximum(curvature[on_diagonal, on_diagonal], 1e-12)
        better = False
        while damping < 1e8 and not better:
            damped = curvature.copy()
            damped[on_diagonal, on_diagonal] += damping * diagonal
            _, step, is_singular = dposv(damped, gradient)
            candidate = parameters - step
            if not is_singular and admissible(orders, candidate[k:]):
                new_residuals, new_jacobian = _residuals(w, x, candidate, orders)
                new_loss = float(new_residuals @ new_residuals)
                better = new_loss < loss
            damping = damping / 10 if better else damping * 10
        if not better:
            converged = True  # no step reduces the loss: a minimum, or the edge of the region
            break
        gain = (loss - new_loss) / max(loss, 1e-300)
        parameters, residuals, jacobian, loss = candidate, new_residuals, new_jacobian, new_loss
        damping = max(damping, 1e-9)
        if gain < tolerance:
            converged = True
            break
    return CssFit(orders, parameters, residuals, converged)


def difference(values: Floats, orders: Orders) -> Floats:
    """Apply (1 - B)^d (1 - B^s)^D along the first axis; the result is shorter by `orders.lost`."""
    for lag in [1] * orders.d + [orders.season] * orders.seasonal_d:
        values = values[lag:] - values[:-lag]
    return values


def differencing(orders: Orders) -> Floats:
    """Return the coefficients of the polynomial (1 - B)^d (1 - B^s)^D."""
    whole = np.ones(1)
    for lag in [1] * orders.d + [orders.season] * orders.seasonal_d:
        whole = np.convolve(whole, np.r_[1.0, np.zeros(lag - 1), -1.0])
    return whole


def with_constant(orders: Orders, regressors: Floats) -> Floats:
    """Return the regressors with the constant, if the model has one, as the first column t^(d + D)."""
    if not orders.constant:
        return regressors
    time = np.arange(1.0, regressors.shape[0] + 1)
    return np.column_stack([time**orders.differences, regressors])


def aicc(log_likelihood: float, parameters: int, n: int) -> float:
    """Return Hurvich and Tsai's AICc; it is infinite if there are too few observations."""
    spare = n - parameters - 1
    if spare <= 0:
        return np.inf
    return -2 * log_likelihood + 2 * parameters + 2 * parameters * (parameters + 1) / spare


def _residuals(w: Floats, x: Floats, parameters: Floats, orders: Orders) -> tuple[Floats, Floats]:
    """Return the residuals (n,) and their derivatives (n, parameters)."""
    n, k, season = w.size, x.shape[1], orders.season
    lags = Polynomials.of(orders, parameters)
    inverse = Inverse(lags.full_ma, n)
    u = w - x @ parameters[:k] if k else w
    without_ar = inverse(moving(lags.seasonal_ar, u))
    residuals = moving(lags.ar, without_ar)
    jacobian = np.zeros((n, parameters.size), order="F")
    for column in range(k):
        jacobian[:, column] = -inverse(moving(lags.full_ar, x[:, column]))
    parts: list[tuple[int, int, Floats]] = []
    if orders.p:
        parts.append((orders.p, 1, without_ar))
    if orders.q:
        parts.append((orders.q, 1, Inverse(lags.ma, n)(residuals)))
    if orders.seasonal_p:
        parts.append((orders.seasonal_p, season, inverse(moving(lags.ar, u))))
    if orders.seasonal_q:
        parts.append((orders.seasonal_q, season, Inverse(lags.seasonal_ma, n)(residuals)))
    column = k
    for size, step, filtered in parts:
        for lag in range(step, size * step + 1, step):
            jacobian[lag:, column] = -filtered[:-lag]
            column += 1
    return residuals, jacobian


def _default_start(w: Floats, x: Floats, orders: Orders) -> Floats:
    beta = np.linalg.lstsq(x, w, rcond=None)[0] if x.shape[1] else np.zeros(0)
    p, q, sp, sq = orders.sizes
    # Nonzero, and different for AR and MA: at equal values AR and MA terms cancel.
    return np.concatenate([beta, np.full(p, 0.1), np.zeros(q), np.full(sp, 0.1), np.zeros(sq)])


def admissible(orders: Orders, coefficients: Floats) -> bool:
    """Return whether the p + q + P + Q coefficients are stationary and invertible."""
    phi, theta, seasonal_phi, seasonal_theta = _parts(orders, coefficients)
    return all(_has_roots_outside(part) for part in (phi, -theta, seasonal_phi, -seasonal_theta))


def _parts(orders: Orders, parameters: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the last p + q + P + Q parameters as phi, theta, Phi and Theta."""
    p, q, sp, sq = orders.sizes
    end = parameters.size
    seasonal_theta, seasonal_phi, theta = end - sq, end - sq - sp, end - sq - sp - q
    return (
        parameters[theta - p : theta],
        parameters[theta:seasonal_phi],
        parameters[seasonal_phi:seasonal_theta],
        parameters[seasonal_theta:],
    )


def _has_roots_outside(coefficients: Floats, edge: float = EDGE) -> bool:
    """Return whether all roots of 1 - c_1 z - ... lie outside the unit circle, by reverse Durbin-Levinson."""
    c = coefficients
    while c.size:
        last = float(c[-1])
        if not abs(last) < edge:
            return False
        c = (c[:-1] + last * c[-2::-1]) / (1 - last * last) if c.size > 1 else c[:0]
    return True


def _product(one: Floats, other: Floats) -> Floats:
    """Return the product of two lag polynomials."""
    if one.size == 1 or other.size == 1:
        return one if other.size == 1 else other
    return np.convolve(one, other)


def _spread(coefficients: Floats, step: int) -> Floats:
    whole = np.zeros(coefficients.size * step + 1)
    whole[0] = 1.0
    whole[step::step] = coefficients
    return whole


def _newest_first(values: Floats, count: int) -> Floats:
    """Return the last `count` values, newest first, padded with zeros."""
    last = values[::-1][:count]
    return np.concatenate([last, np.zeros(count - last.size)])
