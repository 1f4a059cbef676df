"""Feature drift and fairness across customer groups.

Belongs here: pure comparisons, frames in and frames out. Does not belong here: threshold values (`settings`), checks
(`checks`), charts (`asset_charts`), grades of past scores (SQL: marts.churn_scorecard).
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.evaluation import (
    fast_auc,
    metric_interval,
    missing_rate_change,
    population_stability,
)

MIN_GROUP = 30  # a smaller group gets a size but no metrics
AGE_BANDS = (0, 25, 35, 45, 55, 65, 200)


def feature_drift(
    training: pd.DataFrame, test: pd.DataFrame, scored: pd.DataFrame, warn: float = 0.1, fail: float = 0.25
) -> pd.DataFrame:
    """Measure the drift of each feature between training and scoring.

    training, test, scored: the same columns of `features.derive`, for the training rows, the test snapshot and the
    snapshot to score. One row for each feature, the largest drift first: feature, population_stability,
    population_stability_at_test, missing_trained, missing_change, status (`ok`, `warn` or `fail`).

    Cumulative counts drift in every shop, and the test has already measured the model under such drift. The status
    therefore depends on the additional drift since the test: that of the stability index or of the share of missing
    values, whichever is larger.
    """
    rows = [
        {
            "feature": name,
            "population_stability": population_stability(training[name], scored[name]),
            "population_stability_at_test": population_stability(training[name], test[name]),
            "missing_trained": float(training[name].isna().mean()),
            "missing_change": missing_rate_change(training[name], scored[name]),
            "missing_since_test": missing_rate_change(test[name], scored[name]),
        }
        for name in training.columns
    ]
    table = pd.DataFrame(rows)
    since_test = table["population_stability"] - table["population_stability_at_test"]
    worst = np.maximum(since_test, table["missing_since_test"].abs())
    table["status"] = np.select([worst >= fail, worst >= warn], ["fail", "warn"], "ok")
    return table.drop(columns="missing_since_test").sort_values(
        ["population_stability", "feature"], ascending=[False, True], ignore_index=True
    )


def age_band(birth_year: pd.Series, year: int) -> pd.Series:
    """Return age bands as text, such as `25-34`; missing if the birth year is missing or implausible."""
    age = year - birth_year.astype(float)
    names = [f"{low}-{high - 1}" for low, high in pairwise(AGE_BANDS)]
    names[0], names[-1] = f"under {AGE_BANDS[1]}", f"{AGE_BANDS[-2]} and over"
    return pd.cut(age.where(age.between(0, 120)), AGE_BANDS, right=False, labels=names).astype(object)


def fairness(scored: pd.DataFrame, attributes: Iterable[str], resamples: int = 200) -> pd.DataFrame:
    """Compute the same metrics for each group of customers, with sizes and intervals.

    scored: churn_probability, churned (0 or 1, missing if not mature), and the attributes as columns. One row for each
    attribute and group, largest first: attribute, group, customers, labelled, mean_probability, base_rate,
    calibration_gap (mean probability minus base rate) and roc_auc, both with 95% bootstrap intervals (_low, _high).
    Customers without a value form the group `unknown`. An attribute that is missing for everyone is left out. A group
    with fewer than MIN_GROUP labels, or with one class, has no metrics.
    """
    rows = []
    for attribute in attributes:
        if attribute not in scored or scored[attribute].isna().all():
            continue
        groups = scored[attribute].astype(object).where(scored[attribute].notna(), "unknown").astype(str)
        for group, part in scored.groupby(groups):
            known = part[part["churned"].notna()]
            row = {
                "attribute": attribute,
                "group": group,
                "customers": len(part),
                "labelled": len(known),
                "mean_probability": float(part["churn_probability"].mean()),
            }
            if len(known) >= MIN_GROUP and known["churned"].nunique() == 2:
                y, p = known["churned"].to_numpy(float), known["churn_probability"].to_numpy(float)
                auc = metric_interval(y, p, fast_auc, resamples)
                gap = metric_interval(y, p, _calibration_gap, resamples)
                row |= {
                    "base_rate": float(y.mean()),
                    "calibration_gap": gap.value,
                    "calibration_gap_low": gap.low,
                    "calibration_gap_high": gap.high,
                    "roc_auc": auc.value,
                    "roc_auc_low": auc.low,
                    "roc_auc_high": auc.high,
                }
            rows.append(row)
    columns = [
        "attribute",
        "group",
        "customers",
        "labelled",
        "mean_probability",
        "base_rate",
        "calibration_gap",
        "calibration_gap_low",
        "calibration_gap_high",
        "roc_auc",
        "roc_auc_low",
        "roc_auc_high",
    ]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["attribute", "customers", "group"], ascending=[True, False, True], ignore_index=True
    )


def _calibration_gap(labels: NDArray[np.float64], probabilities: NDArray[np.float64]) -> float:
    return float(probabilities.mean() - labels.mean())
