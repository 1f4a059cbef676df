"""Exponential smoothing as linear filters: Holt-Winters with an additive season and no trend, and Theta.

The errors of additive smoothing are a linear filter of the series once its start is subtracted, because level and
season of a series without errors repeat for ever. So one evaluation is one filter, its derivatives are two more, and
the constants are found by Levenberg-Marquardt. The state after any history is a sum of the errors.

Belongs here: the start, the errors, the fit of the constants, forecasts. Does not: the scale of a series and how
parameters are stored (`local_models`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.filters import Inverse, moving

CYCLES = 5
"""Seasons from which the first season is estimated."""
LEVEL_VALUES = 10
"""Values of the moving average whose line gives the first level."""
ROUNDS = 50
STARTS = ((0.05, 0.02), (0.3, 0.02), (0.1, 0.3), (0.7, 0.1))
"""Constants from which the fit may start: of the level, and of the season as a share of what is left."""
TOLERANCE = 1e-10
LEAST_LEVEL = 1e-4
"""Least constant of simple smoothing; with 0 the first value would be the forecast for ever."""
SEASONAL_TEST = 1.645**2
"""10% critical value of the test for a season (Assimakopoulos and Nikolopoulos 2000)."""

Residuals = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Start:
    """The level and the season (season,) before the first value; one zero where there is no season."""

    level: float
    season: Floats

    def __len__(self) -> int:
        return self.season.size

    def subtracted_from(self, values: Floats) -> Floats:
        """Return values (n,) minus the start, which repeats for ever."""
        return values - self.level - np.resize(self.season, values.size)


def heuristic_start(values: Floats, season: int) -> Start:
    """Return the start by Hyndman and Athanasopoulos (Forecasting, section 2.6 of the 2008 book), as statsmodels.

    values: (n,). season: its period, 1 for none. The first season is the mean difference from a centred moving
    average over up to five seasons; the first level is where a line through ten of its values begins. A shorter
    series starts with its first season.
    """
    least = LEVEL_VALUES + 2 * (season // 2)
    if values.size < max(least, 2 * season):
        level = float(values[:season].mean())
        return Start(level, values[:season] - level if season > 1 else np.zeros(1))
    if season == 1:
        return Start(_line_start(values), np.zeros(1))
    cycles = max(min(CYCLES, values.size // season), -(-least // season))
    used = values[: season * cycles]
    trend = moving_average(used, season)
    padded = np.full(season * cycles, np.nan)
    padded[: used.size] = used - trend
    first = np.nanmean(padded.reshape(cycles, season), axis=0)
    return Start(_line_start(trend[np.isfinite(trend)]), first - first.mean())


def _line_start(values: Floats) -> float:
    """Return the value at 0 of the line through the first ten values, at 1 to 10."""
    first = values[:LEVEL_VALUES]
    time = np.arange(1.0, first.size + 1) - (first.size + 1) / 2
    return float(first.mean() - time @ first / (time @ time) * (first.size + 1) / 2)


def moving_average(values: Floats, season: int) -> Floats:
    """Return the centred moving average over a season (n,), NaN at both ends; an even season has half weights."""
    weights = np.ones(season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5]
    found = np.full(values.size, np.nan)
    edge = weights.size // 2
    found[edge : values.size - edge] = np.convolve(values, weights / season, "valid")
    return found


def errors(values: Floats, start: Start, level: float, seasonal: float = 0.0) -> Floats:
    """Return the one-step errors (n,) of smoothing with constants for the level and the season."""
    numerator, denominator = _filter(len(start), level, seasonal)
    return Inverse(denominator, values.size)(moving(numerator, start.subtracted_from(values)))


def fit_smoothing(values: Floats, season: int) -> tuple[float, float]:
    """Return the constants of level and season that minimise the sum of squared errors; level + season <= 1."""
    start = heuristic_start(values, season)
    rest = start.subtracted_from(values)

    def residuals(parameters: Floats) -> tuple[Floats, Floats]:
        level, share = float(parameters[0]), float(parameters[-1]) if season > 1 else 0.0
        numerator, denominator = _filter(season, level, (1 - level) * share)
        inverse = Inverse(denominator, rest.size)
        found = inverse(moving(numerator, rest))
        if season == 1:
            return found, -inverse(_lagged(found, 1))[:, None]
        both = _lagged(found, season + 1)
        by_level, by_season = inverse(both - _lagged(found, 1)), inverse(both - _lagged(found, season))
        return found, np.column_stack([by_level - share * by_season, (1 - level) * by_season])

    starts = [np.array(one[: 1 + (season > 1)]) for one in STARTS]
    best = minimised(residuals, min(starts, key=lambda one: float(np.square(residuals(one)[0]).sum())))
    level = float(best[0])
    return level, (1 - level) * float(best[1]) if season > 1 else 0.0


def smoothed_path(values: Floats, season: int, level: float, seasonal: float, horizon: int) -> Floats:
    """Return the forecast (horizon,) after the values (n,)."""
    start = heuristic_start(values, season)
    found = errors(values, start, level, seasonal)
    steps = np.arange(values.size, values.size + horizon) % season
    sums = np.bincount(np.arange(values.size) % season, found, season)
    path: Floats = start.level + level * found.sum() + (start.season + seasonal * sums)[steps]
    return path


def _filter(season: int, level: float, seasonal: float) -> tuple[Floats, Floats]:
    """Return numerator and denominator of the filter from values to errors."""
    if season == 1:
        return np.array([1.0, -1.0]), np.array([1.0, level - 1])
    numerator, denominator = np.zeros(season + 2), np.zeros(season + 2)
    numerator[[0, season + 1]], denominator[0] = 1.0, 1.0
    numerator[1] -= 1
    numerator[season] -= 1
    denominator[1] += level - 1
    denominator[season] += seasonal - 1
    denominator[season + 1] = 1 - level - seasonal
    return numerator, denominator


def _lagged(values: Floats, lag: int) -> Floats:
    """Return values (n,) later by a lag, zeros first."""
    found = np.zeros(values.size)
    found[lag:] = values[:-lag]
    return found


def minimised(residuals: Residuals, start: Floats) -> Floats:
    """Return parameters in [0, 1] with the least sum of squares, by projected Levenberg-Marquardt.

    residuals: returns residuals (n,) and their derivatives (n, parameters). start: (parameters,).
    """
    parameters, damping = start, 1e-3
    found, jacobian = residuals(parameters)
    loss = float(found @ found)
    for _ in range(ROUNDS):
        gradient = jacobian.T @ found
        free = ~(((parameters <= 0) & (gradient > 0)) | ((parameters >= 1) & (gradient < 0)))
        if not free.any() or loss <= 0:
            break
        curvature = jacobian[:, free].T @ jacobian[:, free]
        diagonal = np.maximum(np.diag(curvature), 1e-12)
        better = False
        while damping < 1e8 and not better:
            candidate = parameters.copy()
            candidate[free] -= np.linalg.solve(curvature + np.diag(damping * diagonal), gradient[free])
            candidate = np.clip(candidate, 0, 1)
            new_found, new_jacobian = residuals(candidate)
            new_loss = float(new_found @ new_found)
            better = new_loss < loss
            damping = damping / 10 if better else damping * 10
        if not better:
            break
        gain = (loss - new_loss) / loss
        parameters, found, jacobian, loss = candidate, new_found, new_jacobian, new_loss
        damping = max(damping, 1e-9)
        if gain < TOLERANCE:
            break
    return parameters


# ------------------------------------------------------------------------------------------------ Theta


def has_season(values: Floats, season: int) -> bool:
    """Return whether the autocorrelation at the season is significant, by the test of the Theta method."""
    rest = values - values.mean()
    found = np.array([float(rest[lag:] @ rest[: rest.size - lag]) for lag in range(season + 1)])
    return bool(values.size * found[-1] ** 2 > SEASONAL_TEST * np.square(found[:-1]).sum())


def additive_season(values: Floats, season: int) -> Floats:
    """Return the mean difference of each position in the season (season,) from a centred moving average."""
    off = values - moving_average(values, season)
    known = np.isfinite(off)
    at = np.arange(values.size)[known] % season
    means = np.bincount(at, off[known], season) / np.maximum(np.bincount(at, minlength=season), 1)
    pattern: Floats = means - means.mean()
    return pattern


def fit_level(values: Floats) -> float:
    """Return the constant of simple smoothing from the first value that minimises the sum of squared errors."""
    rest = values - values[0]

    def residuals(parameters: Floats) -> tuple[Floats, Floats]:
        numerator, denominator = _filter(1, float(parameters[0]), 0.0)
        inverse = Inverse(denominator, rest.size)
        found = inverse(moving(numerator, rest))
        return found, -inverse(_lagged(found, 1))[:, None]

    starts = [np.array([one]) for one in (0.02, 0.2, 0.6)]
    best = minimised(residuals, min(starts, key=lambda one: float(np.square(residuals(one)[0]).sum())))
    return max(float(best[0]), LEAST_LEVEL)


def theta_path(values: Floats, season: int, level: float, horizon: int) -> Floats:
    """Return the forecast (horizon,) of the Theta method after the values (n,). season: 1 for none.

    A series is smoothed with the constant `level`, with half the slope of its trend as drift, which is equivalent to
    the method (Hyndman and Billah 2003).
    """
    pattern = additive_season(values, season) if season > 1 else np.zeros(1)
    rest = values - np.resize(pattern, values.size)
    time = np.arange(values.size) - (values.size - 1) / 2
    slope = float(time @ rest) / float(time @ time)
    smooth = rest[0] + level * float(errors(rest, Start(float(rest[0]), np.zeros(1)), level).sum())
    reach = np.arange(horizon) + (1 - (1 - level) ** values.size) / max(level, 1e-8)
    steps = np.arange(values.size, values.size + horizon) % pattern.size
    path: Floats = smooth + slope / 2 * reach + pattern[steps]
    return path
