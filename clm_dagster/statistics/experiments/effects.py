"""Effects of a treatment: the difference between two random arms, with an interval.

Belongs here: differences in means and in rates, relative effects, CUPED, incremental revenue, and "not enough data
yet" as a result. Does not: who is in an arm (`assignment`), many results at once (`discoveries`).

Arms come as sums over customers (`moments`), which SQL computes. A `Look` says whether an interval is read once or
every day (`sequential`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from clm_dagster.statistics.experiments.intervals import (
    fieller,
    newcombe,
    newcombe_critical,
    newcombe_scale,
    rate_ratio,
    shrunk_variances,
    welch,
)
from clm_dagster.statistics.experiments.moments import Floats, Sums
from clm_dagster.statistics.experiments.sequential import FixedLook, Look

LEAST_CUSTOMERS = 10
"""Customers in each arm below which there is no result."""
LEAST_EFFECTIVE = 2.0
"""Effective number of customers (`Sums.effective`) expected in the smaller arm below which a mean has no interval."""
LEAST_CONVERSIONS = 5
"""Conversions in both arms together below which rates have no interval."""
# Customers of an arm for each covariate.
_FOR_COVARIATE = 20
# A covariate with less of its variance left, after those before it, repeats them.
_REPEATS = 1e-9
# Covariates that leave no more of the variance contain the outcome.
_EXPLAINED = 1e-9
_ONCE = FixedLook()


@dataclass(frozen=True)
class NotEnoughData:
    """Why there is no effect yet.

    what: what is counted, with the arm. found, needed: how many there are and must be. customers: how many customers
    that arm needs at the present rate; None if nothing says so yet.
    """

    what: str
    found: float
    needed: float
    customers: int | None

    def __str__(self) -> str:
        text = f"Not enough data yet: {self.found:,.4g} {self.what}, {self.needed:,.4g} needed"
        return (
            f"{text}; about {self.customers:,} customers at the present rate."
            if self.customers
            else f"{text}."
        )


@dataclass(frozen=True)
class Effect:
    """The effect of a treatment on one customer.

    control, treated: mean outcome of each arm (after adjustment, for CUPED), and number of customers. difference:
    treated - control, in the outcome's unit, with its interval [low, high]. relative: difference / control, with its
    interval; a limit is None where the mean of control may be zero. standard_error: of the difference. p_value:
    of no effect; below 1 - confidence where the interval excludes zero. variance_left: variance after adjustment
    over variance before, 1 without covariates. notes: sentences about the method.
    """

    control: float
    treated: float
    customers: tuple[int, int]
    difference: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    standard_error: float
    p_value: float
    look: Look
    variance_left: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Incremental:
    """What a campaign brought in all, in the outcome's unit.

    total: effect x treated customers, with its interval. net: total - cost. on_spend: total / cost, with its interval;
    None without a cost.
    """

    total: float
    low: float
    high: float
    cost: float
    net: float
    on_spend: float | None
    on_spend_low: float | None
    on_spend_high: float | None


def mean_effect(
    control: Sums, treated: Sums, look: Look = _ONCE, is_signed: bool = False
) -> Effect | NotEnoughData:
    """Return the difference in means of the outcome, with Welch's interval; covariates are ignored.

    The variances of the arms may differ; those of small arms are drawn towards the common one
    (`intervals.shrunk_variances`). The relative effect has Fieller's interval (1954), which excludes zero where that of
    the difference does. is_signed: whether the outcome has either sign, such as a margin after costs; then the
    effective number of customers says nothing, and all of them count.

    Examples:
        >>> spend = Sums.of_totals(customers=1_000, total=5_000, squares=100_000)
        >>> more = Sums.of_totals(customers=9_000, total=63_000, squares=1_100_000)
        >>> print(mean_effect(spend, more))
        +2.0000 [+1.4343, +2.5657]
        >>> print(mean_effect(Sums.of_totals(20, 10, 100), Sums.of_totals(180, 90, 900)))
        Not enough data yet: 1 effective customers in control, 2 needed; about 40 customers at the present rate.
    """
    return cuped_effect(control.columns([0]), treated.columns([0]), look, is_signed)


def cuped_effect(
    control: Sums, treated: Sums, look: Look = _ONCE, is_signed: bool = False
) -> Effect | NotEnoughData:
    """Return the difference in means, adjusted for covariates that were measured before assignment (CUPED).

    The outcome minus theta' (covariates - their mean) has the same expected difference and a smaller variance (Deng,
    Xu, Kohavi, Walker 2013, WSDM). theta is the regression coefficient within arms, pooled over both, so it does not
    depend on the effect. A covariate without variance, or that repeats others, is left out, and all are where an arm
    has fewer than 20 customers for each of them; `notes` says so. Each covariate takes a degree of freedom of each arm.

    Examples:
        >>> before = np.arange(40.0)
        >>> after = before + np.tile([-1.0, 1.0], 20)
        >>> control, treated = (Sums.of(np.column_stack([after + more, before])) for more in (0, 3))
        >>> print(mean_effect(control, treated))
        +3.0000 [-2.2431, +8.2431]
        >>> print(cuped_effect(control, treated))
        +3.0000 [+2.5435, +3.4565]
    """
    missing = _too_few(control, treated) or (None if is_signed else _too_uneven(control, treated))
    if missing:
        return missing
    both = control.columns([0]) + treated.columns([0])
    effective = np.asarray(both.customers if is_signed else both.effective, dtype=float)
    arms = {"control": control, "treated": treated}
    covariances = [arm.covariance for arm in arms.values()]
    sizes = np.array([control.customers, treated.customers], dtype=float)
    chosen, notes = _covariates(covariances, sizes)
    theta = _theta(covariances, sizes, chosen)
    before = np.array([found[0, 0] for found in covariances])
    weights = np.concatenate([[1.0], -theta])
    columns = [0, *chosen]
    after = np.array([weights @ found[np.ix_(columns, columns)] @ weights for found in covariances])
    after = np.maximum(after, 0) * (sizes - 1) / (sizes - 1 - len(chosen))
    if not before.any():
        return NotEnoughData("different outcomes", 1, 2, None)
    if after.sum() <= _EXPLAINED * before.sum():
        found = mean_effect(control, treated, look, is_signed)
        exact = "Not adjusted: the covariates explain every outcome, so they are no measures from before."
        return replace(found, notes=(exact,)) if isinstance(found, Effect) else found
    centre = (control.totals[chosen] + treated.totals[chosen]) / sizes.sum()
    means = np.array([arm.mean - theta @ (arm.means[chosen] - centre) for arm in arms.values()])
    before, after = (shrunk_variances(found, sizes, effective) for found in (before, after))
    left = float((after / sizes).sum() / (before / sizes).sum())
    return _of_means(means, after, sizes, len(chosen), look, left, notes)


def rate_effect(
    control: tuple[int, int], treated: tuple[int, int], look: Look = _ONCE
) -> Effect | NotEnoughData:
    """Return the difference in conversion rates, with Newcombe's interval (1998, method 10).

    control, treated: conversions and customers. The interval combines Wilson's intervals of both arms: it covers for
    rare conversions and in small arms, also with no conversion in one of them. The relative effect has the interval of
    Donner and Zou (2012), from the same Wilson intervals.

    Raises:
        ValueError: more conversions than customers.

    Examples:
        >>> print(rate_effect(control=(30, 1_000), treated=(360, 9_000)))
        +0.0100 [-0.0031, +0.0199]
    """
    counts, sizes = (np.array(column, dtype=float) for column in zip(control, treated, strict=True))
    if (counts < 0).any() or (counts > sizes).any():
        raise ValueError(f"conversions between 0 and customers are expected, got {control} and {treated}")
    for name, size in zip(("control", "treated"), sizes, strict=True):
        if size < LEAST_CUSTOMERS:
            return NotEnoughData(f"customers in {name}", size, LEAST_CUSTOMERS, LEAST_CUSTOMERS)
    conversions = float(counts.sum())
    if conversions < LEAST_CONVERSIONS:
        smaller = "control" if sizes[0] <= sizes[1] else "treated"
        wanted = int(np.ceil(sizes.min() * LEAST_CONVERSIONS / conversions)) if conversions else None
        what = f"conversions in both arms together ({smaller} is the smaller arm)"
        return NotEnoughData(what, conversions, LEAST_CONVERSIONS, wanted)
    rates = counts / sizes
    # A look at a running experiment scales the interval of a fixed one, so both have the same shape.
    scale = look.critical / look.once
    low, high = newcombe(counts, sizes, look.once, scale)
    ratio_low, ratio_high = rate_ratio(counts, sizes, look.once, scale)
    if isinstance(look, FixedLook):
        z = float(newcombe_critical(counts, sizes))
    else:
        z = float(newcombe_scale(counts, sizes, look.once)) * look.once
    difference = float(rates[1] - rates[0])
    return Effect(
        control=float(rates[0]),
        treated=float(rates[1]),
        customers=(int(sizes[0]), int(sizes[1])),
        difference=difference,
        low=float(low),
        high=float(high),
        relative=difference / float(rates[0]) if rates[0] else None,
        relative_low=float(ratio_low) - 1 if rates[0] else None,
        relative_high=float(ratio_high) - 1 if np.isfinite(ratio_high) else None,
        standard_error=float(np.sqrt((rates * (1 - rates) / sizes).sum())),
        p_value=look.p_value(z),
        look=look,
    )


def incremental(effect: Effect, cost: float = 0.0) -> Incremental:
    """Return what the treatment brought from the customers who were treated. cost: what it cost, in the same unit.

    Examples:
        >>> spend = Sums.of_totals(customers=1_000, total=5_000, squares=100_000)
        >>> more = Sums.of_totals(customers=9_000, total=63_000, squares=1_100_000)
        >>> incremental(mean_effect(spend, more), cost=6_000).on_spend
        3.0
    """
    total, low, high = (effect.customers[1] * value for value in (effect.difference, effect.low, effect.high))
    if cost <= 0:
        return Incremental(total, low, high, cost, total - cost, None, None, None)
    return Incremental(total, low, high, cost, total - cost, total / cost, low / cost, high / cost)


def _too_few(control: Sums, treated: Sums) -> NotEnoughData | None:
    for name, arm in (("control", control), ("treated", treated)):
        if arm.customers < LEAST_CUSTOMERS:
            return NotEnoughData(f"customers in {name}", arm.customers, LEAST_CUSTOMERS, LEAST_CUSTOMERS)
    return None


def _too_uneven(control: Sums, treated: Sums) -> NotEnoughData | None:
    """Return what is missing in the smaller arm.

    Its effective number is expected from that of both arms: its own depends on its mean, and waiting for it to be large
    enough would select.
    """
    name, arm = ("control", control) if control.customers <= treated.customers else ("treated", treated)
    both = control.columns([0]) + treated.columns([0])
    effective = both.effective * arm.customers / both.customers
    if effective >= LEAST_EFFECTIVE:
        return None
    wanted = int(np.ceil(arm.customers * LEAST_EFFECTIVE / effective)) if effective else None
    return NotEnoughData(f"effective customers in {name}", effective, LEAST_EFFECTIVE, wanted)


def _covariates(covariances: Sequence[Floats], sizes: Floats) -> tuple[list[int], tuple[str, ...]]:
    """Return the columns to adjust for, and sentences about those that are left out."""
    count = len(covariances[0]) - 1
    if not count:
        return [], ()
    if sizes.min() < _FOR_COVARIATE * count:
        few = f"an arm has {sizes.min():,.0f} customers, {_FOR_COVARIATE * count} are needed for {count} covariates"
        return [], (f"Not adjusted: {few}.",)
    pooled = _pooled(covariances, sizes)
    chosen: list[int] = []
    for column in range(1, count + 1):
        own = pooled[column, column]
        if own <= 0:
            continue
        within = pooled[np.ix_(chosen, chosen)]
        across = pooled[chosen, column]
        explained = across @ np.linalg.solve(within, across) if chosen else 0.0
        if own - explained > _REPEATS * own:
            chosen.append(column)
    if len(chosen) == count:
        return chosen, ()
    out = count - len(chosen)
    return chosen, (f"{out} of {count} covariates left out: no variance, or the same as others.",)


def _pooled(covariances: Sequence[Floats], sizes: Floats) -> Floats:
    weights = (sizes - 1) / (sizes - 1).sum()
    return np.asarray(weights[0] * covariances[0] + weights[1] * covariances[1])


def _theta(covariances: Sequence[Floats], sizes: Floats, chosen: list[int]) -> Floats:
    if not chosen:
        return np.zeros(0)
    pooled = _pooled(covariances, sizes)
    return np.asarray(np.linalg.solve(pooled[np.ix_(chosen, chosen)], pooled[chosen, 0]))


def _of_means(
    means: Floats,
    variances: Floats,
    sizes: Floats,
    used: int,
    look: Look,
    left: float,
    notes: tuple[str, ...],
) -> Effect:
    """Return the effect from means and variances (2,)."""
    square, freedom = (float(found) for found in welch(variances, sizes, used))
    error = float(np.sqrt(square))
    critical = look.critical * look.inflation(freedom)
    difference = float(means[1] - means[0])
    relative_low, relative_high = fieller(means, variances / sizes, critical)
    return Effect(
        control=float(means[0]),
        treated=float(means[1]),
        customers=(int(sizes[0]), int(sizes[1])),
        difference=difference,
        low=difference - critical * error,
        high=difference + critical * error,
        relative=difference / float(means[0]) if means[0] > 0 else None,
        relative_low=relative_low,
        relative_high=relative_high,
        standard_error=error,
        p_value=look.t_p_value(difference / error, freedom),
        look=look,
        variance_left=left,
        notes=notes,
    )
