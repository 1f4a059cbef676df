"""Sums of an arm against numpy on the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clm_dagster.statistics.experiments.moments import Sums, filled

ROWS = st.integers(2, 30).flatmap(
    lambda n: st.integers(1, 4).flatmap(lambda k: arrays(float, (n, k), elements=st.integers(-999, 999)))
)


@given(ROWS)
def test_moments_are_those_of_the_rows(rows: np.ndarray) -> None:
    sums = Sums.of(rows)
    np.testing.assert_allclose(sums.means, rows.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(sums.covariance, np.atleast_2d(np.cov(rows.T)), atol=1e-6)


@given(ROWS, st.integers(1, 29))
def test_sums_of_two_days_add_up(rows: np.ndarray, at: int) -> None:
    both, whole = Sums.of(rows[:at]) + Sums.of(rows[at:]), Sums.of(rows)
    assert both.customers == whole.customers
    np.testing.assert_allclose(both.products, whole.products)
    np.testing.assert_allclose(both.totals, whole.totals)


@given(ROWS)
def test_products_from_sql_are_the_same(rows: np.ndarray) -> None:
    size = rows.shape[1]
    upper = [float((rows[:, i] * rows[:, j]).sum()) for i in range(size) for j in range(i, size)]
    found = Sums.of_cross(len(rows), rows.sum(axis=0).tolist(), upper)
    np.testing.assert_allclose(found.products, Sums.of(rows).products)


def test_a_large_constant_has_no_variance() -> None:
    assert Sums.of(np.full(1_000, 123_456.789)).variance == 0
    spread = np.array([1e5, 1e5 + 1] * 500)
    assert Sums.of(spread).variance == pytest.approx(spread.var(ddof=1), rel=1e-3)


def test_the_effective_number_counts_conversions_and_sees_one_large_order() -> None:
    assert Sums.of([1.0] * 7 + [0.0] * 93).effective == pytest.approx(7)
    assert Sums.of([1_000.0] + [1.0] * 99).effective == pytest.approx(1.208, abs=0.01)
    assert Sums.of([0.0, 0.0]).effective == 0


def test_chosen_columns_keep_their_products() -> None:
    rows = np.random.default_rng(1).normal(size=(20, 3))
    np.testing.assert_allclose(Sums.of(rows).columns([0, 2]).products, Sums.of(rows[:, [0, 2]]).products)


@given(arrays(float, (12, 3), elements=st.one_of(st.integers(-9, 9).map(float), st.just(float("nan")))))
def test_filled_covariates_have_no_holes_and_say_where_they_were(rows: np.ndarray) -> None:
    found = filled(rows)
    holes = np.isnan(rows)
    assert np.isfinite(found).all()
    assert found.shape[1] == 3 + holes.any(axis=0).sum()
    np.testing.assert_array_equal(found[:, :3][~holes], rows[~holes])
    np.testing.assert_array_equal(found[:, 3:], holes[:, holes.any(axis=0)])
    for column in range(3):
        known = rows[~holes[:, column], column]
        if len(known):
            assert found[:, column].mean() == pytest.approx(known.mean())


@pytest.mark.parametrize(
    ("customers", "totals", "products", "message"),
    [
        (3, [1.0, 2.0], [[1.0]], "2 x 2 products"),
        (-1, [1.0], [[1.0]], "a number of customers"),
        (3, [float("nan")], [[1.0]], "must be finite"),
        (3, [1.0], [[-1.0]], "below zero"),
    ],
)
def test_impossible_sums_are_refused(
    customers: int, totals: list[float], products: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Sums(customers, np.array(totals), np.array(products))
