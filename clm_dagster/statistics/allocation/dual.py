"""The Lagrangian dual of an allocation: prices of the limits that make its bound small.

Belongs here: the bound at given prices, its minimisation. Does not: choices within the limits (`lagrangian`).

    L(p) = sum of limits * p + sum over customers of max(0, max over actions of value - p_0 cost - price of its channel)

L is convex and piecewise linear, and at any prices p >= 0 a bound of the value of every choice within the limits.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from clm_dagster.statistics.allocation.problem import NO_ACTION, Floats, Ints, Problem

# Customers whose best actions are computed at once: the arrays of a block stay in the processor's cache.
_BLOCK = 16_384
_MOST_CUTS = 120
_ENOUGH = 1e-9


@dataclass(frozen=True)
class Priced:
    """What each customer chooses at given prices.

    bound: L. slope: a subgradient, what is left of each finite limit, shape (m,). choice: shape (n,), ties by order.
    margin: shape (n,), by how much the choice is better than the next best, no action included.
    """

    prices: Floats
    bound: float
    slope: Floats
    choice: Ints
    margin: Floats


def at_prices(problem: Problem, prices: Floats) -> Priced:
    """Return the bound and the choices at the prices of the limits, shape (m,); infinite limits need the price 0."""
    n = problem.customers
    channel = prices[1:] @ problem.uses
    best, second, choice = np.zeros(n), np.full(n, -np.inf), np.full(n, NO_ACTION, dtype=np.int64)
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
        top, next_top, chosen = best[part], second[part], choice[part]
        for action in range(problem.actions):
            left = problem.values[action, part] - prices[0] * problem.costs[action, part] - channel[action]
            better = left > top
            np.maximum(next_top, np.minimum(left, top), out=next_top)
            np.maximum(top, left, out=top)
            chosen[better] = action
    finite = np.isfinite(problem.limits)
    slope = np.where(finite, problem.limits, 0.0) - np.where(finite, problem.used(choice), 0.0)
    bound = float(best.sum() + (problem.limits[finite] * prices[finite]).sum())
    return Priced(prices, bound, slope, choice, best - second)


def cheapest_bound(problem: Problem, start: Floats, radius: float = 0.1) -> Priced:
    """Return the prices with the smallest bound that was found, by cutting planes in a box around the best prices.

    start: shape (m,), prices to begin with. The box grows where its edge is hit and shrinks where a step fails. It ends
    when the linear model says that nothing is left to gain (Marsten, Hogan, Blankenship 1975).
    """
    finite = np.flatnonzero(np.isfinite(problem.limits))
    best = at_prices(problem, start)
    if not len(finite):
        return best
    most = _most_price(problem)[finite]
    width = np.maximum(np.abs(start[finite]), 0.01 * most) * radius
    slopes, offsets = [], []
    point = best
    for _ in range(_MOST_CUTS):
        slopes.append(point.slope[finite])
        offsets.append(point.bound - point.slope[finite] @ point.prices[finite])
        center = best.prices[finite]
        low, high = np.maximum(center - width, 0), np.minimum(center + width, most)
        prices, floor = _lowest(np.array(slopes), np.array(offsets), low, np.maximum(low, high))
        if best.bound - floor <= _ENOUGH * abs(best.bound):
            on_edge = ((prices <= low + 1e-12) & (low > 0)) | ((prices >= high - 1e-12) & (high < most))
            if not on_edge.any() or (width >= most).all():
                break
        full = np.zeros(len(problem.limits))
        full[finite] = prices
        point = at_prices(problem, full)
        if point.bound < best.bound:
            at_edge = np.isclose(np.abs(prices - center), width)
            width = np.where(at_edge, 2 * width, width)
            best = point
        else:
            width = width / 2
    return best


def _most_price(problem: Problem) -> Floats:
    """Return prices above which nobody chooses what has them."""
    allowed = np.isfinite(problem.values)
    value = float(problem.values.max(initial=0.0, where=allowed))
    costly = allowed & (problem.costs > 0)
    ratio = np.divide(problem.values, problem.costs, out=np.zeros_like(problem.values), where=costly)
    return np.array([float(ratio.max(initial=0.0)), *[value] * (len(problem.limits) - 1)])


def _lowest(slopes: Floats, offsets: Floats, low: Floats, high: Floats) -> tuple[Floats, float]:
    """Return the prices in a box with the lowest maximum of the cuts, and that maximum."""
    scale = max(float(np.abs(offsets).max()), 1.0)
    matrix = np.column_stack([slopes, np.full(len(slopes), -scale)])
    bounds = [*zip(low, high, strict=True), (None, None)]
    found = linprog(
        [*np.zeros(len(low)), 1.0],
        A_ub=matrix / scale,
        b_ub=-offsets / scale,
        bounds=bounds,
        method="highs-ds",
    )
    if found.x is None:
        return (low + high) / 2, -np.inf
    return np.asarray(found.x[:-1]), float(found.x[-1] * scale)
