"""Conformal intervals of a customer's revenue. Pure: expected and actual money in, bounds out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GROUPS = 20


@dataclass(frozen=True)
class Intervals:
    """Bounds as multiples of the expected revenue, by groups of it.

    edges: expected money at which the next group starts; low, high: a multiple for each group.
    """

    coverage: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __call__(self, expected: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound of each of n customers, money, never below 0."""
        group = np.searchsorted(np.asarray(self.edges), expected, side="right")
        return np.asarray(self.low)[group] * expected, np.asarray(self.high)[group] * expected

    def as_dict(self) -> dict[str, Any]:
        return {"coverage": self.coverage, "edges": list(self.edges), "low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> "Intervals":
        return cls(told["coverage"], tuple(told["edges"]), tuple(told["low"]), tuple(told["high"]))


def fit_intervals(expected: Sequence[Floats], actual: Sequence[Floats], coverage: float) -> Intervals:
    said, came = np.concatenate(expected), np.concatenate(actual)
    groups = min(GROUPS, max(1, len(said) // 100))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(edges, said, side="right")
    low, high = [], []
    for g in range(len(edges) + 1):
        ratios = np.sort(np.maximum(came, 0)[group == g] / said[group == g])
        k = min(len(ratios), int(np.ceil(coverage * (len(ratios) + 1))))
        widths = ratios[k - 1 :] - ratios[: len(ratios) - k + 1]
        i = int(np.argmin(widths))
        low.append(float(ratios[i])); high.append(float(ratios[i + k - 1]))
    return Intervals(coverage, tuple(map(float, edges)), tuple(low), tuple(high))
