"""BG/NBD and Gamma-Gamma of one snapshot: how often each customer will buy, and for how much.

Belongs here: from core.customer_features to the models of `btyd` and back. Does not: the models.

The outlier rule of spend: an average order above the `SPEND_QUANTILE` of all customers' counts as that much while
Gamma-Gamma is fitted. A huge order of one customer then moves nobody's parameters; his own expectation
still starts from what he spent.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.btyd import BGNBD, FitError, GammaGamma, Unit, days
from clm_dagster.statistics.evaluation import EvaluationError
from clm_dagster.statistics.evaluation.customers import histories

Floats = NDArray[np.float64]
SPEND_QUANTILE = 0.99
FLOOR_SHARE = 0.05


@dataclass(frozen=True)
class Expectation:
    """What is expected of n customers within a horizon: orders, spend of an order, revenue, P(no order)."""

    orders: Floats
    spend: Floats
    revenue: Floats
    no_order: Floats


@dataclass(frozen=True)
class Pace:
    """The parameters of one snapshot's customers.

    orders_per_day: orders on a day with any, of the whole snapshot; BG/NBD counts days. floor: money, a twentieth of
    the mean customer's expectation, below which a ratio to the expectation says nothing.
    """

    purchases: BGNBD
    spend: GammaGamma
    orders_per_day: float
    floor: float

    @classmethod
    def fit(cls, frame: pd.DataFrame, horizon_days: int) -> "Pace":
        """Fit to rows of core.customer_features with an order each. It sees no label.

        Raises EvaluationError where the customers tell too little: one alone, nobody who came back, no two amounts.
        """
        count, spend = frame["order_days"].to_numpy(float), mean_spend(frame)
        paid = spend > 0
        try:
            purchases = BGNBD.fit(histories(frame)).model
            capped = np.minimum(spend, winsor_limit(spend, SPEND_QUANTILE))
            # Gamma-Gamma counts every order day: what is known of a one-time buyer is his one order.
            gamma = GammaGamma.fit(count[paid], capped[paid]).model
            found = cls(purchases, gamma, float(frame["orders"].sum() / count.sum()), 0.0)
            mean = float(found.expect(frame, horizon_days).revenue.mean())
        except FitError as error:
            as_of = pd.to_datetime(frame["as_of"].iloc[0]).date()
            raise EvaluationError(
                f"as_of {as_of}: no expectation of its {len(frame)} customers: {error}"
            ) from error
        return cls(purchases, gamma, found.orders_per_day, FLOOR_SHARE * mean)

    def expect(self, frame: pd.DataFrame, horizon_days: float) -> Expectation:
        """The expectation of any customers with an order each, n rows of core.customer_features."""
        history, ahead = histories(frame), days(horizon_days)
        purchases = self.purchases.expected_purchases(history, ahead)
        each = self.spend.expected_spend(frame["order_days"].to_numpy(float), mean_spend(frame))
        none = self.purchases.probability_of_no_purchase(history, ahead)
        return Expectation(
            purchases * self.orders_per_day, each / self.orders_per_day, purchases * each, none
        )

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, for JSON; time in days."""
        told = self.purchases.to(Unit.DAY).parameters
        gamma = {"p": self.spend.p, "q": self.spend.q, "gamma": self.spend.gamma}
        return {**told, **gamma, "orders_per_day": self.orders_per_day, "floor": self.floor}

    @classmethod
    def from_dict(cls, told: dict[str, float]) -> "Pace":
        """What `as_dict` told."""
        purchases = BGNBD(Unit.DAY, told["r"], told["alpha"], told["a"], told["b"])
        gamma = GammaGamma(told["p"], told["q"], told["gamma"])
        return cls(purchases, gamma, told["orders_per_day"], told["floor"])


def mean_spend(frame: pd.DataFrame) -> Floats:
    """Net revenue per day with an order, shape (n,); 0 where returns outweigh what was bought."""
    return np.maximum(frame["net_revenue"].to_numpy(float) / frame["order_days"].to_numpy(float), 0)


def winsor_limit(amounts: Floats, quantile: float) -> float:
    """The quantile of the amounts above 0; infinite where there is none."""
    above = amounts[amounts > 0]
    return float(np.quantile(above, quantile)) if len(above) else float("inf")
