"""Features of the value model: columns of core.customer_features, ratios of them, and BG/NBD's expectation.

Belongs here: validation of the input frames, the feature matrix, the naive baselines from past spend. Does not belong
here: models (`candidates`).

Eligible customers have an order before as_of; one-time buyers and inactive customers are included. Guests have no
customer_id and no row. Their revenue is part of the shop's totals (core.totals_daily) only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.purchase_model import Expectation, PurchaseModel
from clm_dagster.statistics.evaluation import EvaluationError, customers
from clm_dagster.statistics.evaluation.customers import MIN_CUSTOMERS

Floats = NDArray[np.float64]

COUNTS = (
    "recency_days",
    "tenure_days",
    "previous_order_days",
    "order_days",
    "orders",
    "orders_30d",
    "orders_90d",
    "orders_180d",
    "orders_365d",
    "orders_year_ago_90d",
    "mean_gap_days",
    "sd_gap_days",
    "units",
    "distinct_products",
    "visits",
    "visits_30d",
    "views",
    "carts",
)
MONEY = (
    "net_revenue",
    "net_revenue_30d",
    "net_revenue_90d",
    "net_revenue_180d",
    "net_revenue_365d",
    "average_order_value",
)
SHARES = ("return_rate", "weekend_order_share", "evening_order_share")
NEEDED = ("as_of", "customer_id", *COUNTS, *MONEY, *SHARES)
ROUNDING = 16


def by_snapshot(features: pd.DataFrame, needed: Sequence[str] = NEEDED) -> dict[date, pd.DataFrame]:
    """Return the customers with an order before as_of, by as_of (`customers.by_snapshot`)."""
    return customers.by_snapshot(features, needed, lambda frame: frame["order_days"] > 0)


@dataclass(frozen=True)
class Snapshot:
    """The n customers of one as_of, as models take them.

    frame: rows of core.customer_features. expectation: of BG/NBD and Gamma-Gamma. base: expected revenue plus a floor,
    in money; learned models predict a ratio to it. x: feature matrix, n x columns.
    """

    frame: pd.DataFrame
    expectation: Expectation
    base: Floats
    x: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame, purchase_model: PurchaseModel, horizon_days: int) -> "Snapshot":
        """Return the snapshot of rows of core.customer_features, all of one as_of and each with an order."""
        expectation = purchase_model.expect(frame, horizon_days)
        base = expectation.revenue + purchase_model.floor
        return cls(frame, expectation, base, _matrix(frame, expectation, base, horizon_days))


def past_rate(frame: pd.DataFrame, horizon_days: int) -> Floats:
    """Return the daily net revenue of the last 365 days times the horizon, shape (n,); never below 0."""
    days = past_days(frame, horizon_days)
    rate: Floats = np.maximum(frame["net_revenue_365d"].to_numpy(float), 0) / days * horizon_days
    return rate


def past_days(frame: pd.DataFrame, horizon_days: int) -> Floats:
    """Return the days that a customer's revenue of the last year covers, shape (n,), at most 365.

    The rate of newer customers is per day of tenure, but of at least the horizon: a first order yesterday does not mean
    one order a day.
    """
    days: Floats = np.clip(frame["tenure_days"].to_numpy(float), min(horizon_days, 365), 365)
    return days


def lifetime_rate(frame: pd.DataFrame, horizon_days: int) -> Floats:
    """Return the daily net revenue since the first order times the horizon, shape (n,); never below 0.

    As in `past_rate`, the rate is per day of tenure, but of at least the horizon.
    """
    days = np.maximum(frame["tenure_days"].to_numpy(float), horizon_days)
    rate: Floats = np.maximum(frame["net_revenue"].to_numpy(float), 0) / days * horizon_days
    return rate


def last_period(frame: pd.DataFrame, horizon_days: int) -> Floats:
    """Return the net revenue of the window closest to the horizon, scaled to the horizon, shape (n,)."""
    window = min((30, 90, 180, 365), key=lambda days: abs(days - horizon_days))
    spent = np.maximum(frame[f"net_revenue_{window}d"].to_numpy(float), 0)
    revenue: Floats = spent * (horizon_days / window)
    return revenue


def labels_of(
    frames: Mapping[date, pd.DataFrame], labels: pd.DataFrame, day: date, column: str = "net_revenue"
) -> Floats | None:
    """Return a column of core.value_labels in the row order of a snapshot; None unless every customer has a label."""
    part = labels[labels["as_of"] == pd.Timestamp(day)].set_index("customer_id")[column]
    found = part.reindex(frames[day]["customer_id"]).to_numpy(float)
    return found if len(found) and not np.isnan(found).any() else None


def checked_labels(
    frames: Mapping[date, pd.DataFrame], labels: pd.DataFrame, days: tuple[date, ...], horizon_days: int
) -> dict[date, Floats]:
    """Return the net revenue within the horizon for each snapshot in `days`, in the row order of its frame.

    Raise EvaluationError if the labels have another horizon, or if a snapshot lacks labels, has too few customers or
    has no revenue.
    """
    other_horizons = set(labels["horizon_days"]) - {horizon_days}
    if other_horizons:
        raise EvaluationError(
            f"the labels have a horizon of {', '.join(map(str, sorted(other_horizons)))} days, the evaluation one of "
            f"{horizon_days}: materialize core.value_labels again after a change of CLM_VALUE_HORIZON_DAYS"
        )
    result = {}
    for day in days:
        count = len(frames[day])
        if count < MIN_CUSTOMERS:
            raise EvaluationError(
                f"as_of {day}: {count} customers ordered before it, {MIN_CUSTOMERS} are needed for an evaluation; "
                "take later snapshots"
            )
        y = labels_of(frames, labels, day)
        if y is None:
            raise EvaluationError(
                f"as_of {day}: not all of its {count} customers have a label. Labels are mature once every day of "
                "their horizon is loaded, and come from the same days as the features: load those days, "
                "materialize core.customer_features again, or take an earlier as_of"
            )
        if y.max() <= 0 or y.sum() <= 0:
            raise EvaluationError(
                f"as_of {day}: the net revenue of its {count} customers in the next {horizon_days} days is "
                f"{y.sum():.2f}, so a model cannot be trained: choose another CLM_VALUE_HORIZON_DAYS"
            )
        result[day] = y
    return result


def _matrix(frame: pd.DataFrame, expectation: Expectation, base: Floats, horizon_days: int) -> pd.DataFrame:
    """Return counts and money as signed logarithms, shares as they are, and recent money columns divided by `base`.

    Trees do not need the logarithm; networks and linear models do. Missing values stay missing. Values are rounded to a
    sixteenth, which is 6% of an amount: with so few distinct values, weighted boosting bins a column in a tenth of the
    time.
    """
    raw = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) for name in (*COUNTS, *MONEY)}
    columns = {name: np.sign(values) * np.log1p(np.abs(values)) for name, values in raw.items()}
    columns |= {name: frame[name].to_numpy(dtype=float, na_value=np.nan) for name in SHARES}
    with np.errstate(divide="ignore", invalid="ignore"):
        by_gap = raw["recency_days"] / np.where(raw["mean_gap_days"] > 0, raw["mean_gap_days"], np.nan)
    columns["recency_by_gap"] = np.log1p(by_gap)
    columns["expected_orders"] = np.log1p(expectation.orders)
    columns["expected_spend"] = np.log1p(expectation.spend)
    columns["expected_revenue"] = np.log1p(expectation.revenue)
    columns["no_order"] = expectation.no_order
    for name in ("net_revenue_30d", "net_revenue_90d", "net_revenue_180d"):
        columns[f"{name}_by_expected"] = np.log1p(np.maximum(raw[name], 0) / base)
    columns["past_rate_by_expected"] = np.log1p(past_rate(frame, horizon_days) / base)
    return (pd.DataFrame(columns) * ROUNDING).round() / ROUNDING
