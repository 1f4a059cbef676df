"""Anytime-valid intervals: right in 95% of experiments that are looked at daily, and not too wide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from clm_dagster.statistics.experiments.sequential import (
    AnytimeLook,
    FixedLook,
    boundary,
    information,
    prior_ratio,
    progress,
)
from clm_dagster_tests.benchmarks.experiments import (
    SCENARIOS,
    Scenario,
    agrees_with_effects,
    conversions,
    figures,
    growing,
    revenue,
)

# Seeds that no constant was chosen with.
SEEDS = (31_001, 47_211)
EXPERIMENTS = 1_000


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_boundary_is_tuned_to_be_narrowest_at_the_plan(confidence: float) -> None:
    def width(log_ratio: float) -> float:
        ratio = np.exp(log_ratio)
        return float((1 + ratio) * np.log((1 + ratio) / ratio / (1 - confidence) ** 2))

    best = minimize_scalar(width, bounds=(-8, 5), method="bounded", options={"xatol": 1e-9})
    assert prior_ratio(confidence) == pytest.approx(np.exp(best.x), rel=1e-4)
    assert float(boundary(1.0, confidence, confidence)) == pytest.approx(np.sqrt(best.fun))


def test_the_boundary_is_that_of_the_published_formula() -> None:
    """Theorem 2.2 of Waudby-Smith et al.: sqrt(2 (t r + 1) / (t^2 r) log(sqrt(t r + 1) / alpha)), r = rho^2."""
    planned = 5_000
    rho_squared = 1 / (prior_ratio(0.95) * planned)
    for size in (50, 500, 5_000, 50_000):
        scaled = size * rho_squared + 1
        expected = np.sqrt(2 * scaled / (size**2 * rho_squared) * np.log(np.sqrt(scaled) / 0.05))
        assert float(boundary(size / planned)) / np.sqrt(size) == pytest.approx(expected)


def test_a_brownian_motion_leaves_the_boundary_in_at_most_5_percent() -> None:
    """The exact limit: sums of normal values with known variance, 2,000 looks up to 20 times the plan."""
    rng = np.random.default_rng(1)
    share = np.geomspace(0.001, 20, 2_000)
    steps = rng.normal(size=(4_000, 2_000)) * np.sqrt(np.diff(share, prepend=0))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(share)
    wrong = (z > boundary(share)).any(axis=1).mean()
    assert 0.01 < wrong < 0.05


@given(st.floats(0.01, 50), st.floats(0, 12), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_p_value_agrees_with_the_interval(share: float, z: float, confidence: float) -> None:
    look = AnytimeLook(confidence, share)
    if abs(z - look.critical) > 1e-6:
        assert (look.p_value(z) < 1 - confidence) == (z > look.critical)
    assert 0 <= look.p_value(z) <= 1


@given(st.floats(0.01, 50), st.floats(3, 500))
def test_the_p_value_of_a_t_statistic_agrees_with_the_interval(share: float, freedom: float) -> None:
    for look in (AnytimeLook(progress=share), FixedLook()):
        limit = look.critical * look.inflation(freedom)
        assert look.t_p_value(limit * 1.001, freedom) < 0.05 < look.t_p_value(limit * 0.999, freedom)


def test_an_anytime_interval_is_less_than_1_6_times_as_wide_at_the_plan() -> None:
    assert AnytimeLook().critical / norm.isf(0.025) < 1.55
    # Not far from the plan either.
    assert AnytimeLook(progress=0.5).critical / norm.isf(0.025) < 1.6
    assert AnytimeLook(progress=2).critical / norm.isf(0.025) < 1.6


def test_progress_is_the_information_of_both_arms() -> None:
    assert float(information(100, 900)) == pytest.approx(1 / (1 / 100 + 1 / 900))
    assert progress((100, 900), (100, 900)) == 1
    assert 0 < progress((0, 0), (100, 900)) < 1e-6
    assert np.isfinite(AnytimeLook(progress=progress((0, 0), (100, 900))).critical)
    # A holdout that is too small is not made up for by the treated.
    assert progress((50, 950), (100, 900)) < 0.53
    with pytest.raises(ValueError, match="both arms"):
        progress((1, 1), (0, 10))


def test_impossible_looks_are_refused() -> None:
    with pytest.raises(ValueError, match="progress above 0"):
        AnytimeLook(progress=0)
    with pytest.raises(ValueError, match="a confidence between"):
        FixedLook(1.0)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_the_simulation_computes_what_the_product_does(name: str) -> None:
    assert agrees_with_effects(SCENARIOS[name], seed=3, sample=15)


def held(scenario: Scenario, seed: int) -> None:
    """Check one kind of experiment: at most 5% ever wrong, a width below 1.6, and a need for it."""
    found = figures(scenario, EXPERIMENTS, seed)
    assert found["anytime_wrong"] <= 0.05
    assert found["width"] < 1.6
    assert found["not_enough"] < 1


SMALL = {
    "revenue with zeros, 90/10": Scenario(revenue(0.1, 1.0), 50, 0.1),
    "rare conversions, 90/10": Scenario(conversions(0.01), 100, 0.1, "rate"),
    "conversions, small start, 50/50": Scenario(conversions(0.1), 6, 0.5, "rate"),
}


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("seed", SEEDS)
def test_null_experiments_looked_at_daily_are_wrong_in_at_most_5_percent(name: str, seed: int) -> None:
    held(SMALL[name], seed)


def test_a_fixed_interval_looked_at_daily_is_wrong_far_more_often() -> None:
    found = figures(SMALL["revenue with zeros, 90/10"], EXPERIMENTS, SEEDS[0])
    assert found["fixed_wrong_daily"] > 0.12
    assert found["fixed_wrong_once"] < 0.07


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SCENARIOS))
@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_experiment_is_wrong_in_at_most_5_percent(name: str, seed: int) -> None:
    held(SCENARIOS[name], seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_customers_who_are_mailed_at_once_are_wrong_in_at_most_5_percent(seed: int) -> None:
    found = growing(EXPERIMENTS, seed)
    assert found["anytime_wrong"] <= 0.05
    assert found["width"] < 1.6
