"""Sample-ratio mismatch: found soon where arms lose customers, and seldom where they do not."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from clm_dagster.statistics.experiments.sample_ratio import (
    check_sample_ratio,
    check_sample_ratio_daily,
    log_evidence,
)

PLAN = {"control": 0.1, "treated": 0.9}


@pytest.mark.parametrize("shares", [[0.1, 0.9], [0.5, 0.5], [0.2, 0.3, 0.5]])
def test_the_evidence_has_a_mean_of_one_without_a_mismatch(shares: list[float]) -> None:
    """Exactly, over all outcomes of 12 customers: so it is a martingale, and Ville's inequality holds."""
    size, mean = 12, 0.0
    for counts in product(range(size + 1), repeat=len(shares)):
        if sum(counts) == size:
            ways, left = 1, size
            for count in counts:
                ways *= comb(left, count)
                left -= count
            chance = ways * np.prod(np.array(shares) ** counts)
            mean += chance * np.exp(log_evidence(np.array(counts, float), np.array(shares), 5.0))
    assert mean == pytest.approx(1)


def simulated(rng: np.random.Generator, share: float, experiments: int = 1_000) -> np.ndarray:
    control = rng.binomial(200, share, (experiments, 60)).cumsum(axis=1)
    total = 200 * np.arange(1, 61)
    return np.stack([control, total - control], axis=-1)


def test_right_arms_are_seldom_called_wrong_at_any_of_60_looks() -> None:
    found = simulated(np.random.default_rng(1), 0.1)
    called = [check_sample_ratio_daily(["control", "treated"], one, PLAN).is_mismatch for one in found]
    assert np.mean(called) <= 0.01
    once = [check_sample_ratio(dict(zip(PLAN, map(int, one[-1]), strict=True)), PLAN) for one in found]
    assert np.mean([one.is_mismatch for one in once]) <= 0.005


def test_a_lost_part_of_the_holdout_is_found() -> None:
    """Control loses 15% of its customers: its share of 12,000 is 8.6%."""
    found = simulated(np.random.default_rng(2), 0.085 / 0.985, 300)
    called = [check_sample_ratio_daily(["control", "treated"], one, PLAN).is_mismatch for one in found]
    assert np.mean(called) > 0.9


def test_the_p_value_of_one_test_is_close_to_the_exact_one() -> None:
    found = check_sample_ratio({"control": 1_090, "treated": 8_910}, PLAN)
    assert found.p_value == pytest.approx(binomtest(1_090, 10_000, 0.1).pvalue, rel=0.15)


def test_a_mismatch_that_was_found_stays_found() -> None:
    days = np.array([[0, 0], [400, 600], [1_000, 9_000]])
    assert check_sample_ratio_daily(["control", "treated"], days, PLAN).is_mismatch
    assert not check_sample_ratio_daily(["control", "treated"], days[[0, 2]], PLAN).is_mismatch


def test_arms_may_come_in_any_order() -> None:
    one = check_sample_ratio_daily(["treated", "control"], [[880, 120]], PLAN)
    other = check_sample_ratio_daily(["control", "treated"], [[120, 880]], PLAN)
    assert one.p_value == other.p_value
    assert check_sample_ratio({"treated": 880, "control": 120}, PLAN).p_value == pytest.approx(
        check_sample_ratio({"control": 120, "treated": 880}, PLAN).p_value
    )


def test_the_sentence_says_sizes_plan_and_what_to_do() -> None:
    wrong = str(check_sample_ratio({"control": 850, "treated": 9_150}, PLAN))
    assert wrong.startswith("Customers by arm: control 850 (8.50%, planned 10.00%), treated 9,150 (91.50%")
    assert "no effect may be read" in wrong
    assert str(check_sample_ratio({"control": 990, "treated": 9_010}, PLAN)).endswith("agree with the plan.")


def test_too_few_customers_say_nothing() -> None:
    assert check_sample_ratio({"control": 0, "treated": 20}, PLAN).p_value == 1
    assert check_sample_ratio({"control": 0, "treated": 0}, PLAN).p_value == 1
    assert check_sample_ratio_daily(["control", "treated"], [[0, 0]], PLAN).p_value == 1


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="are planned, got"):
        check_sample_ratio({"control": 1}, PLAN)
    with pytest.raises(ValueError, match="add up to 1"):
        check_sample_ratio({"a": 1, "b": 1}, {"a": 0.5, "b": 0.6})
    with pytest.raises(ValueError, match="fall from one look"):
        check_sample_ratio_daily(["control", "treated"], [[5, 5], [4, 9]], PLAN)
