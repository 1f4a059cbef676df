"""Learning curves over the size of a training sample, and whether the sample is enough.

Belongs here: the order in which customers enter a sample, the curve of one metric, what it says. Does not: fitting a
model, queries, plots.

A customer's place is a hash of their id. The smaller of two samples is therefore a part of the larger one, and the same
customers are used at every snapshot and in every training.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clm_dagster.statistics.evaluation.intervals import Counted, Difference, Metric, paired_differences

Floats = NDArray[np.float64]
# Shares of the sample that a curve fits, each twice the one before it.
SHARES = (0.125, 0.25, 0.5, 1.0)
# With fewer customers in a share, its point says nothing.
MIN_CUSTOMERS = 200
_PLACES = 2.0**64


def places_of(customer_ids: Iterable[str]) -> Floats:
    """Return the place of each customer in [0, 1), shape (n,). A sample of a share holds all places below it.

    The last eight bytes of the MD5 of the id, over 2^64; `place_sql` of the platform gives the same numbers in SQL.

    Examples:
        >>> places_of(["c1", "c2"]).round(4).tolist()
        [0.7255, 0.1607]
    """
    known: dict[str, float] = {}
    found = []
    for one in customer_ids:
        if one not in known:
            known[one] = float(_number(one)) / _PLACES
        found.append(known[one])
    return np.array(found, dtype=float)


def _number(customer_id: str) -> int:
    return int.from_bytes(hashlib.md5(customer_id.encode(), usedforsecurity=False).digest()[8:], "little")


@dataclass(frozen=True)
class LearningCurve:
    """A metric on the same test customers, of a model that is fitted on more and more of a sample.

    metric: its name. higher_is_better: whether more of it is better. values: the metric by number of customers to fit
    on, ascending. gain: improvement by the last doubling, above zero if the metric became better, with its interval.
    relevant: the smallest gain that matters; a large test finds smaller ones too.
    """

    metric: str
    higher_is_better: bool
    values: Mapping[int, float]
    gain: Difference
    relevant: float = 0.0

    @property
    def half_width(self) -> float:
        """Half the width of the interval of the gain: what the test cannot tell from nothing."""
        return (self.gain.high - self.gain.low) / 2

    @property
    def limit(self) -> float:
        """The gain up to which the sample is enough: the half width, or the smallest gain that matters."""
        return max(self.half_width, self.relevant)

    @property
    def is_enough(self) -> bool:
        """Whether the gain of the last doubling is no larger than the limit."""
        return self.gain.value <= self.limit

    def __str__(self) -> str:
        half, full = list(self.values)[-2:]
        said = (
            "more customers would hardly improve the model"
            if self.is_enough
            else "more customers would improve the model"
        )
        return (
            f"{self.metric} is {self.values[half]:.4f} with {half:,} customers and {self.values[full]:.4f} with "
            f"{full:,}. This doubling gains {self.gain}, "
            f"{'no more than' if self.is_enough else 'more than'} {self.limit:.4f}, "
            f"{'half the width of this interval' if self.half_width >= self.relevant else 'the least that matters'}: "
            f"{said}"
        )


def learning_curve(
    labels: ArrayLike,
    predictions: Mapping[int, ArrayLike],
    metric: Metric,
    name: str,
    higher_is_better: bool,
    counted: Counted | None = None,
    relevant: float = 0.0,
) -> LearningCurve:
    """Return the curve of a metric. predictions: of the same test customers, by number of customers to fit on.

    The interval of the gain is paired over test customers (`paired_differences`). Raise ValueError for fewer than two
    sizes.
    """
    sizes = sorted(predictions)
    if len(sizes) < 2:
        raise ValueError(f"a learning curve needs two sizes at least, got {len(sizes)}")
    y = np.asarray(labels, dtype=float)
    values = {size: metric(y, np.asarray(predictions[size], dtype=float)) for size in sizes}
    both = {"half": predictions[sizes[-2]], "all": predictions[sizes[-1]]}
    change = paired_differences(y, both, "half", metric, counted)["all"]
    gain = change if higher_is_better else Difference(-change.value, -change.high, -change.low)
    return LearningCurve(name, higher_is_better, values, gain, relevant)


def fitted_sizes(
    customer_ids: Iterable[str],
    share: float,
    predict: Callable[[float], Floats],
    parts: Sequence[float] = SHARES,
) -> dict[int, Floats]:
    """Return predictions by number of customers, of the models that `predict` fits on each share of a sample.

    customer_ids: customers of the sample. share: its share of all customers. predict: from the bound that the places of
    the customers to fit on are below, to predictions. parts: of the sample, ascending. Those with fewer than
    MIN_CUSTOMERS customers are left out.
    """
    places = places_of(set(customer_ids))
    found = {}
    for part in parts:
        count = int((places < part * share).sum())
        if count >= MIN_CUSTOMERS:
            found[count] = predict(part * share)
    return found
