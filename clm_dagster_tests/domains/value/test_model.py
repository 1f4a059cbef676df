"""The value evaluation as a whole, on a simulated shop: no leaks, reproducible, clear about bad input."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.value.candidates import BLENDS, LIGHTGBM, Candidate, candidates
from clm_dagster.domains.value.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.value.model import SnapshotLevel, ValueModel, snapshot_level
from clm_dagster.domains.value.tiers import TIERS
from clm_dagster.statistics.evaluation import EvaluationError, evaluation_plan
from clm_dagster_tests.domains.churn.shop import Shop
from clm_dagster_tests.domains.value.shop import (
    FIRST_DAY,
    SETTINGS,
    TEST,
    Simulated,
    evaluation_of,
    spending_purchases,
)

QUICK = ("past_rate", "btyd", "boosting_sqrt", "ridge_sqrt")


def chosen(*names: str) -> list[Candidate]:
    return [candidate for candidate in candidates() if candidate.name in names]


def evaluate(simulated: Simulated, *names: str) -> EvaluationResult:
    features, labels, plan = simulated
    return evaluate_candidates(features, labels, plan, SETTINGS, chosen(*(names or QUICK)))


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> EvaluationResult:
    return evaluate(simulated)


def snapshot(simulated: Simulated, day: date = TEST) -> pd.DataFrame:
    return simulated[0][simulated[0].as_of == pd.Timestamp(day)]


def test_every_candidate_runs(simulated: Simulated) -> None:
    evaluated = evaluate(simulated, *(candidate.name for candidate in candidates()))
    assert set(evaluated.results) == {candidate.name for candidate in candidates()} | {
        name for name, members in BLENDS.items() if LIGHTGBM not in members
    }
    table = evaluated.table
    assert table.notna().all(axis=None) and (table.test_spearman > 0.2).all()
    amounts = evaluated.amounts.drop(columns=["customer_id", "net_revenue"])
    assert (amounts >= 0).all(axis=None) and np.isfinite(amounts).all(axis=None)
    best = evaluated.results[evaluated.winner]
    assert best.test["mae"] < evaluated.results["past_rate"].test["mae"]
    assert best.mae_over["past_rate"].value < 0 and abs(best.test["bias"]) < 0.2
    assert evaluated.amounts.customer_id.nunique() == (snapshot(simulated).order_days > 0).sum()
    assert evaluated.deciles.cumulative_share.iloc[-1] == pytest.approx(1)


def test_the_same_input_gives_the_same_numbers_in_any_order_of_rows(
    simulated: Simulated, result: EvaluationResult
) -> None:
    features, labels, plan = simulated
    again = evaluate((features.sample(frac=1, random_state=3), labels.sample(frac=1, random_state=4), plan))
    assert again.winner == result.winner and again.level == result.level
    pd.testing.assert_frame_equal(again.amounts, result.amounts)
    pd.testing.assert_frame_equal(again.table.drop(columns="seconds"), result.table.drop(columns="seconds"))


def test_labels_of_the_test_snapshot_affect_metrics_only(
    simulated: Simulated, result: EvaluationResult
) -> None:
    features, labels, plan = simulated
    at_test = labels.as_of == pd.Timestamp(TEST)
    turned = labels.copy()
    turned.loc[at_test, "net_revenue"] = labels.loc[at_test, "net_revenue"].to_numpy()[::-1]
    evaluated = evaluate((features, turned, plan))
    pd.testing.assert_frame_equal(
        evaluated.amounts.drop(columns="net_revenue"), result.amounts.drop(columns="net_revenue")
    )
    assert evaluated.results["btyd"].test["spearman"] < 0.15 < result.results["btyd"].test["spearman"]


def test_nothing_after_the_test_as_of_is_used(simulated: Simulated, result: EvaluationResult) -> None:
    features, labels, plan = simulated
    assert max(plan.history) + timedelta(days=SETTINGS.horizon_days) <= TEST == max(plan.snapshots)
    immature = labels.as_of + pd.Timedelta(days=SETTINGS.horizon_days) > pd.Timestamp(TEST)
    later = labels.assign(
        net_revenue=labels.net_revenue.where(~immature | (labels.as_of == pd.Timestamp(TEST)), 1000)
    )
    assert (later.net_revenue != labels.net_revenue).any()
    pd.testing.assert_frame_equal(evaluate((features, later, plan)).amounts, result.amounts)


def test_the_winner_scores_a_snapshot_as_it_did_in_the_test(
    simulated: Simulated, result: EvaluationResult
) -> None:
    scores = result.model.scores(snapshot(simulated))
    assert list(scores.customer_id) == list(result.amounts.customer_id)
    np.testing.assert_allclose(scores.expected_revenue, result.amounts[result.winner], rtol=1e-9)
    # With the purchase model and level of the test, a single customer gets the same amount.
    one = result.model.amounts(snapshot(simulated).set_index("customer_id").loc[["c0007"]].reset_index())
    assert one[0] == pytest.approx(scores.set_index("customer_id").expected_revenue["c0007"], rel=1e-9)
    level, found = snapshot_level(*simulated[:2], TEST, result.model.cap, SETTINGS)
    assert level.revenue == pytest.approx(result.level.factor) and found.method == result.level.method
    assert level.orders == pytest.approx(result.order_level.factor)


def test_scores_are_complete(simulated: Simulated, result: EvaluationResult) -> None:
    frame = snapshot(simulated)
    scores = result.model.scores(frame, SnapshotLevel(1.3, 1.2))
    assert len(scores) == (frame.order_days > 0).sum() and scores.notna().all(axis=None)
    once = frame.customer_id[frame.order_days == 1]
    assert set(once) <= set(scores.customer_id) and len(once) > 20
    assert (scores.expected_revenue > 0).all() and (scores.revenue_low >= 0).all()
    assert (scores.revenue_low <= scores.revenue_high).all()
    assert scores.probability_of_no_order.between(0, 1).all() and set(scores.value_tier) <= set(TIERS)
    lower = result.model.scores(frame, SnapshotLevel(1.0, 1.0))
    assert (scores.expected_revenue > lower.expected_revenue).all()
    np.testing.assert_allclose(scores.expected_orders, 1.2 * lower.expected_orders)
    assert (scores.probability_of_no_order <= lower.probability_of_no_order).all()


def test_a_model_is_json_and_estimators(simulated: Simulated, result: EvaluationResult) -> None:
    for model in (result.model, evaluate(simulated, "btyd", "boosting_sqrt", "two_part", "mlp").model):
        state = json.loads(json.dumps(model.state()))
        again = ValueModel.from_parts(state, model.estimators())
        pd.testing.assert_frame_equal(again.scores(snapshot(simulated)), model.scores(snapshot(simulated)))
        assert all(type(part).__module__.startswith("sklearn.") for part in model.estimators().values())


def test_the_verdict_says_why(result: EvaluationResult) -> None:
    assert result.verdict().accepted
    backfill = result.verdict(is_newest=False)
    assert not backfill.accepted and "a backfill never changes the champion" in str(backfill)
    better = result.verdict(champion_amounts=result.amounts.net_revenue.to_numpy())
    assert not better.accepted and "minus that of the current champion" in str(better)


def test_a_shop_whose_customers_mostly_buy_nothing_has_a_champion() -> None:
    """Within 20 days, 15% of the customers buy. Most intervals are 0 to 0, and cover more than 80%, rightly."""
    settings = replace(SETTINGS, horizon_days=20)
    shop = Shop.load(spending_purchases(customers=1500), FIRST_DAY, FIRST_DAY + timedelta(days=500), 20)
    evaluated = evaluate_candidates(*evaluation_of(shop, TEST, FIRST_DAY, settings), settings, chosen("btyd"))
    coverage = evaluated.coverage
    assert (evaluated.amounts.net_revenue > 0).mean() < 0.2
    assert coverage.overall > 0.85 and coverage.flat is not None and coverage.flat > 0.85
    assert coverage.wide == pytest.approx(0.8, abs=0.05) and coverage.holds
    assert "customers with the interval 0 to 0 spent nothing" in str(evaluated.verdict())


# --------------------------------------------------------------------------------------- outliers


def test_one_huge_order_does_not_affect_other_customers(
    simulated: Simulated, result: EvaluationResult
) -> None:
    """A customer of the fit part orders for 80,000 once: before every later snapshot, and in labels before."""
    features, labels, plan = simulated
    who, amount, day = "c0010", 80_000.0, pd.Timestamp(plan.split.fit[-1]) + pd.Timedelta(days=20)
    money = ["net_revenue", "net_revenue_180d", "net_revenue_365d", "gross_revenue", "average_order_value"]
    f, y = features.astype(dict.fromkeys(money, float)), labels.astype({"net_revenue": float})
    f.loc[(f.customer_id == who) & (f.as_of > day), money] += amount
    inside = (y.as_of <= day) & (y.as_of + pd.Timedelta(days=SETTINGS.horizon_days) > day)
    y.loc[(y.customer_id == who) & inside, "net_revenue"] += amount
    evaluated = evaluate_candidates(f, y, plan, SETTINGS, chosen(*QUICK))
    assert evaluated.winner == result.winner
    before, after = (
        r.amounts.set_index("customer_id")[result.winner].drop(who, errors="ignore")
        for r in (result, evaluated)
    )
    assert abs(after.sum() / before.sum() - 1) < 0.05
    # Uncapped, this order exceeds the spend of all customers of a snapshot.
    assert amount > 1.5 * result.amounts.net_revenue.sum()
    assert (after / before - 1).abs().median() < 0.1


# --------------------------------------------------------------------------------------- bad input


def test_the_error_says_why_no_evaluation_is_possible(simulated: Simulated) -> None:
    features, labels, plan = simulated
    train = pd.Timestamp(plan.split.training[0])
    once = features.assign(order_days=1, recency_days=features.tenure_days)
    cases = [
        (
            features[features.as_of != train],
            labels,
            rf"no features at as_of {train:%Y-%m-%d}: build core.cust",
        ),
        (features, labels[labels.as_of != train], rf"as_of {train:%Y-%m-%d}: not all of its .* have a label"),
        (features, labels.drop(labels.index[labels.as_of == train][:3]), "not all of its .* have a label"),
        (features, labels.assign(net_revenue=0), "is 0.00, so a model cannot be trained"),
        (features, labels.assign(net_revenue=-5), "is -.*, so a model cannot be trained"),
        (features.groupby("as_of").head(90), labels, "customers ordered before it, 100 are needed"),
        (features.groupby("as_of").head(1), labels, "customers ordered before it, 100 are needed"),
        (features.drop(columns="units"), labels, "the features lack units; they are columns of core"),
        (
            features,
            labels.assign(horizon_days=30),
            "labels have a horizon of 30 days, the evaluation one of 60",
        ),
        (pd.concat([features, features.head(2)]), labels, "the features have 2 rows twice"),
        (once, labels, "no expectation of its .* customers: none of .* bought twice"),
        (features.assign(net_revenue=-1), labels, "no expectation of its .* customers"),
    ]
    for given, labelled, message in cases:
        with pytest.raises(EvaluationError, match=message):
            evaluate((given, labelled, plan))
    with pytest.raises(
        EvaluationError, match="no evaluation with test as_of 2023-04-01: 0 mature training snap"
    ):
        evaluation_plan(date(2023, 4, 1), FIRST_DAY, SETTINGS)


def test_too_few_customers_are_scored_with_the_purchase_model_of_the_test(
    simulated: Simulated, result: EvaluationResult
) -> None:
    frame = snapshot(simulated)
    known = frame[frame.order_days > 0]
    alone = known[known.order_days > 2].head(1)
    nobody_back = known[known.order_days == 1]
    returned = known.head(3).assign(net_revenue=-10, net_revenue_365d=-10, net_revenue_90d=-10)
    for some in (alone, nobody_back, returned):
        scores = result.model.scores(some)
        assert len(scores) == len(some) and scores.notna().all(axis=None)
        assert (scores.expected_revenue >= 0).all() and (scores.revenue_low >= 0).all()
    # Customers who returned more than they bought keep a negative past revenue and have an expectation near 0.
    assert (result.model.scores(returned).past_revenue == -10).all()
    with pytest.raises(EvaluationError, match="one as_of is scored at a time, found 0"):
        result.model.scores(frame[frame.order_days == 0].head(0))
    with pytest.raises(EvaluationError, match="no customers to score at as_of 2030-01-01"):
        snapshot_level(simulated[0], simulated[1], date(2030, 1, 1), 100.0, SETTINGS)


def test_labels_of_another_horizon_are_rejected(simulated: Simulated) -> None:
    features, labels, plan = simulated
    with pytest.raises(EvaluationError, match="labels have a horizon of 60 days, the evaluation one of 30"):
        evaluate_candidates(features, labels, plan, replace(SETTINGS, horizon_days=30), chosen("btyd"))
