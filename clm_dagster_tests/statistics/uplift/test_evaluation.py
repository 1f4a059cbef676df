"""Uplift curves, Qini areas, policy values and the gate against loops, simulated truth and Hillstrom's experiment."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from clm_dagster.statistics.evaluation import Difference
from clm_dagster.statistics.uplift import (
    QiniInterval,
    UpliftError,
    doubly_robust_scores,
    policy_difference,
    policy_value,
    qini_area,
    qini_coefficient,
    qini_intervals,
    top_share,
    uplift_by_decile,
    uplift_curve,
    uplift_verdict,
    weighted_scores,
)
from clm_dagster_tests.benchmarks import uplift_hillstrom


def simulated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the true effect on visits, 0 to 0.4, the treatment and visits."""
    rng = np.random.default_rng(seed)
    effect = 0.4 * rng.random(n)
    t = (rng.random(n) < 0.5).astype(float)
    return effect, t, (rng.random(n) < 0.2 + t * effect).astype(float)


def area_by_loop(effect: np.ndarray, t: np.ndarray, y: np.ndarray) -> float:
    """Compute the area customer by customer, by the trapezoid rule; for effects without ties."""
    rows = sorted(range(len(y)), key=lambda row: -effect[row])
    gains, arms, sums = [0.0], [0, 0], [0.0, 0.0]
    for row in rows:
        arm = int(t[row])
        arms[arm] += 1
        sums[arm] += y[row]
        gains.append((sums[1] - sums[0] * arms[1] / arms[0]) / len(y) * 10_000 if arms[0] else 0.0)
    above = [gain - gains[-1] * place / len(y) for place, gain in enumerate(gains)]
    return sum((a + b) / 2 for a, b in pairwise(above)) / len(y)


def test_the_area_is_that_of_a_loop_over_customers() -> None:
    effect, t, y = simulated(500)
    assert qini_area(effect, t, y) == pytest.approx(area_by_loop(effect, t, y))
    assert qini_area(-effect, t, y) < 0 < qini_area(effect, t, y)
    curve = uplift_curve(effect, t, y)
    assert curve.share[[0, -1]].tolist() == [0, 1]
    total = y[t == 1].sum() - y[t == 0].sum() * t.sum() / (1 - t).sum()
    assert curve.gain[-1] == pytest.approx(total / 500 * 10_000)


def test_ties_share_and_the_order_of_rows_does_not_matter() -> None:
    effect, t, y = simulated(400)
    tied = effect.round(1)
    order = np.random.default_rng(1).permutation(400)
    assert qini_area(tied[order], t[order], y[order]) == pytest.approx(qini_area(tied, t, y))
    assert qini_area(np.ones(400), t, y) == pytest.approx(0)
    # The mean of many random orders of tied customers is close to what ties give.
    rng = np.random.default_rng(2)
    orders = [area_by_loop(tied + 1e-9 * rng.random(400), t, y) for _ in range(200)]
    assert qini_area(tied, t, y) == pytest.approx(np.mean(orders), abs=6)


def test_the_coefficient_is_one_for_the_best_ranking() -> None:
    # The persuadable respond only if treated; nobody else responds.
    t = np.tile([1.0, 0.0], 500)
    persuadable = np.repeat([1.0, 0.0], [200, 800])
    y = t * persuadable
    assert qini_coefficient(persuadable, t, y) == pytest.approx(1)
    assert qini_coefficient(-persuadable, t, y) == pytest.approx(-1)
    assert np.isnan(qini_coefficient(persuadable, t, 0 * y))
    with pytest.raises(UpliftError, match="outcomes of 0 and 1"):
        qini_coefficient(persuadable, t, 2 * y)


def test_intervals_hold_the_area_and_are_paired() -> None:
    effect, t, y = simulated(4_000)
    noisy = effect + np.random.default_rng(3).normal(0, 0.02, 4_000)
    found = qini_intervals({"true": effect, "noisy": noisy}, t, y, "true", resamples=200)
    assert found["true"].area.value == pytest.approx(qini_area(effect, t, y))
    assert found["true"].area.above_zero
    assert found["true"].over_reference == Difference(0, 0, 0)
    pair, alone = found["noisy"].over_reference, found["noisy"].area
    assert pair.high - pair.low < 0.5 * (alone.high - alone.low)
    assert found == qini_intervals({"true": effect, "noisy": noisy}, t, y, "true", resamples=200)


def test_the_interval_holds_the_true_area_as_often_as_it_says() -> None:
    true = qini_area(*simulated(400_000, seed=99))
    inside = 0
    for seed in range(50):
        effect, t, y = simulated(1_000, seed)
        area = qini_intervals({"s": effect}, t, y, "s", resamples=200)["s"].area
        inside += area.low <= true <= area.high
    assert 43 <= inside <= 50


def test_groups_are_ranked_for_themselves() -> None:
    effect, t, y = simulated(1_000)
    group = np.arange(1_000) % 2
    shifted = effect + 5 * group
    found = qini_intervals({"s": shifted}, t, y, "s", groups=group, resamples=20)["s"].area.value
    each = [qini_area(effect[group == one], t[group == one], y[group == one]) for one in (0, 1)]
    assert found == pytest.approx(np.mean(each))
    with pytest.raises(UpliftError, match="reference 'x' is none of"):
        qini_intervals({"s": effect}, t, y, "x")


