"""The present value of future purchases.

Belongs here: discounting. Does not: the models of purchases and spend.
"""

import numpy as np
from numpy.typing import ArrayLike

from clm_dagster.statistics.btyd.durations import DiscountRate, Duration, Floats, Unit, duration, finite
from clm_dagster.statistics.btyd.errors import HistoryError
from clm_dagster.statistics.btyd.histories import Histories
from clm_dagster.statistics.btyd.purchases import PurchaseModel


def discounted_purchases(
    model: PurchaseModel, histories: Histories, horizon: Duration, discount: DiscountRate
) -> Floats:
    """Return the discounted expected purchases in the horizon after as_of, shape (n,).

    This is the sum over periods i of (E[X(t_i)] - E[X(t_i-1)]) / (1 + rate)^i. A period has the length
    `discount.per` and is discounted at its end; the last one ends at the horizon. Source: Fader, Hardie and Lee
    2005, "RFM and CLV".

    Raises:
        HistoryError: the horizon is not a single length of time.
    """
    until = duration(horizon, "the horizon").into(Unit.DAY)
    if until.ndim:
        raise HistoryError(f"one horizon for all customers is needed, not an array of {until.shape}")
    period = float(discount.per.into(Unit.DAY))
    periods = int(np.ceil(float(until) / period - 1e-9))
    total, before = np.zeros(len(histories)), np.zeros(len(histories))
    for end in np.minimum(period * np.arange(1, periods + 1), until):
        by_then = model.expected_purchases(histories, Duration(end, Unit.DAY))
        total += (by_then - before) * discount.factor(Duration(end, Unit.DAY))
        before = by_then
    return total


def discounted_value(
    model: PurchaseModel,
    histories: Histories,
    spend: ArrayLike,
    horizon: Duration,
    discount: DiscountRate,
) -> Floats:
    """Return the present value of each customer's expected spend in the horizon after as_of, shape (n,).

    Args:
        model: the purchase model, in any unit.
        histories: the customers' purchase histories, in any unit.
        spend: expected spend (or margin) per purchase, shape (n,) or one number, for example from
            `GammaGamma.expected_spend`. The result is in its currency.
        horizon: length of the forecast, for example `days(365)`.
        discount: discount rate, for example `DiscountRate(0.10, per=days(365))`.

    Raises:
        HistoryError: shapes differ, or a spend is missing.
    """
    per_purchase = finite(spend, "an expected spend")
    if per_purchase.shape not in ((), (len(histories),)):
        raise HistoryError(
            f"expected spends {per_purchase.shape} are not one per customer ({len(histories)},)"
        )
    return discounted_purchases(model, histories, horizon, discount) * per_purchase
