"""p-values compared with scipy, q-values with statsmodels, the smallest significant count with a search."""

from math import comb

import numpy as np
import pytest
from scipy.stats import hypergeom
from statsmodels.stats.multitest import multipletests

from clm_dagster.statistics.independence import (
    RuleError,
    adjusted,
    chance_of_common,
    smallest_count,
    smallest_p_value,
)


def test_p_values_match_scipy() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(5, 30_000, 2000)
    a, b = (np.minimum((n * rng.random(2000) ** 3).astype(int) + 1, n) for _ in range(2))
    k = np.clip(rng.poisson(a * b / n * rng.uniform(0.3, 3, 2000)), 0, np.minimum(a, b))
    np.testing.assert_allclose(
        chance_of_common(k, a, b, n), hypergeom.sf(k - 1, n, a, b), rtol=1e-8, atol=1e-300
    )


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((0, 5, 5, 20), 1.0), ((5, 5, 20, 20), 1.0), ((4, 12, 12, 20), 1.0), ((5, 5, 5, 20), 1 / comb(20, 5))],
)
def test_p_values_at_the_ends(counts: tuple[int, int, int, int], expected: float) -> None:
    assert chance_of_common(*counts)[0] == pytest.approx(expected)


def test_q_values_count_the_tests_that_are_not_given() -> None:
    p = np.random.default_rng(1).random(30) ** 3
    np.testing.assert_allclose(adjusted(p), multipletests(p, method="fdr_bh")[1])
    padded = multipletests([*p, *np.ones(70)], method="fdr_bh")[1]
    np.testing.assert_allclose(adjusted(p, tests=100), padded[:30])
    assert adjusted([0.01, 0.02], tests=10) == pytest.approx([0.1, 0.1])
    with pytest.raises(RuleError, match="cannot have given"):
        adjusted([0.01, 0.02], tests=1)


def test_the_smallest_count_that_can_be_significant() -> None:
    assert smallest_p_value(5, 1000) == pytest.approx(1 / comb(1000, 5))
    # A thousand baskets: five suffice for a million tests. Twelve baskets: six, and not for a hundred tests.
    assert smallest_count(1000, lambda _: 10**6) == 5
    assert smallest_count(12, lambda _: 45) == 6
    assert 1 / comb(12, 5) > 0.05 / 45 >= 1 / comb(12, 6)
    assert smallest_count(12, lambda _: 100) is None
    assert smallest_count(1000, lambda count: 10**18 if count < 8 else 10) == 8
    assert smallest_count(4, lambda _: 1) is None
    assert smallest_count(1000, lambda _: 0) is None
