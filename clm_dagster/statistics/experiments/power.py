"""Planning: the smallest effect that an experiment can see, its power, and the customers it needs.

Belongs here: power of differences in means and in rates, before the start. Does not: estimates (`effects`).

Normal approximations, two-sided. A look says what is read: for `AnytimeLook()` these are the figures at the planned
size, and the chance of having seen the effect at an earlier look is part of no figure, so they are cautious.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from clm_dagster.statistics.experiments.sequential import FixedLook, Look

POWER = 0.8
_ONCE = FixedLook()
_MOST_CUSTOMERS = 1e12


@dataclass(frozen=True)
class Design:
    """A planned experiment.

    customers: in both arms together. holdout_share: share in control, in (0, 1). Customers are real numbers here, so
    that sizes can be solved for.
    """

    customers: float
    holdout_share: float

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible number of customers or share."""
        if self.customers < 0 or not 0 < self.holdout_share < 1:
            raise ValueError(
                f"customers and a share in (0, 1) are expected, got {self.customers} and {self.holdout_share}"
            )

    @property
    def control(self) -> float:
        """Customers in control."""
        return self.customers * self.holdout_share

    @property
    def treated(self) -> float:
        """Customers who are treated."""
        return self.customers - self.control


def mean_power(design: Design, effect: float, deviation: float, look: Look = _ONCE) -> float:
    """Return the probability that the interval of a difference in means excludes zero.

    effect: the true difference. deviation: standard deviation of the outcome in each arm, in the same unit; after
    adjustment by CUPED, times the square root of the variance that is left.

    Examples:
        >>> round(mean_power(Design(10_000, 0.1), effect=5, deviation=50), 3)
        0.851
    """
    error = deviation * np.sqrt(1 / design.control + 1 / design.treated) if design.customers else np.inf
    return _power(abs(effect) / error, 1.0, look) if error > 0 else float(effect != 0)


def smallest_mean_effect(
    design: Design, deviation: float, power: float = POWER, look: Look = _ONCE
) -> float | None:
    """Return the smallest difference in means that is seen with this power, None without customers.

    Examples:
        >>> round(smallest_mean_effect(Design(10_000, 0.1), deviation=50), 2)
        4.67
    """
    if design.customers == 0:
        return None
    error = deviation * np.sqrt(1 / design.control + 1 / design.treated)
    return float(error * _distance(power, look))


def customers_for_mean(
    effect: float, deviation: float, holdout_share: float, power: float = POWER, look: Look = _ONCE
) -> int | None:
    """Return the customers in both arms together that are needed to see a difference in means; None for no effect."""
    if effect == 0:
        return None
    scale = 1 / holdout_share + 1 / (1 - holdout_share)
    return int(np.ceil(scale * (deviation * _distance(power, look) / effect) ** 2))


def rate_power(design: Design, base: float, effect: float, look: Look = _ONCE) -> float:
    """Return the probability that the interval of a difference in rates excludes zero.

    base: rate in control. effect: rate in treated - base. The interval is as wide as both rates being equal allows
    it to be, and the estimate varies as the two rates do (Fleiss, Levin, Paik 2003, section 4.2).

    Raises:
        ValueError: rates outside of [0, 1].

    Examples:
        >>> round(rate_power(Design(20_000, 0.1), base=0.03, effect=0.01), 3)
        0.602
    """
    treated = base + effect
    if not (0 <= base <= 1 and 0 <= treated <= 1):
        raise ValueError(f"rates between 0 and 1 are expected, got {base} and {treated}")
    if design.customers == 0 or effect == 0:
        return float(2 * norm.sf(look.critical)) if design.customers else 0.0
    common = base * design.holdout_share + treated * (1 - design.holdout_share)
    null = np.sqrt(common * (1 - common) * (1 / design.control + 1 / design.treated))
    actual = np.sqrt(base * (1 - base) / design.control + treated * (1 - treated) / design.treated)
    if actual == 0:
        return float(abs(effect) > look.critical * null)
    return _power(abs(effect) / actual, float(null / actual), look)


def smallest_rate_effect(
    design: Design, base: float, power: float = POWER, look: Look = _ONCE
) -> float | None:
    """Return the smallest increase of a rate that is seen with this power; None if even an increase to 1 is not.

    Examples:
        >>> round(smallest_rate_effect(Design(20_000, 0.1), base=0.03), 4)
        0.0127
    """
    return _smallest(lambda effect: rate_power(design, base, effect, look), 1 - base, power)


def customers_for_rate(
    base: float, effect: float, holdout_share: float, power: float = POWER, look: Look = _ONCE
) -> int | None:
    """Return the customers in both arms together that are needed to see a difference in rates; None for no effect."""
    if effect == 0:
        return None
    found = _smallest(
        lambda size: rate_power(Design(size, holdout_share), base, effect, look), _MOST_CUSTOMERS, power
    )
    return None if found is None else int(np.ceil(found))


def _power(distance: float, width: float, look: Look) -> float:
    """Return the power of an effect. distance: in standard errors; width: of the interval, in the same."""
    critical = look.critical * width
    return float(norm.sf(critical - distance) + norm.cdf(-critical - distance))


def _distance(power: float, look: Look) -> float:
    """Return the effect in standard errors that has this power."""
    chance = _power(0.0, 1.0, look)
    if not chance < power < 1:
        raise ValueError(f"a power between {chance:g} (no effect) and 1 is expected, got {power}")
    return float(brentq(lambda d: _power(d, 1.0, look) - power, 0.0, look.critical + 40, xtol=1e-12))


def _smallest(power_of: Callable[[float], float], largest: float, power: float) -> float | None:
    """Return the smallest argument, up to the largest, whose power is enough; power rises with the argument."""
    if largest <= 0 or power_of(largest) < power:
        return None
    smallest = largest * 1e-15
    if power_of(smallest) >= power:
        return float(smallest)
    solved = brentq(
        lambda log: power_of(float(np.exp(log))) - power, np.log(smallest), np.log(largest), xtol=1e-13
    )
    return float(np.exp(solved))
