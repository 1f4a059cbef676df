"""Purchase histories, the input of the models: repeat purchases, time of the last one, time observed.

Belongs here: validating and grouping histories, and counting them from transactions. Does not: likelihoods.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.btyd.durations import Duration, Floats, Unit, duration, finite, refuse
from clm_dagster.statistics.btyd.errors import HistoryError

COUNT_ONCE = "do not count a customer's first purchase day as a repeat, and count each day once"


@dataclass(frozen=True, eq=False)
class Histories:
    """Purchase histories, one element per customer: the sufficient statistics of every model here.

    Attributes:
        repeats: x, purchase occasions after the first, shape (n,); 0 for one-time buyers, who are included.
        last: t_x, from the first purchase to the last, a Duration of shape (n,); 0 where x is 0.
        observed: T, from the first purchase to as_of, a Duration of shape (n,).
        weights: number of customers with each history, shape (n,); None means one each.

    Raises:
        HistoryError: shapes differ, there are no customers, or a history is impossible.
    """

    repeats: Floats
    last: Duration
    observed: Duration
    weights: Floats | None = None

    def __post_init__(self) -> None:
        x = np.atleast_1d(finite(self.repeats, "the number of repeat purchases"))
        last = duration(self.last, "the time of the last purchase")
        observed = duration(self.observed, "the time observed")
        t_x = np.atleast_1d(last.into(observed.unit))
        t = np.atleast_1d(observed.amount)
        if not (x.ndim == 1 and x.shape == t_x.shape == t.shape):
            raise HistoryError(
                f"repeats {x.shape}, last {t_x.shape} and observed {t.shape} are not one row per customer"
            )
        if not x.size:
            raise HistoryError("there are no customers; check the filter or the as_of of the query")
        refuse((x < 0) | (x != np.floor(x)), x, "repeat purchases are not a count", COUNT_ONCE)
        # A unit conversion can move the last purchase past as_of by a rounding error.
        t_x = np.where((t_x > t) & (t_x <= t * (1 + 1e-12)), t, t_x)
        refuse(t_x > t, t_x, "the last purchase is after as_of", "count only purchases before as_of")
        refuse((x == 0) & (t_x > 0), t_x, "a one-time buyer has a last purchase after the first", COUNT_ONCE)
        refuse((x > 0) & (t_x == 0), x, "repeat purchases at the instant of the first", COUNT_ONCE)
        if self.weights is not None:
            weights = np.atleast_1d(finite(self.weights, "a weight"))
            if weights.shape != x.shape:
                raise HistoryError(f"weights {weights.shape} are not one per history {x.shape}")
            refuse(weights <= 0, weights, "a weight is not above 0", "leave out histories without customers")
            object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "repeats", x)
        object.__setattr__(self, "last", Duration(t_x, observed.unit))
        object.__setattr__(self, "observed", Duration(t, observed.unit))

    def __len__(self) -> int:
        return self.repeats.size

    @property
    def unit(self) -> Unit:
        """The unit of both durations, which is that of `observed`."""
        return self.observed.unit

    @property
    def customers(self) -> float:
        """The number of customers: the sum of the weights."""
        return float(len(self) if self.weights is None else self.weights.sum())

    @cached_property
    def grouped(self) -> "Histories":
        """The distinct histories, sorted, with summed weights, independent of the order of rows.

        Models are fitted on these, so the cost depends on the number of distinct histories, not of customers.
        """
        weights = np.ones(len(self)) if self.weights is None else self.weights
        columns = (weights, self.observed.amount, self.last.amount, self.repeats)
        order = np.lexsort(columns)
        w, t, t_x, x = (column[order] for column in columns)
        new = np.r_[True, (np.diff(x) != 0) | (np.diff(t_x) != 0) | (np.diff(t) != 0)]
        starts = np.flatnonzero(new)
        return Histories(
            x[starts],
            Duration(t_x[starts], self.unit),
            Duration(t[starts], self.unit),
            np.add.reduceat(w, starts),
        )


@dataclass(frozen=True, eq=False)
class Summary:
    """Histories counted from transactions. All arrays are in the order of `customer_id`.

    Attributes:
        customer_id: sorted, shape (n,).
        histories: x, t_x and T of each customer, in the requested unit.
        mean_spend: mean spend of a repeat purchase day in the currency of the input, shape (n,); 0 for
            one-time buyers, as Gamma-Gamma expects.
    """

    customer_id: NDArray[np.object_]
    histories: Histories
    mean_spend: Floats


def summarise(
    customer_id: pd.Series, bought_on: pd.Series, spend: pd.Series, last_day: pd.Timestamp, unit: Unit
) -> Summary:
    """Count histories from transactions, given as one element per transaction in any order.

    All purchases of a customer on one day count as one. Days up to and including `last_day` count, and T ends
    on it, as in the published CDNOW figures (with an exclusive as_of, T is one day longer). The first day is
    not a repeat, and its spend is not repeat spend (Fader, Hardie and Lee 2005).

    Raises:
        HistoryError: a customer or date is missing, a spend is not a number, or there is no transaction.
    """
    frame = pd.DataFrame(
        {
            "customer": np.asarray(customer_id),
            "day": pd.to_datetime(np.asarray(bought_on)),
            "spend": finite(np.asarray(spend), "a spend"),
        }
    )
    if frame[["customer", "day"]].isna().any(axis=None):
        raise HistoryError("a transaction has no customer or no date; leave guests out before counting")
    frame["day"] = frame["day"].dt.normalize()
    frame = frame[frame["day"] <= last_day.normalize()]
    if frame.empty:
        raise HistoryError(f"there is no transaction up to {last_day:%Y-%m-%d}; choose a later last day")
    bought = frame.groupby(["customer", "day"], sort=True)["spend"].sum().reset_index()
    by_customer = bought.groupby("customer", sort=True)
    first, last = by_customer["day"].min(), by_customer["day"].max()
    repeats = by_customer.size().to_numpy().astype(np.float64) - 1
    is_repeat = (bought["day"] > bought["customer"].map(first)).to_numpy()
    repeat_spend = bought["spend"].where(is_repeat, 0.0).groupby(bought["customer"]).sum().to_numpy()
    return Summary(
        first.index.to_numpy(),
        Histories(
            repeats,
            Duration(_days(last - first), Unit.DAY).to(unit),
            Duration(_days(last_day.normalize() - first), Unit.DAY).to(unit),
        ),
        repeat_spend / np.maximum(repeats, 1),
    )


def _days(gaps: pd.Series) -> Floats:
    days: Floats = gaps.dt.days.to_numpy(dtype=np.float64)
    return days
