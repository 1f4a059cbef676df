"""Lengths of time with a unit, so that weeks cannot be read as days.

Belongs here: units, durations, discount rates. Does not: calendar dates, or months, which have no fixed length
(use `days(30)`).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clm_dagster.statistics.btyd.errors import HistoryError

Floats = NDArray[np.float64]


class Unit(Enum):
    """A unit of time. The value is its length in days."""

    DAY = 1.0
    WEEK = 7.0

    @property
    def label(self) -> str:
        """The name of the unit for messages: `day`, `week`."""
        return self.name.lower()


@dataclass(frozen=True, eq=False)
class Duration:
    """A non-negative length of time, or an array of them, in one unit.

    Create it with `days(90)` or `weeks(recency_in_weeks)`. Durations are equal if their lengths are equal
    up to the rounding of a unit conversion: `weeks(1) == days(7)`.

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
        """Return the same length in another unit."""
        return Duration(self.into(unit), unit)

    def into(self, unit: Unit) -> Floats:
        """Return the plain amounts in `unit`, in the same shape."""
        return self.amount if unit is self.unit else self.amount * (self.unit.value / unit.value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Duration) or self.amount.shape != other.amount.shape:
            return False
        return np.allclose(self.into(Unit.DAY), other.into(Unit.DAY), rtol=1e-12, atol=0)

    __hash__ = None  # type: ignore[assignment]  # it holds an array

    def __repr__(self) -> str:
        return f"{self.unit.label}s({self.amount})"


def days(amount: ArrayLike) -> Duration:
    """Return a duration of `amount` days, a number or an array."""
    return Duration(np.asarray(amount), Unit.DAY)


def weeks(amount: ArrayLike) -> Duration:
    """Return a duration of `amount` weeks, a number or an array."""
    return Duration(np.asarray(amount), Unit.WEEK)


def duration(value: object, what: str) -> Duration:
    """Return `value` if it is a Duration.

    Raises:
        HistoryError: `value` is not a `Duration`; the message names `what` and shows the expected form.
    """
    if not isinstance(value, Duration):
        raise HistoryError(f"{what} is {value!r}, which has no unit: write days(...) or weeks(...)")
    return value


@dataclass(frozen=True)
class DiscountRate:
    """The rate at which future money loses value: `DiscountRate(0.10, per=days(365))` is 10% a year."""

    rate: float
    per: Duration

    def __post_init__(self) -> None:
        length = duration(self.per, "the period of a discount rate")
        if length.amount.ndim or length.amount == 0:
            raise HistoryError(f"a discount rate is per one period longer than 0, not {length!r}")
        if not (np.isfinite(self.rate) and self.rate > -1):
            raise HistoryError(f"a discount rate is a number above -1 (10% is 0.10), not {self.rate!r}")

    def factor(self, after: Duration) -> Floats:
        """Return the present value of one unit of money due in `after`, in the shape of `after`."""
        return np.asarray((1 + self.rate) ** -(after.into(Unit.DAY) / self.per.into(Unit.DAY)))


def finite(values: ArrayLike, what: str) -> Floats:
    """Return the values as an array of finite floats.

    Raises:
        HistoryError: a value is not a finite number; the message gives the count and the first row.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise HistoryError(f"{what} is not numeric ({error}); give numbers") from error
    refuse(~np.isfinite(array), array, f"{what} is missing or infinite", "fill it or leave that row out")
    return array


def refuse(wrong: NDArray[np.bool_], values: Floats, what: str, todo: str) -> None:
    """Raise HistoryError if any value is wrong, with the count, the first row, its value and the remedy."""
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        raise HistoryError(
            f"{what}: {int(np.sum(wrong))} of {wrong.size}, first at row {first}"
            f" (found {np.ravel(values)[first]:g}); {todo}"
        )
