"""The scorecard of churn scores and its baseline, recency alone, against scikit-learn."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.scorecards import AS_OF, LATER, TRAINED, graded, share_of_top

CARD, COUNT = "churn_scorecard", 43
TESTED = ("roc_auc", "brier", "log_loss", "calibration_error", "lift_at_10", "base_rate", "mean_probability")
ONLY_RANKS = ["roc_auc", "lift_at_10"]


def shop(ordering: int = 20) -> dict[str, pd.DataFrame]:
    """Scores of two snapshots; the first `ordering` customers order again after the first of them."""
    rng = np.random.default_rng(8)
    ids = [f"c{number:02d}" for number in range(COUNT)]
    scores = pd.DataFrame(
        {
            "customer_id": ids,
            "horizon_days": 90,
            "churn_probability": np.round(rng.beta(2, 2, COUNT), 1),
            "model_name": "models.churn_model",
            "model_version": "3",
            "model_as_of": TRAINED,
        }
    )
    # Weeks, so that many customers tie.
    features = pd.DataFrame({"customer_id": ids, "recency_days": 7 * rng.integers(1, 12, COUNT)})
    daily = pd.DataFrame(
        {
            "customer_id": [*ids[:ordering], ids[-1]],
            "activity_date": AS_OF.date() + timedelta(days=89),
            "orders": [*[1] * ordering, 0],  # a visit is no order
        }
    )
    model = {"as_of": TRAINED, "model_name": "models.churn_model", "model_version": "3"}
    return {
        "marts.churn_scores": pd.concat([scores.assign(as_of=at) for at in (AS_OF, LATER)]),
        "customer_features": pd.concat([features.assign(as_of=at) for at in (AS_OF, LATER)]),
        "customer_daily": daily,
        "models.churn_model": pd.DataFrame([model | {f"test_{name}": 0.5 for name in TESTED}]),
    }


def test_metrics_and_baseline_are_those_of_scikit_learn(connection: Connection, project: Project) -> None:
    given = shop()
    card = graded(connection, project, CARD, given)
    churned = np.array([0.0] * 20 + [1.0] * (COUNT - 20))
    scores, features = (
        given[name].query("as_of == @AS_OF") for name in ("marts.churn_scores", "customer_features")
    )
    p, days = scores["churn_probability"].to_numpy(), features["recency_days"].to_numpy()
    value = card["value"].to_dict()
    clipped = np.clip(p, 2.220446049250313e-16, 1 - 2.220446049250313e-16)
    expected = {"brier": brier_score_loss(churned, p), "log_loss": log_loss(churned, clipped)}
    expected |= {"base_rate": churned.mean(), "mean_probability": p.mean()}
    assert {name: value[name] for name in expected} == pytest.approx(expected)
    for found, ranking in ((card["value"], p), (card["baseline"], days)):
        lift = share_of_top(churned, ranking, 4) / 4 / churned.mean()
        assert found[ONLY_RANKS].to_dict() == pytest.approx(
            {"roc_auc": roc_auc_score(churned, ranking), "lift_at_10": lift}
        )
    assert card["baseline"].drop(ONLY_RANKS).isna().all()
    assert set(card["promised"]) == {0.5} and set(card["labelled"]) == {COUNT}
    assert set(card["weeks_since_training"]) == {9} and set(card["model"]) == {"churn"}


def test_a_snapshot_without_mature_labels_has_no_value(connection: Connection, project: Project) -> None:
    card = graded(connection, project, CARD, shop(), LATER)
    assert len(card) == len(TESTED) and card[["value", "baseline"]].isna().all(axis=None)
    assert set(card["labelled"]) == {0}


@pytest.mark.parametrize("ordering", [0, COUNT])
def test_one_class_has_no_ranking(connection: Connection, project: Project, ordering: int) -> None:
    card = graded(connection, project, CARD, shop(ordering))
    assert np.isnan(card["value"]["roc_auc"]) and np.isnan(card["baseline"]["roc_auc"])
    assert card["value"]["base_rate"] == (1.0 if ordering == 0 else 0.0)
