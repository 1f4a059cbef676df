"""The naive baseline of customer value as it serves: each customer goes on at the rate of their last 365 days.

Belongs here: its rows of `marts.customer_value` and `marts.value_expectations`. Does not belong here: the baselines as
candidates (`features`, `candidates`), when the baseline serves (the engine of trained models).

Nothing of it is fitted but its intervals, so it also serves before the first training, then without intervals.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.features import past_days, past_rate
from clm_dagster.domains.value.intervals import Intervals
from clm_dagster.domains.value.tiers import SHARES

Floats = NDArray[np.float64]


def baseline_rows(frame: pd.DataFrame, horizon_days: int, intervals: Intervals | None) -> pd.DataFrame:
    """Score rows of core.customer_features, each with an order, by the past rate. Columns as `ValueModel.scores`.

    The tier is missing, because it depends on all customers: `tiers_by_rank`.

    expected_orders: the past rate of orders. probability_of_no_order: that of a Poisson process with this rate.
    intervals: calibrated in a training; without them the bounds are missing.
    """
    rows = frame.sort_values("customer_id", ignore_index=True)
    revenue = past_rate(rows, horizon_days)
    orders = rows["orders_365d"].to_numpy(float) / past_days(rows, horizon_days) * horizon_days
    missing = np.full(len(rows), np.nan)
    low, high = (missing, missing) if intervals is None else intervals(revenue)
    return pd.DataFrame(
        {
            "as_of": rows["as_of"].to_numpy(),
            "customer_id": rows["customer_id"].to_numpy(),
            "horizon_days": horizon_days,
            "expected_orders": orders,
            "expected_revenue": revenue,
            "revenue_low": low,
            "revenue_high": high,
            "probability_of_no_order": np.exp(-orders),
            "past_revenue": rows["net_revenue_365d"].to_numpy(float),
        }
    )


def tiers_by_rank(revenue: Floats) -> NDArray[np.int8]:
    """Return the place in `TIERS` of each of n customers, by the rank of their expectation among them.

    The top 5% and top 20% are vip and regular, then everybody above 0 is potential. Customers who tie share the higher
    tier.
    """
    share_above = (pd.Series(revenue).rank(ascending=False, method="min").to_numpy() - 1) / len(revenue)
    regular, vip = (share_above < share for share in SHARES)
    places = 1 + regular.astype(int) + vip.astype(int)
    return np.where(revenue > 0, places, 0).astype(np.int8)


def baseline_weeks(horizon_days: int, orders: float, revenue: float) -> pd.DataFrame:
    """Return the cumulative expectation by week at a constant rate. Columns as `ValueModel.weekly`."""
    weeks = np.arange(1, -(-horizon_days // 7) + 1)
    days = np.minimum(7 * weeks, horizon_days)
    share = days / horizon_days
    return pd.DataFrame(
        {
            "week": weeks,
            "days": days,
            "expected_orders": share * orders,
            "expected_revenue": share * revenue,
        }
    )