def test_deciles_show_the_planted_effect() -> None:
    effect, t, y = simulated(40_000)
    found = uplift_by_decile(effect, t, y)
    assert found["decile"].tolist() == list(range(1, 11))
    assert (found["customers"] == 4_000).all()
    top = effect >= np.quantile(effect, 0.9)
    by_hand = y[top & (t == 1)].mean() - y[top & (t == 0)].mean()
    assert found["uplift"][0] == pytest.approx(by_hand)
    assert ((found["low"] < found["predicted"]) & (found["predicted"] < found["high"])).sum() >= 8
    assert len(uplift_by_decile(np.ones(100), t[:100], y[:100])) == 1


def test_policy_values_are_those_of_the_simulated_truth() -> None:
    effect, t, y = simulated(20_000)
    policy = effect > 0.2
    true = np.mean(0.2 + policy * (effect - 0.1))
    weighted = policy_value(weighted_scores(policy, t, y, 0.5, cost=0.1))
    robust_scores = doubly_robust_scores(policy, t, y, 0.5, 0.2 + effect, np.full(20_000, 0.2), 0.1)
    robust = policy_value(robust_scores)
    for found in (weighted, robust):
        assert found.value == pytest.approx(true, abs=3 * found.standard_error)
        assert found.low < true < found.high
    assert robust.standard_error < weighted.standard_error
    # By hand: the mean outcome of customers whose arm is the policy's.
    followed = policy == (t == 1)
    assert weighted.value == pytest.approx(2 * np.mean(y * followed) - 0.1 * policy.mean())
    nobody = doubly_robust_scores(np.zeros(20_000), t, y, 0.5, 0.2 + effect, np.full(20_000, 0.2), 0.1)
    gain = policy_difference(robust_scores, nobody)
    assert gain.low > 0
    assert gain.value == pytest.approx(robust.value - policy_value(nobody).value)
    assert policy_difference(nobody, nobody).standard_error == 0


def test_a_share_of_customers_is_the_top_one() -> None:
    assert top_share([1, 3, 3, 2], 0.5).tolist() == [False, True, True, False]
    assert top_share([1, 1, 1, 1], 0.25).tolist() == [True, False, False, False]
    with pytest.raises(UpliftError, match="between 0 and 1"):
        top_share([1], 1.5)
    with pytest.raises(UpliftError, match="2 customers"):
        policy_value([1.0])


def test_the_gate_says_why_it_refuses() -> None:
    good, unclear, bad = Difference(30, 20, 40), Difference(3, -5, 11), Difference(-9, -15, -3)
    accepted = uplift_verdict("x_learner", QiniInterval(good, good))
    assert accepted.accepted
    assert "x_learner becomes champion." in str(accepted)
    assert "+30.0 [+20.0, +40.0]" in str(accepted)
    refused = {
        "is not clearly better than ranking by response": QiniInterval(good, unclear),
        "does not clearly rank better than chance": QiniInterval(unclear, good),
        "ranks worse than chance": QiniInterval(bad, bad),
        "Ranking by response is clearly better": QiniInterval(good, bad),
        "Ranking by response is better on these customers": QiniInterval(good, Difference(-2, -9, 5)),
    }
    for words, found in refused.items():
        verdict = uplift_verdict("x_learner", found)
        assert not verdict.accepted
        assert words in str(verdict)
    assert not uplift_verdict("x_learner", QiniInterval(good, good), is_newest=False).accepted


@pytest.mark.slow
def test_hillstroms_mails(reference_data: Path) -> None:
    """Ranges of issue 22: random -1, response 21, T-learner 32, X-learner 38.2; men's mail: response 15.0 is best."""
    found = uplift_hillstrom.measure(str(reference_data / uplift_hillstrom.FILE))
    womens, mens = found["womens"], found["mens"]
    areas = {name: mean for name, (mean, _) in womens["areas"].items()}
    assert areas["random"] == pytest.approx(0, abs=6)
    assert areas["response"] == pytest.approx(21, abs=5)
    assert areas["t_learner"] == pytest.approx(32, abs=4)
    assert areas["x_learner_plain"] == pytest.approx(38.2, abs=2)
    # Features of the effect chosen inside each half; `selected` is a learner chosen inside each half.
    assert areas["x_learner_lasso"] == pytest.approx(38.3, abs=1)
    assert areas["selected"] == pytest.approx(38.2, abs=2)
    assert womens["over_plain_by_split"][uplift_hillstrom.PLAIN] == [0, 0]
    assert set(womens["winners"]) <= set(uplift_hillstrom.CONTEST)
    assert womens["over_plain"][1] <= womens["over_plain"][0] <= womens["over_plain"][2]
    assert womens["accepted"]
    areas = {name: mean for name, (mean, _) in mens["areas"].items()}
    assert areas["response"] == pytest.approx(15, abs=2)
    learners = set(uplift_hillstrom.candidates())
    assert max(areas[name] for name in learners - {"s_learner_logistic"}) < areas["response"]
    assert not mens["accepted"]
    assert "Contact customers by response" in mens["verdict"]
