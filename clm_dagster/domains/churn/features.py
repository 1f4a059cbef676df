"""Features of the churn model: columns of core.customer_features and ratios of them.

Belongs here: their computation, validation of the input frames. Does not belong here: their names (`feature_names`),
models (`candidates`), label definitions (SQL).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from clm_dagster.domains.churn.feature_names import CATEGORIES, FEATURES, NEEDED
from clm_dagster.domains.churn.purchase_model import no_purchase_log_odds
from clm_dagster.statistics.btyd import BGNBD
from clm_dagster.statistics.evaluation import EvaluationError, customers
from clm_dagster.statistics.evaluation.customers import MIN_CUSTOMERS


def by_snapshot(
    features: pd.DataFrame, active_days: int, needed: Sequence[str] = NEEDED
) -> dict[date, pd.DataFrame]:
    """Return the customers who ordered in the `active_days` before as_of, by as_of (`customers.by_snapshot`)."""
    return customers.by_snapshot(features, needed, lambda frame: frame["recency_days"] <= active_days)


def derive(frame: pd.DataFrame, purchase_model: BGNBD, horizon_days: int) -> pd.DataFrame:
    """Return the model's columns in the order of FEATURES: numbers as float, categories as text.

    frame: rows of core.customer_features. Ratios are missing for customers who ordered on one day only.
    """
    numbers = {name: frame[name].astype(float) for name in NEEDED[2:] if name not in CATEGORIES}
    out = pd.DataFrame(numbers, index=frame.index)
    gap = out["mean_gap_days"].where(out["mean_gap_days"] > 0)
    spread = out["sd_gap_days"].where(out["sd_gap_days"] > 0)
    out["recency_by_gap"] = out["recency_days"] / gap
    out["overdue"] = (out["recency_days"] - gap) / spread
    out["order_rate"] = out["order_days"] / (out["tenure_days"] + 1)
    out["no_purchase_log_odds"] = no_purchase_log_odds(purchase_model, frame, horizon_days)
    for name in CATEGORIES:
        out[name] = frame[name].astype(object).where(frame[name].notna(), "unknown").astype(str)
    return out[list(FEATURES)]


def checked_labels(
    frames: Mapping[date, pd.DataFrame], labels: pd.DataFrame, days: Iterable[date], horizon_days: int
) -> dict[date, np.ndarray]:
    """Return the labels (0 or 1) of each snapshot in `days`, in the row order of its frame.

    Raise EvaluationError if the labels have another horizon, or if a snapshot lacks labels, has too few customers or
    has a single class.
    """
    other_horizons = set(labels["horizon_days"]) - {horizon_days}
    if other_horizons:
        raise EvaluationError(
            f"the labels have a horizon of {', '.join(map(str, sorted(other_horizons)))} days, the evaluation one of "
            f"{horizon_days}: materialize core.churn_labels again after a change of CLM_CHURN_HORIZON_DAYS"
        )
    found, result = labels_by_snapshot(labels), {}
    for day in sorted(set(days)):
        if day not in frames:
            raise EvaluationError(f"no features at as_of {day}: build core.customer_features for it")
        if day not in found:
            raise EvaluationError(
                f"no labels at as_of {day}: they are mature once every day of their horizon is loaded; "
                "load those days or take an earlier as_of"
            )
        y = found[day].reindex(frames[day]["customer_id"]).to_numpy(float)
        missing = int(np.isnan(y).sum())
        if missing:
            raise EvaluationError(
                f"as_of {day}: {missing} of {len(y)} customers have no label; features and labels must come from "
                "the same days: materialize core.customer_features again"
            )
        if len(y) < MIN_CUSTOMERS:
            raise EvaluationError(
                f"as_of {day}: {len(y)} customers ordered before it, {MIN_CUSTOMERS} are needed for an evaluation; "
                "take later snapshots or a longer CLM_CHURN_ACTIVE_DAYS"
            )
        if y.min() == y.max():
            raise EvaluationError(
                f"as_of {day}: all {len(y)} customers have churned = {y[0]:g}, a single class, so a model "
                "cannot be trained: choose another CLM_CHURN_HORIZON_DAYS"
            )
        result[day] = y
    return result


def check_not_empty(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise EvaluationError if a feature is missing in all rows."""
    empty = [name for name in columns if frame[name].isna().all()]
    if empty:
        raise EvaluationError(
            f"the features {', '.join(empty)} are missing for all {len(frame)} training rows; "
            "fill them in core.customer_features or leave them out of the selected features"
        )


def labels_by_snapshot(labels: pd.DataFrame) -> dict[date, pd.Series]:
    """Return the labels of each snapshot, by customer_id."""
    return {
        pd.Timestamp(str(as_of)).date(): part.set_index("customer_id")["churned"]
        for as_of, part in labels.groupby("as_of")
    }


def known_labels(
    frames: Mapping[date, pd.DataFrame], labels: Mapping[date, pd.Series], day: date
) -> np.ndarray | None:
    """Return the labels of an earlier snapshot, or None unless every customer has one."""
    if day not in labels:
        return None
    found = labels[day].reindex(frames[day]["customer_id"]).to_numpy(float)
    return found if len(found) and not np.isnan(found).any() else None
