"""Changes of a figure: what they are made of, and whether they are more than noise.

Belongs here: exact decompositions, ranges in which a figure moves without a reason. Does not: which figures (domains),
sentences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

# Two-sided 90%, and its width in a normal distribution.
_QUANTILE, _WIDTH = 0.95, 1.645
# Changes that neighbour each other are correlated by a half: n of them tell as much of their spread as n / 1.5.
_SHARED = 1.5
# The fewest earlier changes from which their usual size is taken.
FEWEST_CHANGES = 4


@dataclass(frozen=True)
class Volume:
    """A total as a product: customers x orders of a customer x value of an order, plus what is no part of it.

    customers, orders: counts. sales: total value of the orders. extra: an amount that is added to it, such as returns
    with a negative sign.
    """

    customers: float
    orders: float
    sales: float
    extra: float = 0.0

    @property
    def total(self) -> float:
        """The total."""
        return self.sales + self.extra


def product_effects(before: Volume, now: Volume) -> dict[str, float]:
    """Return the change of a total by cause; the causes add up to it exactly.

    Causes: customers, orders (of a customer), value (of an order), extra, rest. The effect of a factor is its mean over
    all orders in which the three factors can be changed one after another (Shapley value), so it depends on no order,
    and negative values are allowed. Where a period has no orders, its ratios are taken from the other one, so that the
    change is one of customers. rest: sales without an order, as of one that began before the period.
    """
    old, new = _factors(before, now), _factors(now, before)
    made_before, made_now = math.prod(old), math.prod(new)
    effects = dict(zip(("customers", "orders", "value"), _shapley(old, new), strict=True))
    rest = (now.sales - made_now) - (before.sales - made_before)
    return {**effects, "extra": now.extra - before.extra, "rest": rest}


def _factors(own: Volume, other: Volume) -> tuple[float, float, float]:
    if own.customers and own.orders:
        return own.customers, own.orders / own.customers, own.sales / own.orders
    if other.customers and other.orders:
        return 0.0, other.orders / other.customers, other.sales / other.orders
    return 0.0, 0.0, 0.0


def _shapley(old: Sequence[float], new: Sequence[float]) -> list[float]:
    """Return the Shapley value of each of three factors in the change of their product."""
    effects = []
    for place in range(3):
        first, second = (other for other in range(3) if other != place)
        together = old[first] * old[second] + new[first] * new[second]
        crossed = old[first] * new[second] + new[first] * old[second]
        effects.append((new[place] - old[place]) * (together / 3 + crossed / 6))
    return effects


@dataclass(frozen=True)
class Share:
    """A group's part of a change. excess: how much more it changed than by its share of the total before."""

    dimension: str
    group: str
    change: float
    excess: float


def strongest_group(
    changes: Mapping[str, Mapping[str, tuple[float, float]]],
    least_share: float = 0.5,
    least_excess: float = 0.2,
) -> Share | None:
    """Return the group that explains most of a change, over several ways to split the total.

    changes: dimension -> group -> (before, now). A group explains a change if it makes at least `least_share` of it in
    the same direction, and at least `least_excess` of it more than its share of the total before. None if none does, or
    if nothing changed. Equal groups: the first by name.
    """
    found: list[Share] = []
    for dimension, groups in sorted(changes.items()):
        before, now = (math.fsum(pair[place] for pair in groups.values()) for place in (0, 1))
        total = now - before
        if not total or len(groups) < 2:
            continue
        for group, (old, new) in sorted(groups.items()):
            part = (new - old) / total
            share_before = old / before if before > 0 else 0.0
            excess = part - max(0.0, share_before)
            if part >= least_share and excess >= least_excess:
                found.append(Share(dimension, group, new - old, excess))
    return max(found, key=lambda one: one.excess, default=None)


def usual_change(series: Sequence[float | None], lag: int, most: int = 13) -> float | None:
    """Return the half-width of the range in which the newest change of a series lies in nine of ten weeks.

    series: by week, newest first, None for a week without a value; its first value is the one to judge and is not used.
    lag: weeks between the two values of a change. The width is the root mean square of the `most` changes
    before, times the quantile of Student's distribution; neighbouring changes share a week, so that they count as two
    thirds of their number. None with fewer than four. The changes are not centred: a steady trend is usual, too.
    """
    pairs = [(series[week], series[week + lag]) for week in range(1, min(most + 1, len(series) - lag))]
    changes = [now - before for now, before in pairs if now is not None and before is not None]
    if len(changes) < FEWEST_CHANGES:
        return None
    spread = math.sqrt(math.fsum(change * change for change in changes) / len(changes))
    return float(t.ppf(_QUANTILE, len(changes) / _SHARED)) * spread


def sampling_change(sum_of_squares: float) -> float:
    """Return the half-width of the same range, if all that differs is which customers happened to come.

    sum_of_squares: over customers, of the change of each. If each of them could as well have come the other week, the
    change of the total has this variance (a sign-flip or Poisson bootstrap has it, too).
    """
    return _WIDTH * math.sqrt(max(0.0, sum_of_squares))


def noise(usual: float | None, sampling: float | None) -> float | None:
    """Return the half-width to judge by: the larger of both; None if the usual one is unknown."""
    if usual is None:
        return None
    return max(usual, sampling or 0.0)
