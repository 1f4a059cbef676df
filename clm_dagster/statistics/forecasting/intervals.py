"""Bands from the backtest's own residuals, so that their coverage is what they say.

Belongs here: from residuals at past origins to quantiles around a forecast. Does not: the forecast.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018) with residuals of forecasts made at origins
whose horizon had ended before as_of. A residual is divided by the square root of its forecast: the spread
of counts and of sums of baskets grows so, and a band made in July fits December. The quantile of rank
q (n + 1) of the n residuals is added back, each side by its own, and no quantile lies below zero.

Forty residuals of weeks that overlap say little of a tail of 2.5%. A series with fewer than eighty takes
the shape of its kind's residuals, each in units of its own series' mean absolute one, and its own size. A
series without residuals of its own takes those of its kind, relative to the forecast. Where no series has
any, the shop being too young for a backtest, the band reaches from nothing to three times the forecast.

Days that are forecast as exactly zero, being closed, have no spread. Near and far steps are calibrated
apart where weeks are forecast, since their spread grows with the horizon; over 28 days it hardly does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clm_dagster.statistics.forecasting.css import Floats

QUANTILES = (0.025, 0.10, 0.50, 0.90, 0.975)
"""The bands of 80 and 95%, and the median."""
ENOUGH = 80
"""Residuals of its own from which on a series needs those of no other: the tails of a band of 95%."""
LEAST_RESIDUALS = 16
"""Residuals of its own that tell how far a series spreads; the shape of its tails is that of its kind."""
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
    `kinds` (series,): who shares residuals with whom where a series has too few of its own.
    """
    found = scores(paths, actual)
    steps = paths.shape[2]
    near = np.minimum(np.arange(mean.shape[1]) * pools // max(steps, 1), pools - 1)
    of_step = np.arange(steps) * pools // max(steps, 1)
    answer = np.zeros((*mean.shape, len(quantiles)))
    for pool in range(pools):
        columns = np.flatnonzero(near == pool)
        here = found[:, :, of_step == pool]
        size, standard = _standardised(here)
        for row in range(len(mean)):
            centre = mean[row, columns][:, None]
            own = here[row][np.isfinite(here[row])]
            if own.size >= ENOUGH:
                offsets = np.sqrt(centre) * _ranks(own, quantiles)
            elif own.size >= LEAST_RESIDUALS:
                offsets = np.sqrt(centre) * size[row] * _ranks(_of_kind(standard, kinds, row), quantiles)
            else:
                relative = found / np.sqrt(np.where(paths > SMALLEST, paths, np.nan))
                offsets = centre * _ranks(_of_kind(relative, kinds, row), quantiles)
            answer[row, columns] = np.where(centre > SMALLEST, np.maximum(centre + offsets, 0), 0)
    return answer


def _standardised(found: Floats) -> tuple[Floats, Floats]:
    """Mean absolute score (series,), and scores in units of it (series, origins, steps).

    Each origin's are in units of the other origins': as uncertain a measure as that of days to come.
    """
    total, count = np.abs(np.nan_to_num(found)).sum(axis=2), np.isfinite(found).sum(axis=2)
    size = total.sum(axis=1) / np.maximum(count.sum(axis=1), 1)
    others = total.sum(axis=1, keepdims=True) - total
    without = others / np.maximum(count.sum(axis=1, keepdims=True) - count, 1)
    return size, found / np.where(without > 0, without, np.nan)[:, :, None]


def _of_kind(residuals: Floats, kinds: NDArray[np.str_], row: int) -> Floats:
    """Residuals (series, origins, steps) of the row's kind together, else of all kinds, else UNKNOWN."""
    for rows in (kinds == kinds[row], np.ones(kinds.size, dtype=bool)):
        values = residuals[rows]
        values = values[np.isfinite(values)]
        if values.size >= LEAST_RESIDUALS:
            return values
    return UNKNOWN


def _ranks(residuals: Floats, quantiles: Sequence[float]) -> Floats:
    """The residual of rank q (n + 1), between neighbours by interpolation; the extremes where it lies outside."""
    ordered = np.sort(residuals)
    return np.interp(np.array(quantiles) * (ordered.size + 1) - 1, np.arange(ordered.size), ordered)
