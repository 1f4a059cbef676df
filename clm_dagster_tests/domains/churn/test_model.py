"""The contest as a whole, on a simulated shop: honest, repeatable, and clear about bad input."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.candidates import Candidate, candidates, rebalanced
from clm_dagster.domains.churn.diagnostics import importance, learning_curve
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.features import FEATURES, by_snapshot, derive
from clm_dagster.domains.churn.leaks import leaky_columns
from clm_dagster.domains.churn.model import snapshot_level
from clm_dagster.domains.churn.plan import prepare
from clm_dagster.statistics.evaluation import EvaluationError, EvaluationPlan, evaluation_plan
from clm_dagster_tests.domains.churn.conftest import FIRST_DAY, SETTINGS, TEST

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]
QUICK = ("recency", "bgnbd", "logistic", "tree")


def entries(*names: str) -> list[Candidate]:
    return [entry for entry in candidates() if entry.name in names]


def hold(simulated: Simulated, *names: str, **changes: object) -> EvaluationResult:
    features, labels, plan = simulated
    return evaluate_candidates(
        features, labels, plan, replace(SETTINGS, **changes), entries(*(names or QUICK))
    )


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> EvaluationResult:
    return hold(simulated)


def snapshot(simulated: Simulated, day: date) -> pd.DataFrame:
    features = simulated[0]
    return by_snapshot(features, SETTINGS.active_days)[day]


def test_every_contestant_runs(simulated: Simulated) -> None:
    held = hold(simulated, *(entry.name for entry in candidates()))
    assert set(held.results) == {entry.name for entry in candidates()} | {
        "blend", "blend_logistic_bgnbd", "blend_boosting_bgnbd", "blend_logistic_boosting",
    }  # fmt: skip
    table = held.table
    assert table.notna().all(axis=None) and (table.test_roc_auc > 0.55).all()
    best = table[table.exact].iloc[0]
    assert held.winner == best.contestant and held.results[held.winner].exact
    said = held.test_probabilities.drop(columns=["customer_id", "churned"])
    assert said.min(axis=None) > 0 and said.max(axis=None) < 1
    assert np.allclose(said.mean(), held.level.rate)  # all are at the forecast level


def test_the_same_input_gives_the_same_numbers_in_any_order_of_rows(
    simulated: Simulated, result: EvaluationResult
) -> None:
    features, labels, plan = simulated
    shuffled = features.sample(frac=1, random_state=3), labels.sample(frac=1, random_state=4), plan
    again = hold(shuffled)
    assert again.winner == result.winner and again.level == result.level
    pd.testing.assert_frame_equal(again.test_probabilities, result.test_probabilities)
    pd.testing.assert_frame_equal(again.table.drop(columns="seconds"), result.table.drop(columns="seconds"))


def test_labels_of_the_test_snapshot_only_judge(simulated: Simulated, result: EvaluationResult) -> None:
    features, labels, plan = simulated
    turned = labels.assign(
        churned=labels.churned.where(labels.as_of != pd.Timestamp(TEST), 1 - labels.churned)
    )
    held = hold((features, turned, plan))
    said = [r.test_probabilities.drop(columns="churned") for r in (held, result)]
    pd.testing.assert_frame_equal(*said)
    auc = result.results["bgnbd"].test["roc_auc"]
    assert held.results["bgnbd"].test["roc_auc"] == pytest.approx(1 - auc)
    assert not held.verdict(SETTINGS).accepted


def test_nothing_after_the_test_as_of_is_looked_at(simulated: Simulated, result: EvaluationResult) -> None:
    _, labels, plan = simulated
    known = labels[labels.as_of.dt.date.isin([*plan.history, TEST])]
    assert max(plan.history) + timedelta(days=SETTINGS.horizon_days) <= TEST
    assert max(plan.snapshots) == TEST
    later = labels.assign(
        churned=labels.churned.where(
            labels.as_of.dt.date.isin(known.as_of.dt.date.unique()), 1 - labels.churned
        )
    )
    held = hold((simulated[0], later, plan))
    pd.testing.assert_frame_equal(held.test_probabilities, result.test_probabilities)


def test_the_winner_scores_a_snapshot_as_it_did_in_the_test(
    simulated: Simulated, result: EvaluationResult
) -> None:
    frame = snapshot(simulated, TEST)
    scores = result.model.scores(frame, result.level.rate)
    assert list(scores.customer_id) == list(result.test_probabilities.customer_id)
    np.testing.assert_allclose(scores.churn_probability, result.test_probabilities[result.winner], atol=1e-12)
    assert (scores.predicted_churn == (scores.churn_probability >= result.model.threshold)).all()
    # At the test's own pace and level, one customer alone gets the same.
    one = result.model.probabilities(frame.iloc[[7]])
    assert one[0] == pytest.approx(scores.churn_probability[7], abs=1e-9)
    level = snapshot_level(simulated[0], simulated[1], TEST, 60)
    assert level.rate == pytest.approx(result.level.rate, abs=0.05)


# ------------------------------------------------------------------------------------------- leaks


def test_a_label_of_the_same_snapshot_is_refused(simulated: Simulated) -> None:
    features, labels, plan = simulated
    recency = features.set_index(["as_of", "customer_id"]).recency_days
    own = labels.assign(churned=(recency.reindex(pd.MultiIndex.from_frame(labels[["as_of", "customer_id"]])) > 60)
                        .astype(int).to_numpy())  # fmt: skip
    held = hold((features, own, plan))
    verdict = held.verdict(SETTINGS)
    assert not verdict.accepted
    assert "recency_days alone ranks the labels with an AUC of 1.000" in str(verdict)
    # The column itself is not among the model's features: it is seen all the same.
    others = tuple(name for name in FEATURES if "recency" not in name and name not in ("overdue", "rhythm"))
    assert not hold((features, own, plan), "tree", features=others).verdict(SETTINGS).accepted


def test_the_first_to_last_span_is_refused_with_it(simulated: Simulated) -> None:
    frame = snapshot(simulated, TEST)
    label = (frame.recency_days > 60).to_numpy(float)
    span = pd.DataFrame({"left": frame.tenure_days - (frame.tenure_days - frame.recency_days), "noise": 1.0})
    assert len(leaky_columns(span, label, 0.97)) == 1
    honest = frame.drop(columns=["recency_days"]).assign(span=frame.tenure_days - frame.recency_days)
    assert leaky_columns(honest[["tenure_days", "span"]], label, 0.97) == ()  # each alone tells little


def test_a_column_that_is_missing_where_the_label_is_one_is_a_leak() -> None:
    y = np.array([0.0, 1.0] * 50)
    frame = pd.DataFrame({"next_order": np.where(y == 1, np.nan, 5.0)})
    assert "next_order being missing alone ranks the labels" in leaky_columns(frame, y, 0.97)[0]


# --------------------------------------------------------------------------------------- bad input


def test_what_makes_a_contest_impossible_is_said(simulated: Simulated) -> None:
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
        (features, labels.assign(horizon_days=30), "the labels are of 30 days, the contest of 60"),
        (pd.concat([features, features.head(2)]), labels, "the features have 2 rows twice"),
    ]
    for given, labelled, message in cases:
        with pytest.raises(EvaluationError, match=message):
            hold((given, labelled, plan))


def test_a_feature_left_out_is_not_missed(simulated: Simulated) -> None:
    features, labels, plan = simulated
    kept = tuple(name for name in FEATURES if name not in ("sd_gap_days", "overdue"))
    held = hold((features.assign(sd_gap_days=np.nan), labels, plan), features=kept)
    assert set(held.model.columns) == set(kept)


def test_no_mature_snapshot_is_said() -> None:
    with pytest.raises(
        EvaluationError, match="no contest with test as_of 2023-04-01: 0 mature training snapshots"
    ):
        evaluation_plan(date(2023, 4, 1), FIRST_DAY, SETTINGS)


# ------------------------------------------------------------------------------------------- parts


def test_rebalancing_gives_every_snapshot_the_same_rate() -> None:
    rng = np.random.default_rng(0)
    snapshots = np.repeat([0, 1, 2], 4000)
    y = (rng.random(12000) < np.array([0.3, 0.5, 0.7])[snapshots]).astype(float)
    for how in ("weights", "over", "under"):
        rows, weights = rebalanced(y, snapshots, how)  # type: ignore[arg-type]
        w = np.ones(len(rows)) if weights is None else weights
        rates = [
            np.average(y[rows][snapshots[rows] == s], weights=w[snapshots[rows] == s]) for s in (0, 1, 2)
        ]
        np.testing.assert_allclose(rates, y.mean(), atol=0.02)
        assert {"over": len(rows) > len(y), "under": len(rows) < len(y)}.get(how, len(rows) == len(y))


def test_derived_columns_by_hand(simulated: Simulated) -> None:
    frame = snapshot(simulated, TEST)
    x = derive(frame, hold(simulated, "recency").model.pace, 60)
    several = frame.order_days > 2
    assert (x.recency_by_gap[several] == frame.recency_days[several] / frame.mean_gap_days[several]).all()
    assert x.overdue[frame.order_days < 3].isna().all()
    assert (x.order_rate > 0).all() and (x.order_rate <= 1).all()
    assert x.rhythm.notna().all() and set(x.country) == {"DE", "FR"}


def test_importance_and_learning_curve(simulated: Simulated) -> None:
    features, labels, plan = simulated
    given = prepare(features, labels, plan, SETTINGS)
    (entry,) = entries("frequency_recency")
    day = plan.split.training[-1]
    model = hold(simulated, "frequency_recency", "recency").fitted["frequency_recency"]
    table = importance(model, given.x[day], given.y[day], repeats=5).set_index("feature")
    assert set(table.index[:2]) == {"recency_days", "order_days"} and (table.low[:2] > 0).all()
    assert (table.importance[2:] == 0).all()  # the model does not look at them
    curve = learning_curve(entry, {}, given, plan.split)
    assert curve.snapshots.to_list() == list(range(1, len(plan.split.fit) + 1))
    assert curve.rows.is_monotonic_increasing and curve.roc_auc.between(0.5, 1).all()
