"""Maximum likelihood in log-parameters, with standard errors. Every model of this package uses `maximise`.

Belongs here: the optimisation, the Hessian, standard errors. Does not: the likelihood of any model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.optimize import least_squares, minimize
from scipy.stats import norm

from clm_dagster.statistics.btyd.durations import Floats
from clm_dagster.statistics.btyd.errors import FitError

Model = TypeVar("Model")
Objective = Callable[[Floats], tuple[float, Floats]]

# Bound of the log-parameters: beyond e^10 or e^-10 a likelihood is flat in its parameter.
BOUND = 10.0
NEAR = 0.1
STEP = 1e-4


@dataclass(frozen=True, eq=False)
class Fit(Generic[Model]):
    """A fitted model: the estimates and their uncertainty.

    Attributes:
        model: the model at the maximum.
        estimates: natural parameters by name, times in the model's unit.
        log_likelihood: of all customers, without a penalty.
        customers: number of customers used (the sum of the weights).
        log_covariance: of the logarithms of the parameters, from the Hessian; shape (k, k). Infinite
            on the diagonal for a parameter that the data do not identify.
        at_bound: names of parameters at the end of their range, for example `b` if no customer ever stops
            buying. The model is still usable, but the value of such a parameter has no meaning.
    """

    model: Model
    estimates: dict[str, float]
    log_likelihood: float
    customers: float
    log_covariance: Floats
    at_bound: tuple[str, ...]

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard errors of the natural parameters by the delta method: estimate x standard error of its log."""
        errors = np.sqrt(np.diag(self.log_covariance))
        return {name: float(self.estimates[name] * e) for name, e in zip(self.estimates, errors, strict=True)}

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Return confidence intervals of the natural parameters, symmetric in the logarithm, so never below 0."""
        half = norm.ppf(0.5 + level / 2) * np.sqrt(np.diag(self.log_covariance))
        with np.errstate(over="ignore"):  # an infinite standard error gives 0 to infinity
            return {
                name: (float(value * np.exp(-h)), float(value * np.exp(h)))
                for (name, value), h in zip(self.estimates.items(), half, strict=True)
            }


def maximise(
    objective: Objective, start: Floats, weight: float, curvature: Floats | None = None
) -> tuple[Floats, Floats, list[int]]:
    """Find the log-parameters that maximise a likelihood.

    Args:
        objective: function of log-parameters (k,) that returns the log-likelihood and its gradient (k,).
        start: log-parameters to start from, shape (k,).
        weight: number of customers; the mean is optimised, so that step sizes do not depend on it.
        curvature: minus the Hessian of the mean log-likelihood near the start, shape (k, k), if it is known
            from a sample. A few Newton steps may then replace the whole search.

    Returns:
        The maximum (k,), the covariance of the log-parameters (k, k), and the indices at their bound.

    Raises:
        FitError: the search does not converge.
    """

    seen: dict[bytes, tuple[float, Floats]] = {}  # the steps below evaluate some points again

    def loss(theta: Floats) -> tuple[float, Floats]:
        key = theta.tobytes()
        if key not in seen:
            value, gradient = objective(theta)
            seen[key] = -value / weight, -gradient / weight
        return seen[key]

    low, high = np.minimum(start, 0) - BOUND, np.maximum(start, 0) + BOUND

    def is_free(theta: Floats) -> np.ndarray:
        return (theta > low + NEAR) & (theta < high - NEAR)

    theta = start if curvature is None else _newton(loss, start, curvature)
    for _ in range(5):  # on a long flat ridge the search may stop early: restart it there
        if curvature is not None and np.all(np.abs(loss(theta)[1]) < 1e-7):
            break
        theta = minimize(
            loss,
            theta,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low, high, strict=True)),
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-6, "maxcor": 20},
        ).x
        if not np.any(np.abs(loss(theta)[1][is_free(theta)]) > 1e-4):
            break
    free = is_free(theta)
    if np.any(np.abs(loss(theta)[1][free]) > 1e-4):
        theta = _flattened(loss, theta, free, low, high)
        free = is_free(theta)
    hessian = _hessian(loss, theta, free)
    if free.all() and _is_positive_definite(
        hessian
    ):  # L-BFGS-B stops a little early: finish with Newton steps
        maximum = _newton(loss, theta, hessian)
        # On an unbounded ridge the steps leave the range. Clipping each coordinate would leave the ridge too.
        if np.all((low <= maximum) & (maximum <= high)):
            before, theta = theta, maximum
            if np.max(np.abs(theta - before)) > 1e-3:
                hessian = _hessian(loss, theta, free)
    slope = loss(theta)[1]
    if np.any(np.abs(slope[free]) > 1e-4):
        raise FitError(
            f"the fit on {weight:g} customers does not converge (the gradient of the mean log-likelihood is"
            f" {-slope} at log-parameters {theta}); fit on more customers, or observe them longer"
        )
    return theta, _covariance(hessian * weight, free), list(np.flatnonzero(~free))


def _flattened(loss: Objective, theta: Floats, free: np.ndarray, low: Floats, high: Floats) -> Floats:
    """Solve for a flat slope in the free parameters; the others stay at their bounds.

    On a ridge of a few customers the likelihood changes by less than it can be computed to, so a search by its value
    gives up; its gradient is still exact. The start is returned where the solution is less likely.
    """

    def at(values: Floats) -> Floats:
        place = theta.copy()
        place[free] = values
        return place

    found = least_squares(
        lambda values: loss(at(values))[1][free], theta[free], bounds=(low[free], high[free]), xtol=1e-14
    )
    place = at(found.x)
    return place if loss(place)[0] <= loss(theta)[0] + 1e-9 else theta


def _newton(loss: Objective, theta: Floats, hessian: Floats) -> Floats:
    """Take Newton steps with a fixed Hessian while they are small and reduce the loss."""
    value, slope = loss(theta)
    for _ in range(10):
        step = -np.linalg.solve(hessian, slope)
        if np.max(np.abs(slope)) < 1e-10 or np.max(np.abs(step)) > 1:
            break
        next_value, next_slope = loss(theta + step)
        if next_value > value + 1e-12:
            break
        theta, value, slope = theta + step, next_value, next_slope
    return theta


def _hessian(loss: Objective, theta: Floats, free: np.ndarray) -> Floats:
    """Return central differences of the analytic gradient, for the free parameters only."""
    steps = np.eye(theta.size)[free] * STEP
    rows = [(loss(theta + step)[1] - loss(theta - step)[1])[free] / (2 * STEP) for step in steps]
    hessian = np.array(rows).reshape(free.sum(), free.sum())
    symmetric: Floats = (hessian + hessian.T) / 2
    return symmetric


def _is_positive_definite(hessian: Floats) -> bool:
    eigenvalues = np.linalg.eigvalsh(hessian) if hessian.size else np.zeros(1)
    return bool(eigenvalues[0] > 1e-9 * max(eigenvalues[-1], 1e-300))


def _covariance(information: Floats, free: np.ndarray) -> Floats:
    covariance = np.diag(np.full(free.size, np.inf))
    if _is_positive_definite(information):
        covariance[np.ix_(free, free)] = np.linalg.inv(information)
    return covariance
