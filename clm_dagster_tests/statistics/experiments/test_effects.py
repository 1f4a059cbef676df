"""Effects against scipy, statsmodels, ordinary regression and brute force."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import t, ttest_ind
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import confint_proportions_2indep

from clm_dagster.statistics.experiments.effects import (
    Effect,
    NotEnoughData,
    cuped_effect,
    incremental,
    mean_effect,
    rate_effect,
)
from clm_dagster.statistics.experiments.intervals import fieller, shrunk_variances, welch
from clm_dagster.statistics.experiments.moments import Sums, filled
from clm_dagster.statistics.experiments.sequential import AnytimeLook, FixedLook, Look

LOOKS = [FixedLook(), FixedLook(0.8), AnytimeLook(progress=0.4), AnytimeLook(progress=2.0)]
ARMS = st.tuples(st.integers(0, 60), st.integers(60, 400))


def effect_of(found: Effect | NotEnoughData) -> Effect:
    assert isinstance(found, Effect), str(found)
    return found


def missing_of(found: Effect | NotEnoughData) -> NotEnoughData:
    assert isinstance(found, NotEnoughData)
    return found


def spend(rng: np.random.Generator, size: int, buyers: float = 0.3) -> np.ndarray:
    return np.where(rng.random(size) < buyers, rng.lognormal(3, 0.8, size), 0.0)


def test_the_error_is_welch() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.normal(0, 1, 40), rng.normal(0.3, 3, 300)
    square, freedom = welch(np.array([one.var(ddof=1), other.var(ddof=1)]), np.array([40.0, 300.0]))
    peer = ttest_ind(other, one, equal_var=False)
    assert freedom == pytest.approx(peer.df)
    assert (other.mean() - one.mean()) / np.sqrt(square) == pytest.approx(peer.statistic)


def test_a_large_experiment_has_the_interval_of_welch() -> None:
    rng = np.random.default_rng(2)
    one, other = spend(rng, 40_000), spend(rng, 160_000) * 1.1
    found = effect_of(mean_effect(Sums.of(one), Sums.of(other)))
    peer = ttest_ind(other, one, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), rel=2e-3)
    assert found.relative == pytest.approx(other.mean() / one.mean() - 1)


def test_variances_of_small_arms_are_drawn_to_the_common_one() -> None:
    sizes, variances = np.array([100.0, 900.0]), np.array([1.0, 9.0])
    common = 8.2
    few = shrunk_variances(variances, sizes, np.array(0.0))
    assert few == pytest.approx([common, common])
    # 200 effective customers: 20 in control, as many as the common variance counts.
    assert shrunk_variances(variances, sizes, np.array(200.0))[0] == pytest.approx((1 + common) / 2)
    assert shrunk_variances(variances, sizes, np.array(1e9)) == pytest.approx(variances, rel=1e-5)


def test_cuped_is_the_coefficient_of_a_regression_on_arm_and_covariates() -> None:
    rng = np.random.default_rng(3)
    before = rng.gamma(2, 10, (3_000, 2))
    treated = rng.random(3_000) < 0.8
    after = before @ [0.7, 0.2] + 3 * treated + rng.normal(0, 5, 3_000)
    rows = np.column_stack([after, before])
    found = effect_of(cuped_effect(Sums.of(rows[~treated]), Sums.of(rows[treated])))
    fit = OLS(after, np.column_stack([np.ones(3_000), treated, before])).fit()
    assert found.difference == pytest.approx(fit.params[1])
    assert found.standard_error == pytest.approx(fit.bse[1], rel=0.01)
    assert found.low < 3 < found.high
    plain = effect_of(mean_effect(Sums.of(after[~treated]), Sums.of(after[treated])))
    assert found.variance_left == pytest.approx((found.standard_error / plain.standard_error) ** 2)
    assert found.variance_left < 0.2


def test_useless_covariates_are_left_out_with_a_note() -> None:
    rng = np.random.default_rng(4)
    before = rng.gamma(2, 10, 800)
    after = before + rng.normal(0, 5, 800)
    rows = np.column_stack([after, before, np.full(800, 7.0), 3 - 2 * before])
    control, treated = Sums.of(rows[:200]), Sums.of(rows[200:])
    found = effect_of(cuped_effect(control, treated))
    alone = effect_of(cuped_effect(control.columns([0, 1]), treated.columns([0, 1])))
    assert found.difference == pytest.approx(alone.difference)
    assert found.notes == ("2 of 3 covariates left out: no variance, or the same as others.",)
    assert not alone.notes


def test_a_covariate_constant_in_one_arm_still_helps() -> None:
    rng = np.random.default_rng(5)
    before = np.r_[np.zeros(100), rng.gamma(2, 10, 900)]
    rows = np.column_stack([10 + 0.5 * before + rng.normal(0, 1, 1_000), before])
    assert effect_of(cuped_effect(Sums.of(rows[:100]), Sums.of(rows[100:]))).variance_left < 1


def test_a_tiny_arm_is_not_adjusted() -> None:
    rng = np.random.default_rng(6)
    rows = rng.gamma(5, 1, (500, 2))
    found = effect_of(cuped_effect(Sums.of(rows[:15]), Sums.of(rows[15:])))
    plain = effect_of(mean_effect(Sums.of(rows[:15, 0]), Sums.of(rows[15:, 0])))
    assert (found.low, found.high, found.variance_left) == pytest.approx((plain.low, plain.high, 1))
    assert found.notes == ("Not adjusted: an arm has 15 customers, 20 are needed for 1 covariates.",)


def test_a_covariate_that_is_the_outcome_is_refused() -> None:
    rows = np.repeat(np.random.default_rng(7).gamma(5, 1, (300, 1)), 2, axis=1)
    found = effect_of(cuped_effect(Sums.of(rows[:100]), Sums.of(rows[100:])))
    assert "explain every outcome" in found.notes[0]
    assert found.standard_error > 0


def test_missing_covariates_keep_the_effect_unbiased() -> None:
    rng = np.random.default_rng(8)
    found = []
    for _ in range(300):
        before = rng.gamma(2, 10, 600)
        treated = rng.random(600) < 0.7
        after = before + 4 * treated + rng.normal(0, 4, 600)
        holes = rng.random(600) < 0.3
        rows = np.column_stack([after, filled(np.where(holes, np.nan, before))])
        found.append(effect_of(cuped_effect(Sums.of(rows[~treated]), Sums.of(rows[treated]))))
    assert np.mean([one.difference for one in found]) == pytest.approx(4, abs=0.2)
    assert 0.92 < np.mean([one.low <= 4 <= one.high for one in found]) < 0.98


@pytest.mark.parametrize("look", LOOKS)
@given(control=ARMS, treated=ARMS)
@settings(max_examples=30)
def test_rates_have_the_interval_of_newcombe(
    look: Look, control: tuple[int, int], treated: tuple[int, int]
) -> None:
    assume(control[0] + treated[0] >= 5)
    found = effect_of(rate_effect(control, treated, look))
    low, high = confint_proportions_2indep(
        *treated, *control, method="newcomb", alpha=1 - look.confidence, compare="diff"
    )
    if isinstance(look, FixedLook):
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    else:
        scale = look.critical / look.once
        assert found.low >= found.difference - scale * (found.difference - low) - 1e-9
        assert found.high <= found.difference + scale * (high - found.difference) + 1e-9
        assert found.low <= low + 1e-9 and high <= found.high + 1e-9


@pytest.mark.parametrize("look", LOOKS)
@given(control=ARMS, treated=ARMS)
@settings(max_examples=50)
def test_interval_ratio_and_p_value_of_rates_agree(
    look: Look, control: tuple[int, int], treated: tuple[int, int]
) -> None:
    assume(control[0] + treated[0] >= 5)
    found = effect_of(rate_effect(control, treated, look))
    assert -1 <= found.low <= found.difference <= found.high <= 1
    excluded = found.above_zero or found.below_zero
    error = 1 - look.confidence
    if abs(found.p_value - error) > 1e-6:
        assert excluded == (found.p_value < error)
        if found.relative_low is not None:
            assert found.above_zero == (found.relative_low > 0)
        assert found.below_zero == (found.relative_high is not None and found.relative_high < 0)
    if found.relative is not None and found.relative_low is not None:
        assert found.relative_low <= found.relative + 1e-9
        assert found.relative_high is None or found.relative_high >= found.relative - 1e-9


@given(control=ARMS, treated=ARMS)
def test_swapping_the_arms_turns_the_sign(control: tuple[int, int], treated: tuple[int, int]) -> None:
    assume(control[0] + treated[0] >= 5)
    one, other = effect_of(rate_effect(control, treated)), effect_of(rate_effect(treated, control))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.p_value == pytest.approx(other.p_value)


def test_the_ratio_of_rates_covers() -> None:
    rng = np.random.default_rng(9)
    found = [
        effect_of(rate_effect((int(a), 400), (int(b), 1_600)))
        for a, b in zip(rng.binomial(400, 0.05, 1_500), rng.binomial(1_600, 0.08, 1_500), strict=True)
    ]
    inside = [
        (one.relative_low or -1) <= 0.6 and (one.relative_high is None or one.relative_high >= 0.6)
        for one in found
    ]
    assert 0.935 < np.mean(inside) < 0.965


def test_without_a_conversion_in_control_the_ratio_has_no_upper_limit() -> None:
    found = effect_of(rate_effect((0, 200), (30, 1_800)))
    assert found.relative is None and found.relative_high is None
    assert found.low < found.difference < found.high


@pytest.mark.parametrize("look", LOOKS)
@given(st.integers(0, 10_000), st.floats(0.5, 2), st.floats(0.1, 1_000))
@settings(max_examples=20)
def test_means_scale_with_their_unit_and_agree_with_their_p_value(
    look: Look, seed: int, lift: float, unit: float
) -> None:
    rng = np.random.default_rng(seed)
    control, treated = 1 + spend(rng, 80), lift * (1 + spend(rng, 400))
    found = effect_of(mean_effect(Sums.of(control), Sums.of(treated), look))
    scaled = effect_of(mean_effect(Sums.of(control * unit), Sums.of(treated * unit), look))
    assert (scaled.low, scaled.high) == pytest.approx((found.low * unit, found.high * unit))
    assert scaled.relative_low == pytest.approx(found.relative_low)
    if abs(found.p_value - (1 - look.confidence)) > 1e-6:
        assert (found.above_zero or found.below_zero) == (found.p_value < 1 - look.confidence)
    if found.relative_low is not None and found.relative_high is not None:
        assert found.above_zero == (found.relative_low > 0)
        assert found.below_zero == (found.relative_high < 0)


def test_fieller_is_where_the_test_of_a_ratio_changes() -> None:
    means, squares, critical = np.array([10.0, 12.0]), np.array([1.0, 0.25]), 1.96

    def statistic(ratio: float) -> float:
        return float(
            abs(means[1] - ratio * means[0]) / np.sqrt(squares[1] + ratio**2 * squares[0]) - critical
        )

    expected = (brentq(statistic, 0.2, 1.2) - 1, brentq(statistic, 1.2, 5) - 1)
    assert fieller(means, squares, critical) == pytest.approx(expected)
    assert fieller(means, np.array([30.0, 0.25]), critical) == (None, None)
    assert fieller(np.array([0.0, 1.0]), squares, critical) == (None, None)


def test_a_signed_outcome_counts_every_customer() -> None:
    rng = np.random.default_rng(10)
    one, other = rng.normal(0, 1, 200), rng.normal(0, 1, 1_800)
    assert isinstance(mean_effect(Sums.of(one - one.mean()), Sums.of(other - other.mean())), NotEnoughData)
    found = effect_of(mean_effect(Sums.of(one), Sums.of(other), is_signed=True))
    peer = ttest_ind(other, one, equal_var=False)
    assert found.low == pytest.approx(peer.confidence_interval().low, abs=0.005)
    assert found.p_value == pytest.approx(peer.pvalue, abs=0.02)


def test_the_p_value_of_a_fixed_look_is_that_of_student() -> None:
    rng = np.random.default_rng(11)
    one, other = spend(rng, 50, 0.9), spend(rng, 50, 0.9)
    found = effect_of(mean_effect(Sums.of(one), Sums.of(other)))
    critical = (found.high - found.difference) / found.standard_error
    freedom = brentq(lambda df: t.isf(0.025, df) - critical, 5, 200)
    assert found.p_value == pytest.approx(2 * t.sf(abs(found.difference) / found.standard_error, freedom))


def test_incremental_revenue_is_that_of_the_treated() -> None:
    rng = np.random.default_rng(12)
    found = effect_of(mean_effect(Sums.of(spend(rng, 500)), Sums.of(spend(rng, 2_000) * 2)))
    brought = incremental(found, cost=1_000)
    assert brought.total == pytest.approx(2_000 * found.difference)
    assert (brought.low, brought.high) == pytest.approx((2_000 * found.low, 2_000 * found.high))
    assert brought.net == pytest.approx(brought.total - 1_000)
    assert brought.on_spend == pytest.approx(brought.total / 1_000)
    assert incremental(found).on_spend is None


def test_too_little_data_is_said_with_what_is_needed() -> None:
    rng = np.random.default_rng(13)
    large = Sums.of(spend(rng, 2_000))
    few = missing_of(mean_effect(Sums.of(spend(rng, 9)), large))
    assert (
        str(few)
        == "Not enough data yet: 9 customers in control, 10 needed; about 10 customers at the present rate."
    )
    nobody = Sums.of(np.zeros(500))
    assert str(missing_of(mean_effect(nobody, nobody))) == (
        "Not enough data yet: 0 effective customers in control, 2 needed."
    )
    same = Sums.of(np.full(100, 5.0))
    assert "different outcomes" in str(missing_of(mean_effect(same, same)))
    rates = missing_of(rate_effect((1, 100), (3, 900)))
    assert (rates.found, rates.needed, rates.customers) == (4, 5, 125)
    assert missing_of(rate_effect((0, 100), (0, 900))).customers is None
    assert missing_of(rate_effect((0, 0), (50, 900))).what == "customers in control"


def test_the_customers_that_are_missing_are_enough() -> None:
    """Ten effective customers of 200 in all; control has 20 of them, so it lacks half of its two."""
    control, treated = Sums.of_totals(20, 10, 100), Sums.of_totals(180, 90, 900)
    needed = missing_of(mean_effect(control, treated)).customers
    assert needed == 40
    assert isinstance(mean_effect(control + control, treated + treated), Effect)


def test_an_arm_without_revenue_has_the_spread_of_the_other() -> None:
    rng = np.random.default_rng(14)
    found = effect_of(mean_effect(Sums.of(np.zeros(100)), Sums.of(spend(rng, 900, 0.1))))
    assert found.standard_error > np.sqrt(spend(rng, 900, 0.1).var() / 100) / 2
    assert found.relative is None


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="conversions between 0 and customers"):
        rate_effect((11, 10), (1, 10))
