"""Turnover of the top decile of churn scores between two scored snapshots.

Belongs here: counting for one snapshot, as the check of `marts.churn_scores` reports it. Does not belong here: the
table of all snapshots (SQL: marts.churn_turnover), queries (`queries`).
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Turnover:
    """Customers of the top decile at `since` who left it.

    top_decile: their number. left: those not in the new top decile. without_event: of these, those who are still
    scored and had no event since.
    """

    since: date
    top_decile: int
    left: int
    without_event: int

    @property
    def share(self) -> float:
        """The share of the top decile that left it without an event."""
        return self.without_event / self.top_decile

    def __str__(self) -> str:
        return (
            f"of the {self.top_decile} customers in the top decile at {self.since}, {self.left} left it, "
            f"{self.without_event} ({self.share:.1%}) without an event"
        )


def top_decile(customers: pd.Series, probabilities: pd.Series) -> set[str]:
    """Return the tenth of the customers with the highest probability, at least one; ties by customer id."""
    order = np.lexsort((customers.to_numpy(dtype=str), -probabilities.to_numpy(float)))
    return set(customers.to_numpy(dtype=object)[order[: max(len(customers) // 10, 1)]])


def measure_turnover(previous: pd.DataFrame, scores: pd.DataFrame) -> Turnover | None:
    """Return the turnover since the previous scored snapshot; None without one, or without scores.

    previous: its top decile, as_of, customer_id and is_active. scores: customer_id and churn_probability.
    """
    if previous.empty or scores.empty:
        return None
    now = top_decile(scores["customer_id"], scores["churn_probability"])
    left = previous[~previous["customer_id"].isin(now)]
    without = left["customer_id"].isin(scores["customer_id"]) & ~left["is_active"].astype(bool)
    since = pd.Timestamp(previous["as_of"].iloc[0]).date()
    return Turnover(since, len(previous), len(left), int(without.sum()))
