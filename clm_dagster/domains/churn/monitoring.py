"""Feature drift and fairness across customer groups.

Belongs here: pure comparisons, frames in and frames out. Does not belong here: threshold values (`settings`), checks
(`checks`), charts (`asset_charts`), grades of past scores (SQL: marts.churn_scorecard).
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.churn.feature_names import TOPIC_OF
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.names import ALL_FEATURES, MISSING, SCORE
from clm_dagster.domains.churn.score_drift import (
    level_gap,
    missing_effect,
    probabilities,
    sample,
    topic_effects,
)
from clm_dagster.statistics.evaluation import (
    fast_auc,
    metric_interval,
    missing_rate_change,
    population_stability,
)

MIN_GROUP = 30  # a smaller group gets a size but no metrics
AGE_BANDS = (0, 25, 35, 45, 55, 65, 200)


def feature_drift(
    model: ChurnModel, scored: pd.DataFrame, warn: float = 0.01, fail: float = 0.03
) -> pd.DataFrame:
    """Measure the drift of each feature since training, and its effect on scores.

    scored: the model's columns for the snapshot to score. One row for each feature, and two for all features
    together: the level of the scores (`SCORE`), and missing values (`MISSING`). The largest effect since the test comes
    first. Columns: feature, topic, population_stability, population_stability_at_test, missing_trained,
    missing_change, score_effect, score_effect_at_test, status (`ok`, `warn` or `fail`).

    A stability index says that a feature has moved, and some move in every shop: the customers of a young shop become
    older every week. The status therefore depends on how far scores move (`score_effect`, a probability) beyond how far
    they moved between training and test, where the model passed its gate. Features of a topic share their effect.
    """
    training, test, now = sample(model.background), sample(model.test_sample), sample(scored)
    effects, effects_at_test = topic_effects(model, test, now), topic_effects(model, training, test)
    table = pd.DataFrame(
        [
            {
                "feature": name,
                "topic": TOPIC_OF[name],
                **_movement(training[name], test[name], now[name]),
                "score_effect": effects[TOPIC_OF[name]],
                "score_effect_at_test": effects_at_test[TOPIC_OF[name]],
            }
            for name in model.columns
        ]
        + [_missing_values(model, training, test, now), *_level(model, training, test, now)]
    )
    since_test = table["score_effect"] - table["score_effect_at_test"]
    table["status"] = np.select([since_test >= fail, since_test >= warn], ["fail", "warn"], "ok")
    return (
        table.assign(since_test=since_test)
        .sort_values(
            ["since_test", "population_stability", "feature"],
            ascending=[False, False, True],
            ignore_index=True,
        )
        .drop(columns="since_test")
    )


def _movement(training: pd.Series, test: pd.Series, now: pd.Series) -> dict[str, float]:
    return {
        "population_stability": population_stability(training, now),
        "population_stability_at_test": population_stability(training, test),
        "missing_trained": float(training.isna().mean()),
        "missing_change": missing_rate_change(training, now),
    }


def _missing_values(
    model: ChurnModel, training: pd.DataFrame, test: pd.DataFrame, now: pd.DataFrame
) -> dict[str, object]:
    """Return the row for missing values: its index is that of the number of missing features of a customer."""
    counts = [part.isna().sum(axis=1).astype(float) for part in (training, test, now)]
    shares = [float(part.isna().to_numpy().mean()) for part in (training, now)]
    return {
        "feature": MISSING,
        "topic": ALL_FEATURES,
        **_movement(*counts),
        "missing_trained": shares[0],
        "missing_change": shares[1] - shares[0],
        "score_effect": missing_effect(model, test, now),
        "score_effect_at_test": missing_effect(model, training, test),
    }


def _level(
    model: ChurnModel, training: pd.DataFrame, test: pd.DataFrame, now: pd.DataFrame
) -> list[dict[str, object]]:
    """Return the row for the level of scores. There is none for a model without the purchase model."""
    trained, tested, scored = (level_gap(model, part) for part in (training, test, now))
    if trained is None or tested is None or scored is None:
        return []
    scores = (pd.Series(probabilities(model, part)) for part in (training, test, now))
    return [
        {
            "feature": SCORE,
            "topic": ALL_FEATURES,
            **_movement(*scores),
            "score_effect": abs(scored - tested),
            "score_effect_at_test": abs(tested - trained),
        }
    ]


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
