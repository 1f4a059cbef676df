"""How features move, and whether groups are served alike. Pure: frames in and out.

Belongs here: comparing. Does not: thresholds' values (settings), checks and charts (assets), grades of past
scores (SQL: marts.model_scorecard).
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd

from clm_dagster.statistics.evaluation import (
    fast_auc,
    metric_interval,
    missing_rate_change,
    population_stability,
)

MIN_GROUP = 30  # a smaller group has no metrics of its own, only a size
AGE_BANDS = (0, 25, 35, 45, 55, 65, 200)


def feature_drift(
    trained: pd.DataFrame, judged: pd.DataFrame, scored: pd.DataFrame, warn: float = 0.1, fail: float = 0.25
) -> pd.DataFrame:
    """How far each feature has moved between training and scoring.

    trained, judged, scored: the same columns, of `features.derive`, of training, of the test snapshot, and now. One
    row for each feature, the most moved first: feature, population_stability, that of the test snapshot,
    missing_trained, missing_change, and status: `ok`, `warn` or `fail`. Counts that only grow move in every
    shop, and the test has shown what the model is worth after such a move; so the status goes by how much further
    than at the test the index, or the share of missing values, is now, whichever is worse.
    """
    rows = [
        {
            "feature": name,
            "population_stability": population_stability(trained[name], scored[name]),
            "population_stability_at_test": population_stability(trained[name], judged[name]),
            "missing_trained": float(trained[name].isna().mean()),
            "missing_change": missing_rate_change(trained[name], scored[name]),
            "missing_since_test": missing_rate_change(judged[name], scored[name]),
        }
        for name in trained.columns
    ]
    table = pd.DataFrame(rows)
    further = table["population_stability"] - table["population_stability_at_test"]
    worst = np.maximum(further, table["missing_since_test"].abs())
    table["status"] = np.select([worst >= fail, worst >= warn], ["fail", "warn"], "ok")
    return table.drop(columns="missing_since_test").sort_values(
        ["population_stability", "feature"], ascending=[False, True], ignore_index=True
    )


def age_band(birth_year: pd.Series, year: int) -> pd.Series:
    """Age bands as text, such as `25-34`; missing where the birth year is, or is no person's."""
    age = year - birth_year.astype(float)
    names = [f"{low}-{high - 1}" for low, high in pairwise(AGE_BANDS)]
    names[0], names[-1] = f"under {AGE_BANDS[1]}", f"{AGE_BANDS[-2]} and over"
    return pd.cut(age.where(age.between(0, 120)), AGE_BANDS, right=False, labels=names).astype(object)


def fairness(scored: pd.DataFrame, attributes: Iterable[str], resamples: int = 200) -> pd.DataFrame:
    """The same metrics for each group of customers, with sizes and intervals.

    scored: churn_probability, churned (0 or 1, missing where not mature), and the attributes as columns. One
    row for each attribute and group, by size: attribute, group, customers, labelled, mean_probability,
    base_rate, calibration_gap (mean probability less base rate) with its low and high, roc_auc with its low
    and high. Intervals are 95% bootstrap intervals. A missing attribute is the group `unknown`; one that is missing for
    all is left out: the shop does not have it. A group under MIN_GROUP labels, or of one class, has no metrics.
    """
    rows = []
    for attribute in attributes:
        if attribute not in scored or scored[attribute].isna().all():
            continue
        groups = scored[attribute].astype(object).where(scored[attribute].notna(), "unknown").astype(str)
        for group, part in scored.groupby(groups):
            known = part[part["churned"].notna()]
            row = {
                "attribute": attribute, "group": group, "customers": len(part), "labelled": len(known),
                "mean_probability": float(part["churn_probability"].mean()),
            }  # fmt: skip
            if len(known) >= MIN_GROUP and known["churned"].nunique() == 2:
                y, p = known["churned"].to_numpy(float), known["churn_probability"].to_numpy(float)
                auc = metric_interval(y, p, fast_auc, resamples)
                gap = metric_interval(y, p, lambda ones, said: float(said.mean() - ones.mean()), resamples)
                row |= {
                    "base_rate": float(y.mean()),
                    "calibration_gap": gap.value, "calibration_gap_low": gap.low, "calibration_gap_high": gap.high,
                    "roc_auc": auc.value, "roc_auc_low": auc.low, "roc_auc_high": auc.high,
                }  # fmt: skip
            rows.append(row)
    columns = [
        "attribute", "group", "customers", "labelled", "mean_probability", "base_rate", "calibration_gap",
        "calibration_gap_low", "calibration_gap_high", "roc_auc", "roc_auc_low", "roc_auc_high",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["attribute", "customers", "group"], ascending=[True, False, True], ignore_index=True
    )
