"""Point forecasts that add up: the parts of every level sum to the shop, to the penny, never below zero.

Belongs here: which series of a panel must add up, reconciling, rounding. Does not: forecasting, and closing a level
by an `other` series, which SQL does.

With one total and several ways to split it (countries, products ...) minimum-trace reconciliation with a
diagonal covariance (Wickramasuriya, Athanasopoulos and Hyndman 2019, JASA 114; their WLS) has a closed
form: the total is the precision-weighted mean of its own forecast and of each level's sum, and what a level
is off by then is shared among its parts by their error variances. Orders and buyers do not add up: one
order has several products, and one customer buys in several categories.

A level (country, category, channel, product) is closed when its parts, `other` among them, are the whole shop. A
level without the key `other` adds up all the same where its parts are all there are. Levels of a measure without
the shop's own series are left as they are.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.forecasting.css import Floats

TOTAL = "shop"
# Measures that add up over the parts of a level.
ADDING = ("units", "revenue")
CENTS = 100


def add_up(keys: pd.DataFrame, mean: Floats, variances: Floats) -> Floats:
    """Means (series, horizon) with units and revenue reconciled over levels and rounded to the penny."""
    answer = mean.copy()
    measure, level = keys["measure"].to_numpy(), keys["level"].to_numpy()
    for name in ADDING:
        shop = np.flatnonzero((measure == name) & (level == TOTAL))
        if shop.size != 1:
            continue
        rows = {
            part: np.flatnonzero((measure == name) & (level == part))
            for part in sorted(set(level[measure == name]) - {TOTAL})
        }
        total, parts = reconcile(
            mean[shop[0]],
            float(variances[shop[0]]),
            {part: (mean[found], variances[found]) for part, found in rows.items()},
        )
        total, parts = to_the_penny(total, parts)
        answer[shop[0]] = total
        for part, found in rows.items():
            answer[found] = parts[part]
    return answer


def reconcile(
    total: Floats, total_variance: float, parts: Mapping[str, tuple[Floats, Floats]]
) -> tuple[Floats, dict[str, Floats]]:
    """Reconciled (total, {level: parts}), none negative, unrounded.

    total (horizon,), its error variance; for each level its parts (series, horizon) and their error
    variances (series,). A part that is zero on a day, being closed, stays so unless all of its level are.
    """
    weights = {level: _shares(values, variances) for level, (values, variances) in parts.items()}
    precision = np.full(total.shape, 1 / max(total_variance, 1e-12))
    weighted = total * precision
    for level, (values, _) in parts.items():
        own = 1 / np.maximum(weights[level].sum(axis=0), 1e-12)
        weighted, precision = weighted + values.sum(axis=0) * own, precision + own
    agreed = np.maximum(weighted / precision, 0)
    return agreed, {
        level: spread_difference(values, weights[level], agreed) for level, (values, _) in parts.items()
    }


def spread_difference(values: Floats, weights: Floats, total: Floats) -> Floats:
    """max(0, values + weight * lambda) with each step's lambda such that the parts sum to `total` (horizon,).

    The nearest point to `values` in the metric of 1 / weights that is nowhere negative and sums up. Parts
    that would fall below zero are fixed there and the rest solved again: at most once for each part.
    """
    free = weights > 0
    for _ in range(values.shape[0]):
        kept = np.where(free, values, 0)
        missing = total - kept.sum(axis=0)
        room = np.where(free, weights, 0).sum(axis=0)
        moved = kept + np.where(free, weights, 0) * (missing / np.where(room > 0, room, 1))
        below = free & (moved < 0)
        if not below.any():
            break
        free &= ~below
    return np.maximum(moved, 0)


def to_the_penny(total: Floats, parts: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    """Round so that every level still sums to the total: largest remainders get the missing cents."""
    cents = np.rint(total * CENTS)
    return cents / CENTS, {
        level: _apportioned(values * CENTS, cents) / CENTS for level, values in parts.items()
    }


def _apportioned(cents: Floats, whole: Floats) -> Floats:
    """Whole numbers near `cents` (series, horizon) that sum to `whole` (horizon,), by Hamilton's method."""
    down = np.floor(cents)
    left = whole - down.sum(axis=0)
    place: NDArray[np.int64] = np.argsort(np.argsort(down - cents, axis=0, kind="stable"), axis=0)
    # Rounding makes at most one cent a part, upwards or (sums of floats) downwards.
    up = place < left
    positive = down > 0
    order = np.argsort(np.argsort(np.where(positive, cents - down, np.inf), axis=0, kind="stable"), axis=0)
    return down + up - (order < -left)


def _shares(values: Floats, variances: Floats) -> Floats:
    """Error variances (series, horizon): none on days a part is closed, unless all of them are."""
    spread = np.maximum(variances, 1e-9)[:, None]
    open_parts = values > 0
    return np.where(open_parts | ~open_parts.any(axis=0), spread, 0.0)
