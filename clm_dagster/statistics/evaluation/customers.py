"""Convert rows of core.customer_features to the inputs of evaluations and of the `btyd` models.

Belongs here: functions of frames. Does not: queries, or which customers a domain selects.
"""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pandas as pd

from clm_dagster.statistics.btyd.durations import days
from clm_dagster.statistics.btyd.histories import Histories
from clm_dagster.statistics.evaluation.splits import EvaluationError

# Minimum number of customers per snapshot of an evaluation.
MIN_CUSTOMERS = 100


def by_snapshot(
    features: pd.DataFrame, needed: Sequence[str], is_eligible: Callable[[pd.DataFrame], pd.Series]
) -> dict[date, pd.DataFrame]:
    """Return the eligible customers of each snapshot by date of as_of; dates and customer_ids are sorted.

    is_eligible: function from the rows to a boolean per row.

    Raises:
        EvaluationError: a `needed` column is missing, or a customer occurs twice in a snapshot.
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
    chosen = features[is_eligible(features)].sort_values(["as_of", "customer_id"], ignore_index=True)
    return {
        pd.Timestamp(str(as_of)).date(): part.reset_index(drop=True)
        for as_of, part in chosen.groupby("as_of", sort=True)
    }


def histories(frame: pd.DataFrame) -> Histories:
    """Return x, t_x and T of n customers in days since the first order, with x = order_days - 1."""
    tenure = frame["tenure_days"].to_numpy(float)
    recency = frame["recency_days"].to_numpy(float)
    return Histories(frame["order_days"].to_numpy(float) - 1, days(tenure - recency), days(tenure))


def with_possible_histories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return made-up customers with order histories that are possible: at least two order days, within the tenure."""
    days_of_orders = frame["order_days"].round().clip(lower=2)
    recency = frame["recency_days"].round()
    tenure = np.maximum(frame["tenure_days"].round(), recency + days_of_orders)
    return frame.assign(order_days=days_of_orders, recency_days=recency, tenure_days=tenure)
