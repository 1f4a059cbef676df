"""Lengths of time that carry their unit, so that weeks cannot be read as days.

Belongs here: units, durations, discount rates. Does not: calendar dates, months (a month has no fixed
length: say `days(30)` and mean it).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clm_dagster.statistics.btyd.errors import HistoryError

Floats = NDArray[np.float64]


class Unit(Enum):
    """A unit of time; its value is its length in days."""

    DAY = 1.0
    WEEK = 7.0

    @property
    def label(self) -> str:
        """The unit's name in a sentence: `day`, `week`."""
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Duration:
    """One length of time, or an array of them, none negative, all in one unit.

    Made by `days(90)` or `weeks(recency_in_weeks)`. Equal if the lengths are,
    up to the rounding of a conversion: `weeks(1) == days(7)`.

    Raises:
        HistoryError: an amount is negative, infinite or not a number.
    """

    amount: Floats
    unit: Unit

    def __post_init__(self) -> None:
        if not isinstance(self.unit, Unit):
            raise HistoryError(f"a duration's unit is Unit.DAY or Unit.WEEK, not {self.unit!r}")
        amount = finite(self.amount, "a duration")
        refuse(amount < 0, amount, "a duration is negative", "swap the two dates it was computed from")
        object.__setattr__(self, "amount", amount)

    def to(self, unit: Unit) -> "Duration":
        """The same length, told in another unit."""
        return Duration(self.into(unit), unit)

    def into(self, unit: Unit) -> Floats:
        """The bare amounts in `unit`; the shape is kept."""
        return self.amount if unit is self.unit else self.amount * (self.unit.value / unit.value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Duration) or self.amount.shape != other.amount.shape:
            return False
        return np.allclose(self.into(Unit.DAY), other.into(Unit.DAY), rtol=1e-12, atol=0)

    __hash__ = None  # type: ignore[assignment]  # it holds an array

    def __repr__(self) -> str:
        return f"{self.unit.label}s({self.amount})"


def days(amount: ArrayLike) -> Duration:
    """A duration of so many days; a number or an array."""
    return Duration(np.asarray(amount), Unit.DAY)


def weeks(amount: ArrayLike) -> Duration:
    """A duration of so many weeks; a number or an array."""
    return Duration(np.asarray(amount), Unit.WEEK)


def duration(value: object, what: str) -> Duration:
    """Pass a duration on, refuse a bare number.

    Raises:
        HistoryError: `value` is no `Duration`; the message names `what` and shows how to say it.
    """
    if not isinstance(value, Duration):
        raise HistoryError(f"{what} is {value!r}, which has no unit: write days(...) or weeks(...)")
    return value


@dataclass(frozen=True)
class DiscountRate:
    """What money loses in a stretch of time: `DiscountRate(0.10, per=days(365))` is 10% a year."""

    rate: float
    per: Duration

    def __post_init__(self) -> None:
        length = duration(self.per, "the stretch of a discount rate")
        if length.amount.ndim or length.amount == 0:
            raise HistoryError(f"a discount rate is per one stretch of time longer than 0, not {length!r}")
        if not (np.isfinite(self.rate) and self.rate > -1):
            raise HistoryError(f"a discount rate is a number above -1 (10% is 0.10), not {self.rate!r}")

    def factor(self, after: Duration) -> Floats:
        """What one unit of money, due `after`, is worth now; the shape of `after`."""
        return np.asarray((1 + self.rate) ** -(after.into(Unit.DAY) / self.per.into(Unit.DAY)))


def finite(values: ArrayLike, what: str) -> Floats:
    """Floats of any shape, all finite.

    Raises:
        HistoryError: something is no number; the message counts and places it.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise HistoryError(f"{what} is not numeric ({error}); give numbers") from error
    refuse(~np.isfinite(array), array, f"{what} is missing or infinite", "fill it or leave that row out")
    return array


def refuse(wrong: NDArray[np.bool_], values: Floats, what: str, todo: str) -> None:
    """Raise HistoryError if anything is wrong: how many, where first, what was found, what to do."""
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        raise HistoryError(
            f"{what}: {int(np.sum(wrong))} of {wrong.size}, first at row {first}"
            f" (found {np.ravel(values)[first]:g}); {todo}"
        )
