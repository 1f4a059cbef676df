"""Bootstrap intervals over customers, with a fixed seed.

Belongs here: intervals of metrics and of differences, and fast metrics for them. Does not: reported metrics.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Metric = Callable[[Floats, Floats], float]
# A metric of many resamples at once, from labels and probabilities (n,) and how often each resample holds each of the
# n customers (m, n), to (m,). Nothing is sorted again for a resample.
Counted = Callable[[Floats, Floats, Floats], Floats]

SEED = 20111209
RESAMPLES = 400
# Resamples are counted in blocks of at most this many numbers (16 MB).
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Difference:
    """A metric or a difference of metrics on one set of customers, with its percentile interval."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Resampled:
    """A metric of several candidates, on all customers and on the same resamples of them.

    full: the metric of each candidate. drawn: the metric on each resample, shape (m,) for each candidate.
    """

    full: dict[str, float]
    drawn: dict[str, Floats]

    @classmethod
    def of(
        cls,
        labels: ArrayLike,
        probabilities: Mapping[str, ArrayLike],
        metric: Metric,
        counted: Counted | None = None,
        resamples: int = RESAMPLES,
        seed: int = SEED,
    ) -> "Resampled":
        """Compute the metric; see `paired_differences` for the arguments."""
        y = np.asarray(labels, dtype=float)
        scores = {name: np.asarray(values, dtype=float) for name, values in probabilities.items()}
        draws = _resamples(y, resamples, seed)
        known = counted or _COUNTED.get(metric)
        if known is None:
            drawn = {
                name: np.array([metric(y[rows], p[rows]) for rows in draws]) for name, p in scores.items()
            }
        else:
            parts: dict[str, list[Floats]] = {name: [] for name in scores}
            for counts in _counts(draws, len(y)):
                for name, p in scores.items():
                    parts[name].append(known(y, p, counts))
            drawn = {name: np.concatenate(found) for name, found in parts.items()}
        return cls({name: metric(y, p) for name, p in scores.items()}, drawn)

    def over(self, reference: str, confidence: float = 0.95) -> dict[str, Difference]:
        """Return the metric of each candidate minus that of `reference`, with its percentile interval."""
        return {
            name: _interval(
                self.full[name] - self.full[reference], self.drawn[name] - self.drawn[reference], confidence
            )
            for name in self.full
        }


def paired_differences(
    labels: ArrayLike,
    probabilities: Mapping[str, ArrayLike],
    reference: str,
    metric: Metric,
    counted: Counted | None = None,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = SEED,
) -> dict[str, Difference]:
    """Return the metric of each candidate minus that of `reference`, on the same resampled customers.

    Pairing removes the sampling variance that all candidates share, so the interval is much narrower than one
    from separate resamples (Efron, Tibshirani 1993, chapter 16).
    labels: shape (n,). probabilities: shape (n,) for each candidate. `metric(labels, probabilities)` returns one
    number. counted: the same metric of many resamples at once, which is much faster; known for the metrics of this
    module. A resample with only one class is drawn again.
    """
    return Resampled.of(labels, probabilities, metric, counted, resamples, seed).over(reference, confidence)


def metric_interval(
    labels: ArrayLike,
    probabilities: ArrayLike,
    metric: Metric,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = SEED,
) -> Difference:
    """Return the metric of one candidate with its bootstrap interval; see `paired_differences` for the arguments."""
    found = Resampled.of(labels, {"": probabilities}, metric, None, resamples, seed)
    return _interval(found.full[""], found.drawn[""], confidence)


def mean_intervals(
    values: ArrayLike, resamples: int = RESAMPLES, confidence: float = 0.95, seed: int = SEED
) -> list[Difference]:
    """Return the mean of each column with its bootstrap interval, all on the same resampled customers.

    values: shape (n, m), one row per customer. The resamples are those of `paired_differences`, so the intervals of
    columns that hold differences between candidates are paired. Raise ValueError for fewer than 2 customers.
    """
    table = np.asarray(values, dtype=float)
    count = len(table)
    if count < 2:
        raise ValueError(f"an interval over customers needs at least 2 of them, got {count}")
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, table.shape[1]))
    for place in range(resamples):
        # How often each customer is drawn: one product with the table instead of one sum per column.
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        drawn[place] = times.astype(float) @ table / count
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return [Difference(*map(float, one)) for one in zip(table.mean(axis=0), low, high, strict=True)]


def fast_auc(labels: Floats, probabilities: Floats) -> float:
    """Return the ROC AUC from Mann-Whitney rank sums, with ties at half; much faster than sklearn's function."""
    _, inverse, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones = labels.sum()
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))


def fast_log_loss(labels: Floats, probabilities: Floats) -> float:
    """Return the mean negative log-likelihood, with probabilities clipped as in sklearn."""
    return float(np.mean(_log_losses(labels, probabilities)))


def _log_losses(labels: Floats, probabilities: Floats) -> Floats:
    p = np.clip(probabilities, np.finfo(float).eps, 1 - np.finfo(float).eps)
    losses: Floats = -(labels * np.log(p) + (1 - labels) * np.log1p(-p))
    return losses


def counted_auc(labels: Floats, probabilities: Floats, counts: Floats) -> Floats:
    """Return `fast_auc` of m resamples, from the pairs of a one and a zero in the order of the probabilities."""
    order = np.argsort(probabilities, kind="stable")
    ranked = probabilities[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    there = counts[:, order]
    ones = there * (labels[order] == 1)
    zeros = there - ones
    if len(starts) < len(order):
        ones, zeros = np.add.reduceat(ones, starts, axis=1), np.add.reduceat(zeros, starts, axis=1)
    below = np.cumsum(zeros, axis=1)
    pairs = np.einsum("ij,ij->i", ones, below) - np.einsum("ij,ij->i", ones, zeros) / 2
    area: Floats = pairs / (ones.sum(axis=1) * below[:, -1])
    return area


def counted_mean(losses: Floats, counts: Floats) -> Floats:
    """Return the mean of n losses in each of m resamples."""
    mean: Floats = counts @ losses / len(losses)
    return mean


def _counted_log_loss(labels: Floats, probabilities: Floats, counts: Floats) -> Floats:
    return counted_mean(_log_losses(labels, probabilities), counts)


_COUNTED: dict[Metric, Counted] = {fast_auc: counted_auc, fast_log_loss: _counted_log_loss}


def _counts(draws: list[NDArray[np.int64]], customers: int) -> Iterator[Floats]:
    """Yield how often each resample holds each customer, in blocks of resamples."""
    size = max(1, _BLOCK // customers)
    for start in range(0, len(draws), size):
        block = draws[start : start + size]
        yield np.stack([np.bincount(rows, minlength=customers).astype(float) for rows in block])


def _resamples(labels: Floats, count: int, seed: int) -> list[NDArray[np.int64]]:
    if labels.min() == labels.max():
        raise ValueError(f"an interval needs both classes; all {len(labels)} labels are {labels[0]:g}")
    rng = np.random.default_rng(seed)
    resamples: list[NDArray[np.int64]] = []
    while len(resamples) < count:
        rows = rng.integers(0, len(labels), len(labels))
        if labels[rows].min() < labels[rows].max():
            resamples.append(rows)
    return resamples


def _interval(value: float, drawn: Floats, confidence: float) -> Difference:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(float(value), float(low), float(high))
