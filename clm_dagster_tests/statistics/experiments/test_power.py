"""Power against statsmodels and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from clm_dagster.statistics.experiments.intervals import newcombe
from clm_dagster.statistics.experiments.power import (
    Design,
    customers_for_mean,
    customers_for_rate,
    mean_power,
    rate_power,
    smallest_mean_effect,
    smallest_rate_effect,
)
from clm_dagster.statistics.experiments.sequential import AnytimeLook, FixedLook

DESIGNS = [Design(1_000, 0.5), Design(10_000, 0.1), Design(400, 0.25)]
SHARES = st.floats(0.05, 0.95)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_power_of_means_is_that_of_statsmodels(design: Design, confidence: float) -> None:
    look, ratio = FixedLook(confidence), design.treated / design.control
    peer = NormalIndPower()
    alpha = 1 - confidence
    expected = peer.power(0.2, design.control, alpha, ratio=ratio)
    assert mean_power(design, 10, 50, look) == pytest.approx(expected, abs=1e-9)
    smallest = peer.solve_power(None, design.control, alpha, 0.8, ratio)
    assert smallest_mean_effect(design, 50, look=look) == pytest.approx(50 * smallest, rel=1e-4)
    needed = peer.solve_power(0.2, None, alpha, 0.8, ratio) / design.holdout_share
    found = customers_for_mean(10, 50, design.holdout_share, look=look)
    assert found is not None
    assert 0 <= found - needed < 1.01


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(("base", "effect"), [(0.03, 0.02), (0.2, -0.05), (0.01, 0.03), (0.5, 0.1)])
def test_power_of_rates_is_that_of_statsmodels(design: Design, base: float, effect: float) -> None:
    expected = power_proportions_2indep(
        effect, base, design.treated, ratio=design.control / design.treated, alpha=0.05
    ).power
    assert rate_power(design, base, effect) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("base", "effect"), [(0.05, 0.03), (0.2, -0.08), (0.03, 0.04)])
def test_power_is_how_often_the_interval_excludes_zero(base: float, effect: float) -> None:
    rng = np.random.default_rng(3)
    design = Design(4_000, 0.1)
    sizes = np.array([design.control, design.treated])
    counts = rng.binomial(sizes.astype(int), [base, base + effect], (20_000, 2)).astype(float)
    low, high = newcombe(counts, sizes, FixedLook().critical)
    assert ((low > 0) | (high < 0)).mean() == pytest.approx(rate_power(design, base, effect), abs=0.05)


@given(SHARES, st.floats(0.001, 0.5), st.integers(500, 100_000), st.floats(0.2, 0.95))
def test_the_smallest_rate_effect_has_the_power(share: float, base: float, size: int, power: float) -> None:
    design = Design(size, share)
    effect = smallest_rate_effect(design, base, power)
    if effect is None:
        assert rate_power(design, base, 1 - base) < power
    else:
        assert rate_power(design, base, effect) == pytest.approx(power, abs=1e-6)
        assert rate_power(design, base, effect * 0.98) < power


@given(SHARES, st.floats(0.01, 0.4), st.floats(0.005, 0.3))
def test_the_customers_needed_are_enough_and_no_more(share: float, base: float, effect: float) -> None:
    needed = customers_for_rate(base, effect, share)
    assert needed is not None
    assert rate_power(Design(needed, share), base, effect) >= 0.8 - 1e-9
    assert rate_power(Design(needed * 0.99 - 1, share), base, effect) < 0.8


@given(SHARES, st.floats(0.1, 100), st.integers(20, 100_000))
def test_the_smallest_mean_effect_needs_the_customers_it_came_from(
    share: float, deviation: float, size: int
) -> None:
    effect = smallest_mean_effect(Design(size, share), deviation)
    assert effect is not None
    found = customers_for_mean(effect, deviation, share)
    assert found is not None
    assert abs(found - size) <= 1


def test_daily_looks_and_a_smaller_holdout_cost_power() -> None:
    design, daily = Design(10_000, 0.1), AnytimeLook()
    once, looked = smallest_mean_effect(design, 50), smallest_mean_effect(design, 50, look=daily)
    assert once is not None and looked is not None
    # (3.035 + .842) / (1.960 + .842)
    assert looked / once == pytest.approx(1.384, abs=0.001)
    assert rate_power(Design(10_000, 0.05), 0.05, 0.02) < rate_power(design, 0.05, 0.02)


def test_what_cannot_be_seen_is_none() -> None:
    assert smallest_rate_effect(Design(20, 0.1), 0.5) is None
    assert smallest_mean_effect(Design(0, 0.1), 5) is None
    assert customers_for_mean(0, 5, 0.1) is None
    assert customers_for_rate(0.1, 0, 0.1) is None
    assert rate_power(Design(0, 0.1), 0.1, 0.1) == 0
    assert mean_power(Design(0, 0.1), 1, 5) == pytest.approx(0.05)


def test_certain_outcomes_are_seen_at_once() -> None:
    assert mean_power(Design(100, 0.5), 1, 0) == 1
    assert rate_power(Design(100, 0.5), 0.0, 1.0) == 1


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ValueError, match="a share in"):
        Design(100, 0)
    with pytest.raises(ValueError, match="rates between"):
        rate_power(Design(100, 0.5), 0.9, 0.2)
    with pytest.raises(ValueError, match="a power between"):
        smallest_mean_effect(Design(100, 0.5), 1, power=0.01)
