"""Bands from the backtest's own residuals, so that their coverage is what they say.

Belongs here: from residuals at past origins to quantiles around a forecast. Does not: the forecast.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018) with residuals of forecasts made at origins
whose horizon had ended before as_of. A residual is divided by the square root of its forecast: the spread
of counts and of sums of baskets grows so, and a band made in July fits December. The quantile of rank
q (n + 1) of the n residuals is added back, each side by its own, and no quantile lies below zero.

A series without residuals of its own takes those of its kind, relative to the forecast. Where no series has
any, the shop being too young for a backtest, the band reaches from nothing to three times the forecast.

Days that are forecast as exactly zero, being closed, have no spread. Near and far steps are calibrated
apart where weeks are forecast, since their spread grows with the horizon; over 28 days it hardly does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clm_dagster.demand.css import Floats

QUANTILES = (0.025, 0.10, 0.50, 0.90, 0.975)
"""The bands of 80 and 95%, and the median."""
LEAST_RESIDUALS = 40
"""Below so many of its own, a series takes the residuals of all series of its kind."""
SMALLEST = 1e-6
UNKNOWN = np.linspace(-1, 2, 200)
"""Relative residuals where nobody has any."""


def scores(paths: Floats, actual: Floats) -> Floats:
    """(actual - path) / sqrt(path); NaN where the path is zero (closed) or nothing is known."""
    usable = (paths > SMALLEST) & np.isfinite(actual)
    return np.where(usable, (actual - paths) / np.sqrt(np.where(usable, paths, 1)), np.nan)


def conformal_quantiles(
    mean: Floats,
    paths: Floats,
    actual: Floats,
    kinds: NDArray[np.str_],
    pools: int = 1,
    quantiles: Sequence[float] = QUANTILES,
) -> Floats:
    """Quantiles (series, horizon, quantiles) around mean (series, horizon).

    paths and actual (series, origins, steps) are the backtest; steps beyond its horizon take its last pool.
    `kinds` (series,): who shares residuals with whom where a series has too few; then they are relative.
    """  # fmt: skip
    found = scores(paths, actual)
    steps = paths.shape[2]
    near = np.minimum(np.arange(mean.shape[1]) * pools // max(steps, 1), pools - 1)
    of_step = np.arange(steps) * pools // max(steps, 1)
    answer = np.zeros((*mean.shape, len(quantiles)))
    for pool in range(pools):
        columns = np.flatnonzero(near == pool)
        for row in range(mean.shape[0]):
            own = found[row][:, of_step == pool]
            own = own[np.isfinite(own)]
            centre = mean[row, columns][:, None]
            if own.size >= LEAST_RESIDUALS:
                offsets = np.sqrt(np.maximum(centre, 0)) * _ranks(own, quantiles)
            else:
                offsets = centre * _ranks(_shared(paths, found, kinds, row), quantiles)
            answer[row, columns] = np.where(centre > SMALLEST, np.maximum(centre + offsets, 0), 0)
    return answer


def _shared(paths: Floats, found: Floats, kinds: NDArray[np.str_], row: int) -> Floats:
    """Relative residuals of the row's kind, else of all kinds, else UNKNOWN."""
    relative = found / np.sqrt(np.where(paths > SMALLEST, paths, np.nan))
    for rows in (kinds == kinds[row], np.ones(kinds.size, dtype=bool)):
        values = relative[rows]
        values = values[np.isfinite(values)]
        if values.size >= LEAST_RESIDUALS:
            return values
    return UNKNOWN


def _ranks(residuals: Floats, quantiles: Sequence[float]) -> Floats:
    """The residual of rank q (n + 1), between neighbours by interpolation; the extremes where it lies outside."""
    ordered = np.sort(residuals)
    return np.interp(np.array(quantiles) * (ordered.size + 1) - 1, np.arange(ordered.size), ordered)
