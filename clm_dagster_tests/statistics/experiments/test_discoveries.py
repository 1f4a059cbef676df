"""Selection of discoveries against its definition, and the intervals that follow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import fdrcorrection

from clm_dagster.statistics.experiments.discoveries import Dependence, select_discoveries

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(P_VALUES, st.sampled_from(["positive", "any"]))
def test_selection_is_the_step_up_rule(p_values: list[float], dependence: Dependence) -> None:
    """The largest k with k p-values of at most rate x k / m, by definition."""
    m = len(p_values)
    penalty = sum(1 / n for n in range(1, m + 1)) if dependence == "any" else 1.0
    limits = [0.1 * k / m / penalty for k in range(1, m + 1)]
    k = max(
        (n for n, (p, limit) in enumerate(zip(sorted(p_values), limits, strict=True), 1) if p <= limit),
        default=0,
    )
    found = select_discoveries(p_values, 0.1, dependence)
    assert found.selected.sum() == k
    assert found.confidence == pytest.approx(1 - 0.1 * max(k, 1) / m / penalty)


@given(P_VALUES)
def test_adjusted_p_values_are_those_of_statsmodels(p_values: list[float]) -> None:
    found = select_discoveries(p_values)
    np.testing.assert_allclose(found.adjusted, fdrcorrection(np.array(p_values))[1])
    assert (found.selected == (found.adjusted <= 0.05)).all()


def test_tests_without_data_are_not_counted() -> None:
    with_gaps = select_discoveries([0.01, np.nan, 0.04, np.nan])
    assert with_gaps.selected.tolist() == [True, False, True, False]
    assert np.isnan(with_gaps.adjusted).tolist() == [False, True, False, True]
    assert with_gaps.tested == 2
    nothing = select_discoveries([np.nan])
    assert (nothing.selected.tolist(), nothing.tested, nothing.confidence) == ([False], 0, 0.95)


@given(P_VALUES)
def test_the_intervals_of_discoveries_exclude_zero(p_values: list[float]) -> None:
    found = select_discoveries(p_values)
    z = norm.isf(np.array(p_values)[found.selected] / 2)
    assert (z >= norm.isf((1 - found.confidence) / 2) - 1e-9).all()


def test_false_discoveries_and_missed_effects_are_rare_on_average() -> None:
    """20 metrics, five with an effect, correlated: both rates stay below 5%, plain intervals of the selected do not."""
    rng = np.random.default_rng(11)
    truth = np.r_[np.full(5, 2.5), np.zeros(15)]
    false, missed, plain = [], [], []
    for _ in range(2_000):
        estimate = truth + np.sqrt(0.5) * (rng.normal() + rng.normal(size=20))
        found = select_discoveries(2 * norm.sf(np.abs(estimate)))
        count = max(found.selected.sum(), 1)
        off = np.abs(estimate - truth)[found.selected]
        false.append((truth[found.selected] == 0).sum() / count)
        missed.append((off > norm.isf((1 - found.confidence) / 2)).sum() / count)
        plain.append((off > norm.isf(0.025)).sum() / count)
    assert np.mean(false) < 0.05
    assert np.mean(missed) < 0.05
    assert np.mean(plain) > np.mean(missed)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="p-values"):
        select_discoveries([1.5])
    with pytest.raises(ValueError, match="rate"):
        select_discoveries([0.5], rate=1)
