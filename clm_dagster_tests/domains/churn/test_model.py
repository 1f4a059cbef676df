"""The churn evaluation as a whole, on a simulated shop: no leaks, reproducible, clear about bad input."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.candidates import Candidate, Rebalance, candidates, rebalance_rows
from clm_dagster.domains.churn.diagnostics import importance, learning_curve
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.feature_names import FEATURES
from clm_dagster.domains.churn.features import by_snapshot, derive
from clm_dagster.domains.churn.leaks import leaky_columns
from clm_dagster.domains.churn.model import forecast_base_rate
from clm_dagster.domains.churn.plan import prepare
from clm_dagster.statistics.evaluation import EvaluationError, EvaluationPlan, evaluation_plan
from clm_dagster_tests.domains.churn.shop import FIRST_DAY, SETTINGS, TEST

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]
QUICK = ("recency", "bgnbd", "logistic", "tree")


def chosen(*names: str) -> list[Candidate]:
    return [candidate for candidate in candidates() if candidate.name in names]


def evaluate(simulated: Simulated, *names: str, columns: tuple[str, ...] = FEATURES) -> EvaluationResult:
    features, labels, plan = simulated
    return evaluate_candidates(
        features, labels, plan, replace(SETTINGS, features=columns), chosen(*(names or QUICK))
    )


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> EvaluationResult:
    return evaluate(simulated)


def snapshot(simulated: Simulated, day: date) -> pd.DataFrame:
    features = simulated[0]
    return by_snapshot(features, SETTINGS.active_days)[day]


def test_every_candidate_runs(simulated: Simulated) -> None:
    evaluated = evaluate(simulated, *(candidate.name for candidate in candidates()))
    assert set(evaluated.results) == {candidate.name for candidate in candidates()} | {
        "blend",
        "blend_logistic_bgnbd",
        "blend_boosting_bgnbd",
        "blend_logistic_boosting",
    }
    table = evaluated.table
    assert table.notna().all(axis=None) and (table.test_roc_auc > 0.55).all()
    best = table[table.exact].iloc[0]
    assert evaluated.winner == best.candidate and evaluated.results[evaluated.winner].exact
    probabilities = evaluated.test_probabilities.drop(columns=["customer_id", "churned"])
    assert ((probabilities > 0) & (probabilities < 1)).all(axis=None)
    assert np.allclose(probabilities.mean(), evaluated.base_rate.rate)  # all are at the forecast base rate


def test_the_same_input_gives_the_same_numbers_in_any_order_of_rows(
    simulated: Simulated, result: EvaluationResult
) -> None:
    features, labels, plan = simulated
    shuffled = features.sample(frac=1, random_state=3), labels.sample(frac=1, random_state=4), plan
    again = evaluate(shuffled)
    assert again.winner == result.winner and again.base_rate == result.base_rate
    pd.testing.assert_frame_equal(again.test_probabilities, result.test_probabilities)
    pd.testing.assert_frame_equal(again.table.drop(columns="seconds"), result.table.drop(columns="seconds"))


def test_labels_of_the_test_snapshot_affect_metrics_only(
    simulated: Simulated, result: EvaluationResult
) -> None:
    features, labels, plan = simulated
    turned = labels.assign(
        churned=labels.churned.where(labels.as_of != pd.Timestamp(TEST), 1 - labels.churned)
    )
    evaluated = evaluate((features, turned, plan))
    both = [r.test_probabilities.drop(columns="churned") for r in (evaluated, result)]
    pd.testing.assert_frame_equal(both[0], both[1])
    auc = result.results["bgnbd"].test["roc_auc"]
    assert evaluated.results["bgnbd"].test["roc_auc"] == pytest.approx(1 - auc)
    assert not evaluated.verdict(SETTINGS).accepted


def test_nothing_after_the_test_as_of_is_used(simulated: Simulated, result: EvaluationResult) -> None:
    _, labels, plan = simulated
    known = labels[labels.as_of.dt.date.isin([*plan.history, TEST])]
    assert max(plan.history) + timedelta(days=SETTINGS.horizon_days) <= TEST
    assert max(plan.snapshots) == TEST
    later = labels.assign(
        churned=labels.churned.where(
            labels.as_of.dt.date.isin(known.as_of.dt.date.unique()), 1 - labels.churned
        )
    )
    evaluated = evaluate((simulated[0], later, plan))
    pd.testing.assert_frame_equal(evaluated.test_probabilities, result.test_probabilities)


def test_the_winner_scores_a_snapshot_as_it_did_in_the_test(
    simulated: Simulated, result: EvaluationResult
) -> None:
    frame = snapshot(simulated, TEST)
    scores = result.model.scores(frame, result.base_rate.rate)
    assert list(scores.customer_id) == list(result.test_probabilities.customer_id)
    np.testing.assert_allclose(scores.churn_probability, result.test_probabilities[result.winner], atol=1e-12)
    assert (scores.predicted_churn == (scores.churn_probability >= result.model.threshold)).all()
    # With the purchase model and base rate of the test, a single customer gets the same probability.
    one = result.model.probabilities(frame.iloc[[7]])
    assert one[0] == pytest.approx(scores.churn_probability[7], abs=1e-9)
    base_rate = forecast_base_rate(simulated[0], simulated[1], TEST, 60)
    assert base_rate.rate == pytest.approx(result.base_rate.rate, abs=0.05)


# ------------------------------------------------------------------------------------------- leaks


def test_a_label_of_the_same_snapshot_is_rejected(simulated: Simulated) -> None:
    features, labels, plan = simulated
    recency = features.set_index(["as_of", "customer_id"]).recency_days
    at = pd.MultiIndex.from_frame(labels[["as_of", "customer_id"]])
    own = labels.assign(churned=(recency.reindex(at) > 60).astype(int).to_numpy())
    evaluated = evaluate((features, own, plan))
    verdict = evaluated.verdict(SETTINGS)
    assert not verdict.accepted
    assert "recency_days alone ranks the labels with an AUC of 1.000" in str(verdict)
    # The column is not among the model's features, and is still reported.
    others = tuple(
        name for name in FEATURES if "recency" not in name and name not in ("overdue", "no_purchase_log_odds")
    )
    assert not evaluate((features, own, plan), "tree", columns=others).verdict(SETTINGS).accepted


def test_the_span_from_first_to_last_order_is_rejected_as_well(simulated: Simulated) -> None:
    frame = snapshot(simulated, TEST)
    label = (frame.recency_days > 60).to_numpy().astype(float)
    span = pd.DataFrame({"left": frame.tenure_days - (frame.tenure_days - frame.recency_days), "noise": 1.0})
    assert len(leaky_columns(span, label, 0.97)) == 1
    without_recency = frame.drop(columns=["recency_days"]).assign(span=frame.tenure_days - frame.recency_days)
    assert (
        leaky_columns(without_recency[["tenure_days", "span"]], label, 0.97) == ()
    )  # neither alone ranks the labels


def test_a_column_that_is_missing_where_the_label_is_one_is_a_leak() -> None:
    y = np.array([0.0, 1.0] * 50)
    frame = pd.DataFrame({"next_order": np.where(y == 1, np.nan, 5.0)})
    assert "next_order being missing alone ranks the labels" in leaky_columns(frame, y, 0.97)[0]


# --------------------------------------------------------------------------------------- bad input


def test_the_error_says_why_no_evaluation_is_possible(simulated: Simulated) -> None:
    features, labels, plan = simulated
    train = pd.Timestamp(plan.split.training[0])
    cases = [
        (
            features[features.as_of != train],
            labels,
            rf"no features at as_of {train:%Y-%m-%d}: build core.customer_",
        ),
        (
            features,
            labels[labels.as_of != train],
            rf"no labels at as_of {train:%Y-%m-%d}: they are mature once",
        ),
        (features, labels.drop(labels.index[labels.as_of == train][:3]), "3 of .* customers have no label"),
        (features, labels.assign(churned=1), "all .* customers have churned = 1, a single class"),
        (features.groupby("as_of").head(90), labels, "customers ordered before it, 100 are needed"),
        (features.drop(columns="units"), labels, "the features lack units; they are columns of core"),
        (features.assign(sd_gap_days=np.nan), labels, "sd_gap_days.* missing for all .* leave them out"),
        (
            features,
            labels.assign(horizon_days=30),
            "labels have a horizon of 30 days, the evaluation one of 60",
        ),
        (pd.concat([features, features.head(2)]), labels, "the features have 2 rows twice"),
    ]
    for given, labelled, message in cases:
        with pytest.raises(EvaluationError, match=message):
            evaluate((given, labelled, plan))


def test_a_feature_that_is_not_selected_may_be_missing(simulated: Simulated) -> None:
    features, labels, plan = simulated
    kept = tuple(name for name in FEATURES if name not in ("sd_gap_days", "overdue"))
    evaluated = evaluate((features.assign(sd_gap_days=np.nan), labels, plan), columns=kept)
    assert set(evaluated.model.columns) == set(kept)


def test_the_error_says_that_no_snapshot_is_mature() -> None:
    with pytest.raises(
        EvaluationError, match="no evaluation with test as_of 2023-04-01: 0 mature training snapshots"
    ):
        evaluation_plan(date(2023, 4, 1), FIRST_DAY, SETTINGS)


# ------------------------------------------------------------------------------------------- parts


def test_rebalancing_gives_every_snapshot_the_same_rate() -> None:
    rng = np.random.default_rng(0)
    snapshots = np.repeat([0, 1, 2], 4000)
    y = (rng.random(12000) < np.array([0.3, 0.5, 0.7])[snapshots]).astype(float)
    methods: tuple[Rebalance, ...] = ("weights", "over", "under")
    for how in methods:
        rows, weights = rebalance_rows(y, snapshots, how)
        w = np.ones(len(rows)) if weights is None else weights
        rates = [
            np.average(y[rows][snapshots[rows] == s], weights=w[snapshots[rows] == s]) for s in (0, 1, 2)
        ]
        np.testing.assert_allclose(rates, y.mean(), atol=0.02)
        assert {"over": len(rows) > len(y), "under": len(rows) < len(y)}.get(how, len(rows) == len(y))


def test_derived_columns_by_hand(simulated: Simulated) -> None:
    frame = snapshot(simulated, TEST)
    x = derive(frame, evaluate(simulated, "recency").model.purchase_model, 60)
    several = frame.order_days > 2
    assert (x.recency_by_gap[several] == frame.recency_days[several] / frame.mean_gap_days[several]).all()
    assert x.overdue[frame.order_days < 3].isna().all()
    assert (x.order_rate > 0).all() and (x.order_rate <= 1).all()
    assert x.no_purchase_log_odds.notna().all() and set(x.country) == {"DE", "FR"}


def test_importance_and_learning_curve(simulated: Simulated) -> None:
    features, labels, plan = simulated
    inputs = prepare(features, labels, plan, SETTINGS)
    (candidate,) = chosen("frequency_recency")
    day = plan.split.training[-1]
    model = evaluate(simulated, "frequency_recency", "recency").fitted["frequency_recency"]
    table = importance(model, inputs.x[day], inputs.y[day], repeats=5).set_index("feature")
    assert set(table.index[:2]) == {"recency_days", "order_days"} and (table.low[:2] > 0).all()
    assert (table.importance[2:] == 0).all()  # the model does not use them
    curve = learning_curve(candidate, {}, inputs, plan.split)
    assert curve.snapshots.to_list() == list(range(1, len(plan.split.fit) + 1))
    assert curve.rows.is_monotonic_increasing and curve.roc_auc.between(0.5, 1).all()
