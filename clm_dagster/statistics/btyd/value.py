"""What future purchases are worth today. Belongs here: discounting. Does not: the models it reads."""

import numpy as np
from numpy.typing import ArrayLike

from clm_dagster.statistics.btyd.durations import DiscountRate, Duration, Floats, Unit, duration, finite
from clm_dagster.statistics.btyd.errors import HistoryError
from clm_dagster.statistics.btyd.histories import Histories
from clm_dagster.statistics.btyd.purchases import PurchaseModel


def discounted_purchases(
    model: PurchaseModel, histories: Histories, horizon: Duration, discount: DiscountRate
) -> Floats:
    """Expected purchases in the horizon after as_of, each worth less the later it comes; shape (n,).

    Sum over periods i of (E[X(t_i)] - E[X(t_i-1)]) / (1 + rate)^i, a period being `discount.per` and
    counted at its end; the last one is cut off at the horizon. Source: Fader, Hardie and Lee 2005, "RFM
    and CLV".

    Raises:
        HistoryError: the horizon is no single length of time.
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
    """Today's value of what each customer will spend in the horizon after as_of, shape (n,).

    Args:
        model: when customers buy; in any unit.
        histories: the customers, in any unit.
        spend: expected spend (or margin) of a purchase, shape (n,) or one number; the answer is in its
            currency. `GammaGamma.expected_spend` gives it.
        horizon: how far to look, for example `days(365)`.
        discount: what money loses, for example `DiscountRate(0.10, per=days(365))`.

    Raises:
        HistoryError: shapes differ, or a spend is missing.
    """
    each = finite(spend, "an expected spend")
    if each.shape not in ((), (len(histories),)):
        raise HistoryError(f"expected spends {each.shape} are not one per customer ({len(histories)},)")
    return discounted_purchases(model, histories, horizon, discount) * each
