"""Conformal intervals of a customer's revenue. Pure: expected and actual money in, bounds out.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018), Mondrian by the expected revenue: within each group
of customers of like expectation, the shortest interval that holds `coverage` of what validation customers
spent, as a multiple of what was expected of them; short in square roots, in which amounts spread evenly.
Where most spend nothing it starts at 0, so that 80% are one tail and not two; where more than `coverage`
spend nothing, the interval is 0 to 0 and holds as many as spend nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GROUPS = 10
SMALLEST_GROUP = 100
FLOOR_SHARE = 0.01  # of the mean expectation, added to each: a multiple of nothing is nothing


@dataclass(frozen=True)
class Intervals:
    """Bounds as multiples of the expected revenue and a floor, by groups of it.

    coverage: share of customers promised within. edges: expected money at which the next group starts; low, high: a
    multiple for each group, one more than edges. floor: money.
    """

    coverage: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    floor: float

    def __call__(self, expected: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound of each of n customers, money.

        Never below 0: nobody is expected to return more than he buys. Whoever does lies outside.
        """
        group = np.searchsorted(np.asarray(self.edges), expected, side="right")
        base = expected + self.floor
        return np.asarray(self.low)[group] * base, np.asarray(self.high)[group] * base

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "coverage": self.coverage, "edges": list(self.edges), "low": list(self.low), "high": list(self.high),
            "floor": self.floor,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> "Intervals":
        """What `as_dict` told."""
        edges, low, high = (tuple(told[name]) for name in ("edges", "low", "high"))
        return cls(told["coverage"], edges, low, high, told["floor"])


def fit_intervals(expected: Sequence[Floats], actual: Sequence[Floats], coverage: float) -> Intervals:
    """Calibrate on validation snapshots: arrays of expected and of actual money, one of each.

    Groups hold a tenth of the rows, and no fewer than a hundred.
    """
    said, came = np.concatenate(expected), np.concatenate(actual)
    floor = FLOOR_SHARE * float(said.mean())
    groups = int(np.clip(len(said) // SMALLEST_GROUP, 1, GROUPS))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(edges, said, side="right")
    ratios = np.maximum(came, 0) / (said + floor)
    # With ties the lowest group can be empty: nobody falls there, and its neighbour's bounds do.
    filled = np.unique(group)
    found = [_shortest(np.sort(ratios[group == g]), coverage) for g in filled]
    places = np.searchsorted(filled, np.arange(len(edges) + 1)).clip(max=len(filled) - 1)
    low, high = (tuple(found[place][side] for place in places) for side in (0, 1))
    return Intervals(coverage, tuple(map(float, edges)), low, high, floor)


def _shortest(ordered: Floats, coverage: float) -> tuple[float, float]:
    """The interval, shortest in square roots, of ceil(coverage * (n + 1)) of n values in order; all if that is more."""
    wanted = min(len(ordered), int(np.ceil(coverage * (len(ordered) + 1))))
    roots = np.sqrt(ordered)
    start = int(np.argmin(roots[wanted - 1 :] - roots[: len(roots) - wanted + 1]))
    return float(ordered[start]), float(ordered[start + wanted - 1])
