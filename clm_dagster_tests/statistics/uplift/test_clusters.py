"""Intervals over customers who are in a trial more than once, against rows that are written out."""

import numpy as np
import pytest

from clm_dagster.statistics.uplift import UpliftError, policy_value, qini_area, qini_intervals
from clm_dagster.statistics.uplift.clusters import clustered_policy_value, clustered_qini_intervals


def trial(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 40, count).astype(float)
    treatment = rng.integers(0, 2, count).astype(float)
    outcome = (rng.random(count) < 0.2 + 0.01 * score * treatment).astype(float)
    return score, treatment, outcome, rng.random(count)


def test_areas_and_resamples_are_those_of_rows_written_out() -> None:
    score, treatment, outcome, response = trial(0)
    who = np.random.default_rng(1).integers(0, 90, len(score))
    found = clustered_qini_intervals(
        {"model": score, "response": response}, treatment, outcome, "response", who, resamples=3, seed=7
    )
    assert found["model"].area.value == pytest.approx(qini_area(score, treatment, outcome))
    rng, count = np.random.default_rng(7), len(np.unique(who))
    code = np.unique(who, return_inverse=True)[1]
    areas = []
    for _ in range(3):
        drawn = rng.integers(0, count, count)
        rows = np.concatenate([np.flatnonzero(code == one) for one in drawn])
        areas.append(
            qini_area(score[rows], treatment[rows], outcome[rows])
            - qini_area(response[rows], treatment[rows], outcome[rows])
        )
    low, high = np.quantile(areas, [0.025, 0.975])
    assert found["model"].over_reference.low == pytest.approx(low)
    assert found["model"].over_reference.high == pytest.approx(high)
    assert found["response"].over_reference.value == 0


def test_groups_of_one_propensity_are_averaged() -> None:
    score, treatment, outcome, response = trial(2)
    group = np.arange(len(score)) < 100
    found = clustered_qini_intervals(
        {"model": score, "response": response}, treatment, outcome, "response", np.arange(400), group
    )
    parts = [(mask.mean(), mask) for mask in (group, ~group)]
    expected = sum(share * qini_area(score[m], treatment[m], outcome[m]) for share, m in parts)
    assert found["model"].area.value == pytest.approx(expected)


def test_customers_with_one_row_have_the_interval_of_independent_rows() -> None:
    score, treatment, outcome, response = trial(3, 3_000)
    effects = {"model": score, "response": response}
    clustered = clustered_qini_intervals(effects, treatment, outcome, "response", np.arange(3_000))["model"]
    plain = qini_intervals(effects, treatment, outcome, "response")["model"]
    assert clustered.area.low == pytest.approx(plain.area.low, rel=0.1)
    assert clustered.area.high == pytest.approx(plain.area.high, rel=0.1)


def test_repeated_rows_do_not_make_an_interval_narrower() -> None:
    score, treatment, outcome, response = trial(4)
    four = [np.tile(values, 4) for values in (score, treatment, outcome, response)]
    effects, repeated = {"m": score, "r": response}, {"m": four[0], "r": four[3]}
    once = clustered_qini_intervals(effects, treatment, outcome, "r", np.arange(400))["m"].area
    often = clustered_qini_intervals(repeated, four[1], four[2], "r", np.tile(np.arange(400), 4))["m"].area
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_a_standard_error_over_customers() -> None:
    values = np.random.default_rng(5).normal(size=500)
    one, plain = clustered_policy_value(values, np.arange(500)), policy_value(values)
    assert (one.value, one.standard_error) == pytest.approx((plain.value, plain.standard_error))
    twice = clustered_policy_value(np.tile(values, 2), np.tile(np.arange(500), 2))
    assert twice.standard_error == pytest.approx(plain.standard_error) and twice.customers == 500


def test_input_that_cannot_be_used() -> None:
    score, treatment, outcome, _ = trial(6)
    with pytest.raises(UpliftError, match="reference 'x'"):
        clustered_qini_intervals({"m": score}, treatment, outcome, "x", np.arange(400))
    with pytest.raises(UpliftError, match="finite"):
        clustered_qini_intervals({"m": score * np.nan}, treatment, outcome, "m", np.arange(400))
    with pytest.raises(UpliftError, match="399 customers"):
        clustered_qini_intervals({"m": score}, treatment, outcome, "m", np.arange(399))
