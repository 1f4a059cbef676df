"""Reconciled parts: compared with a quadratic program solved by scipy, and exact to the penny."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.reconciliation import (
    add_up,
    reconcile,
    spread_difference,
    to_the_penny,
)

RNG = np.random.default_rng(3)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Seed the generator, so that a test draws the same numbers alone and among others."""
    RNG.bit_generator.state = START


def nearest(values: Floats, weights: Floats, total: float) -> Floats:
    """Return the closest non-negative point with the given sum, by a general solver."""
    found = minimize(
        lambda x: (np.square(x - values) / weights).sum(),
        np.full(values.size, total / values.size),
        bounds=[(0, None)] * values.size,
        constraints={"type": "eq", "fun": lambda x: x.sum() - total},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    nearest: Floats = found.x
    return nearest


@pytest.mark.parametrize("total", [30.0, 12.0, 3.0, 0.0])
def test_parts_are_the_closest_that_sum_up(total: float) -> None:
    values, weights = RNG.uniform(0, 8, 5), RNG.uniform(0.5, 9, 5)
    ours = spread_difference(values[:, None], weights[:, None], np.array([total]))[:, 0]
    np.testing.assert_allclose(ours, nearest(values, weights, total), atol=2e-4)
    assert ours.sum() == pytest.approx(total)


def test_the_total_matches_minimum_trace() -> None:
    """Wickramasuriya et al.: (S' W^-1 S)^-1 S' W^-1 y over the free bottom of two splits, by least squares."""
    total, a, b = np.array([100.0]), RNG.uniform(10, 60, (3, 1)), RNG.uniform(10, 60, (4, 1))
    variances = 50.0, RNG.uniform(5, 40, 3), RNG.uniform(5, 40, 4)
    agreed, parts = reconcile(total, variances[0], {"a": (a, variances[1]), "b": (b, variances[2])})
    # Free: both levels but the last of b, which the total decides.
    design = np.zeros((8, 6))
    design[0, :3] = 1
    design[1:4, :3] = np.eye(3)
    design[4:7, 3:] = np.eye(3)
    design[7] = [1, 1, 1, -1, -1, -1]
    spread = np.sqrt(np.concatenate([[variances[0]], variances[1], variances[2]]))
    y = np.concatenate([total, a[:, 0], b[:, 0]])
    bottom = np.linalg.lstsq(design / spread[:, None], y / spread, rcond=None)[0]
    expected = design @ bottom
    np.testing.assert_allclose(agreed, expected[:1])
    np.testing.assert_allclose(parts["a"][:, 0], expected[1:4])
    np.testing.assert_allclose(parts["b"][:, 0], expected[4:])


def test_a_closed_part_stays_zero() -> None:
    values = np.array([[5.0, 0.0], [3.0, 0.0], [0.0, 0.0]])
    total, parts = reconcile(np.array([12.0, 4.0]), 1.0, {"a": (values, np.ones(3))})
    assert parts["a"][2, 0] == 0
    assert (parts["a"][:, 1] > 0).all()  # all parts are closed but the shop is not: every part can have sales
    np.testing.assert_allclose(parts["a"].sum(axis=0), total)


def test_pennies_add_up() -> None:
    for _ in range(50):
        values = RNG.uniform(0, 3, (7, 20)) * (RNG.random((7, 20)) < 0.7)
        total, parts = to_the_penny(values.sum(axis=0), {"a": values})
        cents = np.rint(parts["a"] * 100).astype(int)
        np.testing.assert_allclose(parts["a"] * 100, cents, atol=1e-6)
        np.testing.assert_array_equal(cents.sum(axis=0), np.rint(total * 100).astype(int))
        assert (cents >= 0).all()
        assert np.abs(parts["a"] - values).max() <= 0.01 + 1e-9


def test_only_units_and_revenue_add_up() -> None:
    keys = pd.DataFrame(
        [
            ("shop", "all", "units"),
            ("country", "x", "units"),
            ("country", "other", "units"),
            ("product", "p", "units"),
            ("product", "other", "units"),
            ("shop", "all", "orders"),
            ("country", "x", "orders"),
            ("country", "x", "revenue"),
        ],
        columns=["level", "key", "measure"],
    )
    mean = RNG.uniform(1, 9, (8, 6))
    done = add_up(keys, mean, np.ones(8))
    np.testing.assert_allclose(done[0], done[1] + done[2], atol=1e-9)
    np.testing.assert_allclose(done[0], done[3] + done[4], atol=1e-9)
    np.testing.assert_array_equal(done[5:], mean[5:])  # orders; revenue without the shop's
