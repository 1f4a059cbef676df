"""Rows of core.customer_features as contests and the models of `btyd` take them. Pure: frames in, frames out."""

from collections.abc import Callable, Sequence
from datetime import date

import pandas as pd

from clm_dagster.statistics.btyd import Histories, days
from clm_dagster.statistics.evaluation.splits import EvaluationError

# As many customers as a contest needs at a snapshot, at the least.
MIN_CUSTOMERS = 100


def by_snapshot(
    features: pd.DataFrame, needed: Sequence[str], is_asked: Callable[[pd.DataFrame], pd.Series]
) -> dict[date, pd.DataFrame]:
    """Customers who are asked about, by the date of as_of, dates in order; each frame in order of customer_id.

    is_asked: from the rows to true or false of each. Raises EvaluationError where a `needed` column is missing or a
    customer is there twice.
    """
    missing = [name for name in needed if name not in features]
    if missing:
        raise EvaluationError(
            f"the features lack {', '.join(missing)}; they are columns of core.customer_features: "
            "materialize it again"
        )
    repeated = features.duplicated(["as_of", "customer_id"]).sum()
    if repeated:
        raise EvaluationError(
            f"the features have {repeated} rows twice; one row for each as_of and customer is expected"
        )
    chosen = features[is_asked(features)].sort_values(["as_of", "customer_id"], ignore_index=True)
    dates = pd.to_datetime(chosen["as_of"]).dt.date
    return {day: part.reset_index(drop=True) for day, part in chosen.groupby(dates, sort=True)}


def histories(frame: pd.DataFrame) -> Histories:
    """x, t_x and T of n customers: x = order_days - 1, all in days from the first order on."""
    tenure = frame["tenure_days"].to_numpy(float)
    recency = frame["recency_days"].to_numpy(float)
    return Histories(frame["order_days"].to_numpy(float) - 1, days(tenure - recency), days(tenure))
