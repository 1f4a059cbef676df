"""Are two sides of a rule bought together by chance? p-values, q-values, and how few baskets can be significant.

Belongs here: tests of independence on counts of baskets. Does not: the search for sets of products (`itemsets`), rules
and their other measures (`association`).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import false_discovery_control

from clm_dagster.errors import UserError

# Rules with a q-value below this are reported: at most this share of them is false on average.
SIGNIFICANT = 0.05
# Smallest number of baskets of a rule that is looked for, however small the shop.
MIN_BASKETS = 5
_PRECISION = 1e-14

Numbers = NDArray[np.float64]


class RuleError(UserError, ValueError):
    """Baskets or thresholds from which no rules can be derived; the message names them."""


def chance_of_common(both: ArrayLike, one: ArrayLike, other: ArrayLike, baskets: ArrayLike) -> Numbers:
    """Return the probability of at least `both` common baskets if the two sides were independent.

    The tail of the hypergeometric distribution, given the baskets of each side and of the shop: the one-sided exact
    test of Fisher. One value per rule, to about eleven digits. scipy's `hypergeom.sf` takes .1 ms per rule, this .5 us.
    """
    k, a, b, n = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (both, one, other, baskets))
    k, a, b, n = np.broadcast_arrays(k, a, b, n)
    lowest, highest = np.maximum(0.0, a + b - n), np.minimum(a, b)
    # Sum the side of k that does not hold the mode: there the terms fall.
    upper = k > (a + 1) * (b + 1) / (n + 2)
    start = np.where(upper, k, k - 1)
    p = np.where(upper, 0.0, 1.0)
    summed = (start >= lowest) & (start <= highest)
    tail = np.zeros(len(k))
    for is_upper in (True, False):
        rows = np.flatnonzero(summed & (upper == is_upper))
        tail[rows] = _tail(start[rows], a[rows], b[rows], n[rows], is_upper)
    return np.clip(np.where(upper, p + tail, p - tail), 0.0, 1.0)


def _tail(k: Numbers, a: Numbers, b: Numbers, n: Numbers, is_upper: bool) -> Numbers:
    """Return the sum of the probabilities of k and all higher (or lower) counts, whose terms fall."""
    log_first = (
        *(_log_choose(a, k), _log_choose(n - a, b - k)),
        -_log_choose(n, b),
    )
    first = np.exp(sum(log_first))
    total, term, at = np.ones(len(k)), np.ones(len(k)), k.copy()
    rows = np.arange(len(k))
    while len(rows):
        x, a_, b_, n_ = at[rows], a[rows], b[rows], n[rows]
        if is_upper:
            ratio = (a_ - x) * (b_ - x) / ((x + 1) * (n_ - a_ - b_ + x + 1))
            at[rows] += 1
        else:
            ratio = x * (n_ - a_ - b_ + x) / ((a_ - x + 1) * (b_ - x + 1))
            at[rows] -= 1
        term[rows] *= ratio
        total[rows] += term[rows]
        # The ratios fall, so what is left is at most a geometric series.
        left = term[rows] * ratio
        rows = rows[left > _PRECISION * total[rows] * np.maximum(1 - ratio, 1e-9)]
    return first * total


def _log_choose(n: Numbers, k: Numbers) -> Numbers:
    chosen: Numbers = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return chosen


def adjusted(p_values: ArrayLike, tests: int | None = None) -> Numbers:
    """Return Benjamini-Hochberg q-values (1995): of rules with q below .05, at most 5% are false on average.

    p_values: of m rules. tests: number of rules tested, m by default. `tests` must also count the rules that were
    discarded because of the number of common baskets, or of any measure of it such as lift: given the baskets of both
    sides, the p-value is a function of that number, so the rules that are left are those of small p-values. Only a
    choice by the baskets of the two sides alone needs no correction.
    """
    p = np.asarray(p_values, dtype=float)
    if not len(p):
        return p
    tried = len(p) if tests is None else tests
    if tried < len(p):
        raise RuleError(f"{tried} tests cannot have given {len(p)} p-values")
    # Discarded rules count as p = 1, the worst case, so that the q-values are conservative.
    q_values: Numbers = np.minimum(false_discovery_control(p) * tried / len(p), 1)
    return q_values


def smallest_p_value(count: int, baskets: int) -> float:
    """Return the smallest p-value that a rule in `count` of `baskets` baskets can have.

    That of two sides which are in these baskets and in no other: one over the number of ways to choose them.
    """
    if count > baskets:
        return 1.0
    n, k = np.array([float(baskets)]), np.array([float(count)])
    return float(np.exp(-_log_choose(n, k)[0]))


def smallest_count(
    baskets: int, tests: Callable[[int], int], least: int = MIN_BASKETS, level: float = SIGNIFICANT
) -> int | None:
    """Return the smallest number of baskets, at least `least`, in which one rule alone can be significant.

    Its smallest p-value must be at most level / tests(count), the number of rules that are tested if this count is the
    minimum (Tarone 1990). Return None if there is no such number: nothing in these baskets can be significant.
    """
    for count in range(least, baskets + 1):
        tested = tests(count)
        if not tested:
            return None
        if smallest_p_value(count, baskets) <= level / tested:
            return count
    return None
