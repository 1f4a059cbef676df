"""Prediction intervals from backtest residuals, so that their coverage matches the nominal one.

Belongs here: the step from residuals at past origins to quantiles around a forecast. Does not: the forecast.

The method is split conformal prediction (Vovk et al. 2005; Lei et al. 2018), with residuals of forecasts whose
horizon ended before as_of. A residual is divided by the square root of its forecast, because the spread of counts
and of basket sums grows that way; an interval calibrated in July then also fits December. The quantile of rank
q (n + 1) of the n residuals is added to the forecast, separately on each side. No quantile is below zero.

Forty residuals of overlapping weeks carry little information on a 2.5% tail. A series with fewer than eighty
residuals uses the pooled residuals of its kind, each scaled by the mean absolute residual of its own series, and
multiplies them by its own mean absolute residual. A series with too few residuals even for that, or with those of a
single origin, has no interval of this kind: its quantiles are NaN.

Days with a forecast of exactly zero (closed days) have no spread. For weekly forecasts, near and far steps are
calibrated separately, because the spread grows with the horizon. Over 28 days it hardly does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clm_dagster.statistics.forecasting.css import Floats

QUANTILES = (0.025, 0.10, 0.50, 0.90, 0.975)
"""The bounds of the 80% and 95% intervals, and the median."""
ENOUGH = 80
"""Minimum number of residuals of a series that uses only its own, enough for the tails of a 95% interval."""
LEAST_RESIDUALS = 16
"""Minimum number of residuals of a series with its own spread; the shape of its tails is that of its kind."""
LEAST_ORIGINS = 2
SMALLEST = 1e-6


def scores(paths: Floats, actual: Floats) -> Floats:
    """Return (actual - path) / sqrt(path); NaN where the path is zero (closed) or the actual value is unknown."""
    usable = (paths > SMALLEST) & np.isfinite(actual)
    return np.where(usable, (actual - paths) / np.sqrt(np.where(usable, paths, 1)), np.nan)


def has_residuals(paths: Floats, actual: Floats, pools: int = 1) -> NDArray[np.bool_]:
    """Return whether each series (series,) has residuals enough for its own spread, in every pool of steps."""
    known = np.isfinite(scores(paths, actual))
    pool_of_step = np.arange(paths.shape[2]) * pools // max(paths.shape[2], 1)
    enough = np.ones(len(paths), dtype=bool)
    for pool in range(pools):
        enough &= _are_enough(known[:, :, pool_of_step == pool])
    return enough


def _are_enough(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether the residuals of each series (series, origins, steps) are enough."""
    enough: NDArray[np.bool_] = (known.sum(axis=(1, 2)) >= LEAST_RESIDUALS) & (
        known.any(axis=2).sum(axis=1) >= LEAST_ORIGINS
    )
    return enough


def conformal_quantiles(
    mean: Floats,
    paths: Floats,
    actual: Floats,
    kinds: NDArray[np.str_],
    pools: int = 1,
    quantiles: Sequence[float] = QUANTILES,
) -> Floats:
    """Return quantiles (series, horizon, quantiles) around mean (series, horizon); NaN without enough residuals.

    paths, actual: the backtest, (series, origins, steps); steps beyond its horizon use its last pool.
    kinds: (series,); series of the same kind share residuals if they have too few of their own.
    pools: number of groups of steps that are calibrated separately.
    """
    found = scores(paths, actual)
    steps = paths.shape[2]
    pool_of_horizon = np.minimum(np.arange(mean.shape[1]) * pools // max(steps, 1), pools - 1)
    pool_of_step = np.arange(steps) * pools // max(steps, 1)
    result = np.zeros((*mean.shape, len(quantiles)))
    for pool in range(pools):
        columns = np.flatnonzero(pool_of_horizon == pool)
        pool_scores = found[:, :, pool_of_step == pool]
        size, standard = _standardised(pool_scores)
        usable = _are_enough(np.isfinite(pool_scores))
        for row in range(len(mean)):
            centre = mean[row, columns][:, None]
            own = pool_scores[row][np.isfinite(pool_scores[row])]
            if own.size >= ENOUGH and usable[row]:
                offsets = np.sqrt(centre) * _quantiles_by_rank(own, quantiles)
            elif usable[row]:
                offsets = (
                    np.sqrt(centre)
                    * size[row]
                    * _quantiles_by_rank(_of_kind(standard, kinds, row), quantiles)
                )
            else:
                result[row, columns] = np.nan
                continue
            result[row, columns] = np.where(centre > SMALLEST, np.maximum(centre + offsets, 0), 0)
    return result


def _standardised(found: Floats) -> tuple[Floats, Floats]:
    """Return the mean absolute score (series,), and scores divided by it (series, origins, steps).

    The scores of an origin are divided by the mean of the other origins, so that the divisor is as uncertain as it
    is for future days.
    """
    total, count = np.abs(np.nan_to_num(found)).sum(axis=2), np.isfinite(found).sum(axis=2)
    size = total.sum(axis=1) / np.maximum(count.sum(axis=1), 1)
    others = total.sum(axis=1, keepdims=True) - total
    without = others / np.maximum(count.sum(axis=1, keepdims=True) - count, 1)
    return size, found / np.where(without > 0, without, np.nan)[:, :, None]


def _of_kind(residuals: Floats, kinds: NDArray[np.str_], row: int) -> Floats:
    """Return the pooled residuals of the row's kind, or those of all kinds where they are too few."""
    of_kind = residuals[kinds == kinds[row]]
    of_kind = of_kind[np.isfinite(of_kind)]
    return of_kind if of_kind.size >= LEAST_RESIDUALS else residuals[np.isfinite(residuals)]


def _quantiles_by_rank(residuals: Floats, quantiles: Sequence[float]) -> Floats:
    """Return the residuals of rank q (n + 1), interpolated between neighbours and limited to the extremes."""
    ordered = np.sort(residuals)
    interpolated: Floats = np.interp(
        np.array(quantiles) * (ordered.size + 1) - 1, np.arange(ordered.size), ordered
    )
    return interpolated
