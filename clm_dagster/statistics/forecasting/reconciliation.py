"""Hierarchical reconciliation: the parts of every hierarchy level sum to the shop, to the cent, never below zero.

Belongs here: which series of a panel must add up, reconciliation, rounding. Does not: forecasting, or the `other`
series that completes a level, which SQL adds.

For one total and several ways to split it (countries, products ...), minimum-trace reconciliation with a diagonal
covariance (Wickramasuriya, Athanasopoulos and Hyndman 2019, JASA 114; their WLS) has a closed form. The total is
the precision-weighted mean of its own forecast and of the sum of each level. The remaining difference of a level
is distributed over its parts by their error variances. Orders and buyers do not add up: one order has several
products, and one customer buys in several categories.

The parts of a level (country, category, channel, product), including `other`, cover the whole shop. A level
without the key `other` adds up as well if its parts are complete. Measures without a series for the whole shop
are not changed.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TOTAL = "shop"
# Measures that are additive over the parts of a level.
ADDING = ("units", "revenue")
CENTS = 100


def add_up(keys: pd.DataFrame, mean: Floats, variances: Floats) -> Floats:
    """Return means (series, horizon), with units and revenue reconciled over all levels and rounded to the cent."""
    result = mean.copy()
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
        result[shop[0]] = total
        for part, found in rows.items():
            result[found] = parts[part]
    return result


def reconcile(
    total: Floats, total_variance: float, parts: Mapping[str, tuple[Floats, Floats]]
) -> tuple[Floats, dict[str, Floats]]:
    """Return the reconciled (total, {level: parts}), non-negative and unrounded.

    total: (horizon,), with its error variance. parts: for each level, its parts (series, horizon) and their error
    variances (series,). A part with a forecast of zero on a day (closed) stays zero, unless all parts of its level
    are zero.
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
    """Return max(0, values + weight * lambda), with lambda per step such that the parts sum to `total` (horizon,).

    This is the closest non-negative point to `values`, in the metric 1 / weights, with the given sum. Parts that
    would become negative are fixed at zero and the others are solved again, at most once per part.
    """
    free = weights > 0
    for _ in range(values.shape[0]):
        kept = np.where(free, values, 0)
        missing = total - kept.sum(axis=0)
        free_weight = np.where(free, weights, 0).sum(axis=0)
        moved = kept + np.where(free, weights, 0) * (missing / np.where(free_weight > 0, free_weight, 1))
        below = free & (moved < 0)
        if not below.any():
            break
        free &= ~below
    spread: Floats = np.maximum(moved, 0)
    return spread


def to_the_penny(total: Floats, parts: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    """Round to cents so that every level still sums to the total, by the largest-remainder method."""
    cents = np.rint(total * CENTS)
    return cents / CENTS, {
        level: _apportioned(values * CENTS, cents) / CENTS for level, values in parts.items()
    }


def _apportioned(cents: Floats, whole: Floats) -> Floats:
    """Return whole numbers near `cents` (series, horizon) that sum to `whole` (horizon,), by Hamilton's method."""
    down = np.floor(cents)
    left = whole - down.sum(axis=0)
    place: NDArray[np.int64] = np.argsort(np.argsort(down - cents, axis=0, kind="stable"), axis=0)
    # Rounding moves each part by at most one cent, up, or down because of float sums.
    up = place < left
    positive = down > 0
    order = np.argsort(np.argsort(np.where(positive, cents - down, np.inf), axis=0, kind="stable"), axis=0)
    parts: Floats = down + up - (order < -left)
    return parts


def _shares(values: Floats, variances: Floats) -> Floats:
    """Return the error variances (series, horizon), with zero for closed parts, unless all parts are closed."""
    spread = np.maximum(variances, 1e-9)[:, None]
    open_parts = values > 0
    return np.where(open_parts | ~open_parts.any(axis=0), spread, 0.0)
