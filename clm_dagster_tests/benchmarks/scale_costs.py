"""Costs of steps as functions of the size of a shop: fit, prediction, and the error of a prediction.

Belongs here: pure functions of measured figures. Does not: measuring (`scale_steps`), money (`scale_plan`).

A cost is fixed + per million events + per million customers. All sizes are shops over the same two years, so that
what a day holds grows with the events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

MILLION = 1_000_000
# Seconds or megabytes below which a difference is noise, so that tiny steps do not decide a fit by relative errors.
_FLOOR = 0.05


@dataclass(frozen=True)
class Size:
    """A shop over two years: events and customers with an event."""

    events: float
    customers: float


@dataclass(frozen=True)
class Cost:
    """A cost, and the largest relative error of the fit at the sizes that it is fitted to."""

    fixed: float
    per_million_events: float
    per_million_customers: float
    worst_error: float = 0.0

    def at(self, size: Size) -> float:
        """Return the cost at a size."""
        events, customers = size.events / MILLION, size.customers / MILLION
        return self.fixed + self.per_million_events * events + self.per_million_customers * customers

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.fixed + other.fixed,
            self.per_million_events + other.per_million_events,
            self.per_million_customers + other.per_million_customers,
            max(self.worst_error, other.worst_error),
        )


@dataclass(frozen=True)
class Check:
    """A prediction beside what was measured at a size that the fit has not seen."""

    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """The relative error: 0.1 if the prediction is a tenth too high."""
        return self.predicted / self.measured - 1


def fit(sizes: Sequence[Size], costs: Sequence[float], with_events: bool = True) -> Cost:
    """Fit a cost by least squares of relative errors; no part is below zero.

    with_events: whether it may grow with events; the cost of scores is per customer. Raise ValueError for too few
    sizes, or where events and customers grow together: their costs cannot be told apart then.

    Examples:
        >>> fit([Size(1e6, 1e4), Size(4e6, 4e4), Size(1e6, 4e4)], [3.1, 6.4, 3.4])
        Cost(fixed=2.0, per_million_events=1.0, per_million_customers=10.0, worst_error=0.0)
    """
    events = [size.events / MILLION if with_events else 0.0 for size in sizes]
    table = np.array([[1.0, e, size.customers / MILLION] for e, size in zip(events, sizes, strict=True)])
    scale = np.where(table.max(axis=0) > 0, table.max(axis=0), 1.0)
    needed = 3 if with_events else 2
    if len(table) < needed or np.linalg.matrix_rank(table / scale) < needed:
        raise ValueError(
            f"{len(table)} sizes cannot tell events and customers apart; measure shops with few and with many events "
            "for each customer"
        )
    y = np.asarray(costs, dtype=float)
    weight = 1 / np.maximum(np.abs(y), _FLOOR)
    found, _ = nnls(table / scale * weight[:, None], y * weight)
    parts = np.round(found / scale, 9)
    worst = np.max(np.abs(table @ parts - y) * weight)
    fixed, per_event, per_customer = map(float, parts)
    return Cost(fixed, per_event, per_customer, round(float(worst), 6))


def fit_steps(
    sizes: Sequence[Size], steps: Sequence[Mapping[str, float]], with_events: bool = True
) -> dict[str, Cost]:
    """Fit every step, the costliest at the largest size first. A step that a size lacks cost nothing there."""
    names = sorted({name for one in steps for name in one}, key=lambda name: -steps[-1].get(name, 0.0))
    return {name: fit(sizes, [one.get(name, 0.0) for one in steps], with_events) for name in names}


def total(costs: Iterable[Cost]) -> Cost:
    """Return the sum of costs."""
    return sum(costs, Cost(0.0, 0.0, 0.0))


def check_steps(costs: Mapping[str, Cost], size: Size, steps: Mapping[str, float]) -> dict[str, Check]:
    """Return prediction and measurement of every step, and of all together under `all`."""
    found = {name: Check(cost.at(size), steps.get(name, 0.0)) for name, cost in costs.items()}
    predicted = sum(cost.at(size) for cost in costs.values())
    return {"all": Check(predicted, sum(steps.values()))} | found


def sizes_of(measured: Sequence[Mapping[str, Any]]) -> list[Size]:
    """Return the sizes of measured shops."""
    return [Size(one["events"], one["customers"]) for one in measured]
