"""The basic structural model: a local level, a stochastic season and noise (Harvey 1989), by its exact likelihood.

Differenced over a season, w_t = y_t - y_(t-s), the model is a moving average of order s whose autocovariances are
linear in the three variances: of the noise, of the level and of the season. Its covariance matrix is banded, so the
exact likelihood is one banded Cholesky factor. It equals the diffuse likelihood of the Kalman filter, at a hundredth
of its cost. Without a season, s is 1 and the season has no variance.

Belongs here: likelihood, fit and forecast of one series. Does not: the scale of a series and how parameters are stored
(`local_models`).
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from clm_dagster.statistics.forecasting.css import Floats

GRID = (0.0, *(10.0 ** np.arange(-4, 1.5)).tolist())
"""Variances of level and season beside a noise of one, from which the fit starts."""
SEASON_GRID = (0.0, *(10.0 ** np.arange(-5, 0.5)).tolist())
STEPS = (0.5, 0.25, 0.125)
"""Steps of the refinement, in decimal logarithms of a variance."""
ROUNDS = 12
CHUNK = 64
"""Lengths are rounded up to a multiple of it, so that series of similar lengths share the factors of the grid."""
SMALLEST = 1e-7
RIDGE = 1e-9

Variances = tuple[float, float]
"""Variances of the level and of the season, relative to that of the noise."""


def autocovariances(season: int, level: float, seasonal: float) -> Floats:
    """Return the autocovariances (season + 1,) of the seasonal differences, for a noise of variance one."""
    found: Floats = level * np.maximum(season - np.arange(season + 1.0), 0)
    found[0] += 2.0 + RIDGE
    found[season] -= 1.0
    if season > 1:
        found[0] += 2 * seasonal
        found[1] -= seasonal
    return found


def fit_structural(values: Floats, season: int) -> Variances:
    """Return the relative variances of highest likelihood. values: (n,), longer than a season. season: 1 for none."""
    differences = values[season:] - values[:-season]
    size = differences.size
    best, score = (0.0, 0.0), -np.inf
    for variances, factor, log_determinants in _grid(season, -(-size // CHUNK) * CHUNK):
        found = _log_likelihood(differences, factor[:, :size], float(log_determinants[size - 1]))
        if found > score:
            best, score = variances, found
    for step in STEPS:
        for _ in range(ROUNDS):
            moved = [(_at(differences, season, one), one) for one in _neighbours(best, step, season)]
            top, variances = max(moved)
            if top <= score:
                break
            best, score = variances, top
    return best


def structural_path(values: Floats, season: int, variances: Variances, horizon: int) -> Floats:
    """Return the mean forecast (horizon,) after the values (n,)."""
    differences = values[season:] - values[:-season]
    covariances = autocovariances(season, *variances)
    weights = cho_solve_banded(
        (_factor(covariances, differences.size), True), differences, check_finite=False
    )
    newest = weights[::-1][:season]
    ahead = np.array(
        [covariances[step + 1 : step + 1 + newest.size] @ newest[: season - step] for step in range(season)]
    )
    # After one season the differences are unpredictable, and the last season repeats.
    path: Floats = np.resize(values[-season:] + ahead, horizon)
    return path


def log_likelihood(values: Floats, season: int, variances: Variances) -> float:
    """Return the diffuse log-likelihood at relative variances, with the variance of the noise concentrated out."""
    return _at(values[season:] - values[:-season], season, variances)


def _at(differences: Floats, season: int, variances: Variances) -> float:
    factor = _factor(autocovariances(season, *variances), differences.size)
    return _log_likelihood(differences, factor, 2 * float(np.log(factor[0]).sum()))


def _log_likelihood(differences: Floats, factor: Floats, log_determinant: float) -> float:
    size = differences.size
    weights = cho_solve_banded((factor, True), differences, check_finite=False)
    variance = max(float(differences @ weights) / size, 1e-300)
    return float(-0.5 * (size * (np.log(2 * np.pi * variance) + 1) + log_determinant))


def _factor(covariances: Floats, size: int) -> Floats:
    """Return the lower banded Cholesky factor (bandwidth + 1, size) of the covariance matrix."""
    bands = np.repeat(covariances[:, None], size, axis=1)
    found: Floats = cholesky_banded(bands, lower=True, overwrite_ab=True, check_finite=False)
    return found


@lru_cache(maxsize=64)
def _grid(season: int, size: int) -> tuple[tuple[Variances, Floats, Floats], ...]:
    """Return the variances of the grid, their factors, and the log-determinants (size,) of every shorter length.

    The leading part of a Cholesky factor is the factor of a shorter series.
    """
    found = []
    for variances in _grid_variances(season):
        factor = _factor(autocovariances(season, *variances), size)
        found.append((variances, factor, 2 * np.cumsum(np.log(factor[0]))))
    return tuple(found)


def _grid_variances(season: int) -> Iterator[Variances]:
    for level in GRID:
        for seasonal in SEASON_GRID if season > 1 else (0.0,):
            yield level, seasonal


def _neighbours(variances: Variances, step: float, season: int) -> list[Variances]:
    """Return the variances a step away in one of the two; zero and the smallest variance are neighbours."""
    level, seasonal = variances
    found = [(moved, seasonal) for moved in _moved(level, step)]
    return found + ([(level, moved) for moved in _moved(seasonal, step)] if season > 1 else [])


def _moved(variance: float, step: float) -> list[float]:
    if variance <= 0:
        return [SMALLEST]
    lower = variance * 10**-step
    return [variance * 10**step, lower if lower >= SMALLEST else 0.0]
