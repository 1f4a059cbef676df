"""Conformal intervals of a customer's revenue.

Belongs here: pure functions, expected and actual amounts in and bounds out. Does not belong here: the expected amounts
(`candidates`).

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018), Mondrian by expected revenue. Each group of customers
with similar expected revenue gets the shortest interval that contains `coverage` of the validation customers' spend,
as a multiple of expected revenue. Length is measured in square roots, which spread amounts evenly. If most customers
of a group spend nothing, the interval starts at 0 and is one-sided. If more than `coverage` of them spend nothing, it
is [0, 0] and its actual coverage is their share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GROUPS = 10
SMALLEST_GROUP = 100
FLOOR_SHARE = 0.01  # of the mean expectation; added to each, so that a multiple of 0 is above 0


@dataclass(frozen=True)
class Intervals:
    """Bounds as multiples of expected revenue plus a floor, by group of expected revenue.

    coverage: the nominal share of customers within the interval. edges: expected revenue at which the next group
    starts. low, high: one multiple for each group, one more than edges. floor: money.
    """

    coverage: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    floor: float

    def __call__(self, expected: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper bound of each of n customers, in money.

        Bounds are never below 0. Customers who return more than they buy lie outside their interval.
        """
        group = np.searchsorted(np.asarray(self.edges), expected, side="right")
        base = expected + self.floor
        return np.asarray(self.low)[group] * base, np.asarray(self.high)[group] * base

    def as_dict(self) -> dict[str, Any]:
        """Return the intervals as JSON-serializable values."""
        return {
            "coverage": self.coverage,
            "edges": list(self.edges),
            "low": list(self.low),
            "high": list(self.high),
            "floor": self.floor,
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> "Intervals":
        """Return the intervals from the result of `as_dict`."""
        edges, low, high = (tuple(state[name]) for name in ("edges", "low", "high"))
        return cls(state["coverage"], edges, low, high, state["floor"])


def fit_intervals(expected: Sequence[Floats], actual: Sequence[Floats], coverage: float) -> Intervals:
    """Calibrate on validation snapshots, each with an array of expected and of actual amounts.

    A group holds a tenth of the rows, and at least a hundred.
    """
    predicted, observed = np.concatenate(expected), np.concatenate(actual)
    floor = FLOOR_SHARE * float(predicted.mean())
    groups = int(np.clip(len(predicted) // SMALLEST_GROUP, 1, GROUPS))
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="right")
    ratios = np.maximum(observed, 0) / (predicted + floor)
    # Ties can leave the lowest group empty; it then gets the bounds of its neighbour.
    filled = np.unique(group)
    found = [_shortest(np.sort(ratios[group == g]), coverage) for g in filled]
    places = np.searchsorted(filled, np.arange(len(edges) + 1)).clip(max=len(filled) - 1)
    low, high = (tuple(found[place][side] for place in places) for side in (0, 1))
    return Intervals(coverage, tuple(map(float, edges)), low, high, floor)


def _shortest(ordered: Floats, coverage: float) -> tuple[float, float]:
    """Return the interval, shortest in square roots, that holds ceil(coverage * (n + 1)) of n ordered values.

    It holds all values if there are no more than that.
    """
    wanted = min(len(ordered), int(np.ceil(coverage * (len(ordered) + 1))))
    roots = np.sqrt(ordered)
    start = int(np.argmin(roots[wanted - 1 :] - roots[: len(roots) - wanted + 1]))
    return float(ordered[start]), float(ordered[start + wanted - 1])
