"""Intervals by the bootstrap over customers. Pure: arrays in, numbers out, the seed fixed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats], float]

SEED = 20111209
RESAMPLES = 400


@dataclass(frozen=True)
class Difference:
    """A value or a difference on one set of customers, with its percentile interval."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def paired_differences(
    labels: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    reference: str,
    metric: Metric,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = SEED,
) -> dict[str, Difference]:
    """Metric of each candidate less that of `reference`, on the same resampled customers.

    Pairing takes out what all candidates share, the luck of which customers are in the sample, so that
    the interval is far narrower than that of two separate ones (Efron, Tibshirani 1993, chapter 16).
    labels: n; probabilities: n for each candidate; `metric(labels, probabilities)` gives one number.
    A resample in which only one class occurs says nothing and is drawn again.
    """
    y = np.asarray(labels, dtype=float)
    scores = {name: np.asarray(values, dtype=float) for name, values in probabilities.items()}
    full = {name: metric(y, p) for name, p in scores.items()}
    drawn: dict[str, list[float]] = {name: [] for name in scores}
    for rows in _resamples(y, resamples, seed):
        base = metric(y[rows], scores[reference][rows])
        for name, p in scores.items():
            drawn[name].append(0.0 if name == reference else metric(y[rows], p[rows]) - base)
    return {name: _interval(full[name] - full[reference], drawn[name], level) for name in scores}


def metric_interval(
    labels: ArrayLike,
    probabilities: ArrayLike,
    metric: Metric,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = SEED,
) -> Difference:
    """One candidate's metric with its bootstrap interval; arguments as of `paired_differences`."""
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    drawn = [metric(y[rows], p[rows]) for rows in _resamples(y, resamples, seed)]
    return _interval(metric(y, p), drawn, level)


def fast_auc(labels: Floats, probabilities: Floats) -> float:
    """ROC AUC as the rank sum of Mann and Whitney, ties at half; many times faster than sklearn's curve."""
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones = labels.sum()
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))


def fast_log_loss(labels: Floats, probabilities: Floats) -> float:
    """Mean negative log-likelihood, probabilities kept off 0 and 1 as sklearn does."""
    p = np.clip(probabilities, np.finfo(float).eps, 1 - np.finfo(float).eps)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p)))


def _resamples(labels: Floats, count: int, seed: int) -> list[NDArray[np.int64]]:
    if labels.min() == labels.max():
        raise ValueError(f"an interval needs both classes; all {len(labels)} labels are {labels[0]:g}")
    rng = np.random.default_rng(seed)
    found: list[NDArray[np.int64]] = []
    while len(found) < count:
        rows = rng.integers(0, len(labels), len(labels))
        if labels[rows].min() < labels[rows].max():
            found.append(rows)
    return found


def _interval(value: float, drawn: list[float], level: float) -> Difference:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Difference(float(value), float(low), float(high))
