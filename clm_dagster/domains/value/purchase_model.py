"""The purchase model of one snapshot: BG/NBD and Gamma-Gamma, how often each customer will buy and for how much.

Belongs here: the conversion from core.customer_features to the inputs of `btyd` and back. Does not belong here: the
models of `btyd`.

Outlier rule of spend: average order values are capped at the `SPEND_QUANTILE` of all customers for the fit of
Gamma-Gamma. A huge order of one customer then does not change the parameters. The customer's own expectation still
uses the actual spend.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.names import FITTED
from clm_dagster.statistics.btyd import BGNBD, FitError, GammaGamma, Unit, days
from clm_dagster.statistics.evaluation import EvaluationError
from clm_dagster.statistics.evaluation.customers import histories
from clm_dagster.statistics.memo import Memo, digest

Floats = NDArray[np.float64]
SPEND_QUANTILE = 0.99
FLOOR_SHARE = 0.05


@dataclass(frozen=True)
class Expectation:
    """Expectations of n customers within a horizon: orders, spend per order, revenue, P(no order)."""

    orders: Floats
    spend: Floats
    revenue: Floats
    no_order: Floats


@dataclass(frozen=True)
class PurchaseModel:
    """BG/NBD and Gamma-Gamma, fitted to the customers of one snapshot.

    purchases: BG/NBD, which counts order days. spend: Gamma-Gamma. orders_per_day: mean number of orders on an order
    day. floor: money, a twentieth of the mean expectation; it is added to expectations to keep ratios to them finite.
    """

    purchases: BGNBD
    spend: GammaGamma
    orders_per_day: float
    floor: float

    @classmethod
    def fit(cls, frame: pd.DataFrame, horizon_days: int) -> "PurchaseModel":
        """Fit to rows of core.customer_features, each with an order. No label is used.

        The fit of the same customers is kept in memory. Raise EvaluationError if there are too few data: a single
        customer, no second orders, a single amount.
        """
        columns = [frame[name].to_numpy(float) for name in FITTED]
        return _FITS.get(digest(*columns, np.array([horizon_days])), lambda: cls._fit(frame, horizon_days))

    @classmethod
    def _fit(cls, frame: pd.DataFrame, horizon_days: int) -> "PurchaseModel":
        count, spend = frame["order_days"].to_numpy(float), mean_spend(frame)
        paid = spend > 0
        try:
            purchases = BGNBD.fit(histories(frame)).model
            capped = np.minimum(spend, winsor_limit(spend, SPEND_QUANTILE))
            # Gamma-Gamma counts every order day, the single one of a one-time buyer included.
            gamma = GammaGamma.fit(count[paid], capped[paid]).model
            without_floor = cls(purchases, gamma, float(frame["orders"].sum() / count.sum()), 0.0)
            mean = float(without_floor.expect(frame, horizon_days).revenue.mean())
        except FitError as error:
            as_of = pd.to_datetime(frame["as_of"].iloc[0]).date()
            raise EvaluationError(
                f"as_of {as_of}: no expectation of its {len(frame)} customers: {error}"
            ) from error
        return cls(purchases, gamma, without_floor.orders_per_day, FLOOR_SHARE * mean)

    def expect(self, frame: pd.DataFrame, horizon_days: float) -> Expectation:
        """Return the expectation of n rows of core.customer_features, each with an order."""
        history, ahead = histories(frame), days(horizon_days)
        purchases = self.purchases.expected_purchases(history, ahead)
        spend = self.spend.expected_spend(frame["order_days"].to_numpy(float), mean_spend(frame))
        no_order = self.purchases.probability_of_no_purchase(history, ahead)
        return Expectation(
            orders=purchases * self.orders_per_day,
            spend=spend / self.orders_per_day,
            revenue=purchases * spend,
            no_order=no_order,
        )

    def as_dict(self) -> dict[str, float]:
        """Return the parameters as JSON-serializable values, with time in days."""
        bgnbd = self.purchases.to(Unit.DAY).parameters
        gamma = {"p": self.spend.p, "q": self.spend.q, "gamma": self.spend.gamma}
        return {**bgnbd, **gamma, "orders_per_day": self.orders_per_day, "floor": self.floor}

    @classmethod
    def from_dict(cls, state: dict[str, float]) -> "PurchaseModel":
        """Return the model from the result of `as_dict`."""
        purchases = BGNBD(Unit.DAY, state["r"], state["alpha"], state["a"], state["b"])
        gamma = GammaGamma(state["p"], state["q"], state["gamma"])
        return cls(purchases, gamma, state["orders_per_day"], state["floor"])


# A snapshot is fitted once for the values of many weeks and for their weekly expectations.
_FITS = Memo[PurchaseModel]()


def mean_spend(frame: pd.DataFrame) -> Floats:
    """Return the net revenue per order day, shape (n,); 0 where returns exceed purchases."""
    spend: Floats = np.maximum(frame["net_revenue"].to_numpy(float) / frame["order_days"].to_numpy(float), 0)
    return spend


def winsor_limit(amounts: Floats, quantile: float) -> float:
    """Return the quantile of the amounts above 0; infinity if there are none."""
    above = amounts[amounts > 0]
    return float(np.quantile(above, quantile)) if len(above) else float("inf")
