"""Allocations against brute force and the exact solver, on random and on degenerate problems."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clm_dagster.statistics.allocation import (
    BUDGET,
    NO_ACTION,
    Allocation,
    AllocationError,
    Problem,
    allocate,
)
from clm_dagster.statistics.allocation.exact import solve_exactly
from clm_dagster.statistics.allocation.lagrangian import solve_relaxed

CHANNELS = ("mail", "post", "mail", "sms")


@st.composite
def problems(draw: st.DrawFn, most: int = 30) -> tuple[np.ndarray, np.ndarray, float, dict[str, float]]:
    """Values (some equal, some negative, some missing), costs (some zero), a budget and capacities."""
    n = draw(st.integers(0, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    digits = draw(st.integers(0, 3))
    values = rng.normal(1, 3, (n, 4)).round(digits)
    values[rng.random((n, 4)) < 0.1] = np.nan
    costs = rng.gamma(1, 2, (n, 4)).round(digits)
    budget = draw(st.one_of(st.just(0.0), st.just(np.inf), st.floats(0, 3.0 * most)))
    names = draw(st.lists(st.sampled_from(["mail", "post", "sms"]), unique=True))
    limits = st.one_of(st.integers(0, most).map(float), st.just(np.inf), st.floats(0, 5))
    return values, costs, budget, {name: draw(limits) for name in names}


def check_limits(
    plan: Allocation, values: np.ndarray, costs: np.ndarray, budget: float, capacity: dict[str, float]
) -> None:
    """Compute all sums again, from the input."""
    rows = np.flatnonzero(plan.choice != NO_ACTION)
    chosen = plan.choice[rows]
    assert plan.choice.shape == (len(values),)
    assert set(chosen) <= set(range(4))
    assert (values[rows, chosen] > 0).all()
    assert costs[rows, chosen].sum() <= budget * (1 + 1e-12)
    for name, limit in capacity.items():
        assert sum(CHANNELS[action] == name for action in chosen) <= limit
    assert plan.value == pytest.approx(values[rows, chosen].sum())
    assert plan.bound >= plan.value
    for one in plan.constraints:
        assert one.used <= one.limit
        assert one.price >= 0
        assert one.binds == (one.name in plan.binding)


@hypothesis_settings(max_examples=40, deadline=None)
@given(problems())
def test_limits_hold_and_the_gap_is_stated(
    problem: tuple[np.ndarray, np.ndarray, float, dict[str, float]],
) -> None:
    values, costs, budget, capacity = problem
    checked = Problem.of(values, costs, CHANNELS, budget, capacity)
    exact, relaxed = solve_exactly(checked), solve_relaxed(checked, core=5)
    for plan in (exact, relaxed):
        check_limits(plan, values, costs, budget, capacity)
    assert exact.gap == pytest.approx(0, abs=1e-4)
    assert relaxed.value <= exact.value + 1e-6
    assert relaxed.bound >= exact.value - 1e-6
    # A basic solution splits at most as many customers as there are limits.
    finite = int(np.isfinite(checked.limits).sum())
    most = max(np.nanmax(values, initial=0.0), 0.0)
    assert relaxed.gap <= most * finite + 1e-4 * max(exact.value, 1)


@hypothesis_settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 300))
def test_with_a_budget_alone_the_gap_is_at_most_one_customer(seed: int, budget: float) -> None:
    rng = np.random.default_rng(seed)
    values, costs = rng.gamma(1, 3, (300, 4)), rng.gamma(1, 2, (300, 4))
    plan = solve_relaxed(Problem.of(values, costs, CHANNELS, budget), core=20)
    check_limits(plan, values, costs, budget, {})
    assert plan.gap <= values.max()


@pytest.mark.parametrize("seed", range(15))
def test_the_exact_choice_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, costs = rng.integers(-1, 6, (5, 4)).astype(float), rng.integers(0, 4, (5, 4)).astype(float)
    budget, capacity = 6.0, {"mail": 2.0, "sms": 1.0}
    best = 0.0
    for choice in product(range(-1, 4), repeat=5):
        pairs = [(customer, action) for customer, action in enumerate(choice) if action >= 0]
        spent = sum(costs[pair] for pair in pairs)
        counts = {name: sum(CHANNELS[action] == name for _, action in pairs) for name in capacity}
        if spent <= budget and all(counts[name] <= limit for name, limit in capacity.items()):
            best = max(best, sum(float(values[pair]) for pair in pairs))
    assert allocate(values, costs, CHANNELS, budget, capacity).value == best


def test_the_price_is_the_value_of_one_more_unit() -> None:
    rng = np.random.default_rng(3)
    values, costs = rng.gamma(2, 3, (3_000, 4)), rng.gamma(2, 1, (3_000, 4))
    capacity = {"mail": 600.0, "post": 100.0}
    plan = allocate(values, costs, CHANNELS, 900, capacity)
    assert plan.method == "lagrangian"
    assert plan.relative_gap < 1e-4
    assert plan.binding == (BUDGET, "mail", "post")
    budget, mail, _ = plan.constraints
    richer = allocate(values, costs, CHANNELS, 930, capacity)
    assert (richer.value - plan.value) / 30 == pytest.approx(budget.price, rel=0.1)
    larger = allocate(values, costs, CHANNELS, 900, capacity | {"mail": 620.0})
    assert (larger.value - plan.value) / 20 == pytest.approx(mail.price, rel=0.1)


def test_equal_customers_are_served_by_order() -> None:
    for count in (10, 4_000):
        plan = allocate(np.full((count, 1), 2.0), [3.0], ["mail"], budget=3 * count / 2)
        assert plan.choice.tolist() == [0] * (count // 2) + [NO_ACTION] * (count // 2)
        assert plan.gap == pytest.approx(0, abs=1e-6 * count)
        assert plan.constraints[0].price == pytest.approx(2 / 3, rel=1e-4)


def test_the_first_of_equal_actions_is_chosen_and_free_ones_need_no_budget() -> None:
    for count in (3, 3_000):
        plan = allocate(np.ones((count, 2)), [0.0, 0.0], ["mail", "sms"], budget=0)
        assert plan.choice.tolist() == [0] * count
        assert plan.gap == pytest.approx(0, abs=1e-9 * count)


def test_nothing_is_chosen_without_customers_budget_or_value() -> None:
    assert allocate(np.zeros((0, 2)), [1.0, 1.0], ["mail", "sms"], 10).value == 0
    for count in (5, 5_000):
        assert set(allocate(np.ones((count, 1)), [1.0], ["mail"], 0.0).choice) == {NO_ACTION}
        assert set(allocate(np.full((count, 1), -1.0), [0.0], ["mail"], 9.0).choice) == {NO_ACTION}
        assert set(allocate(np.ones((count, 1)), [0.0], ["mail"], 9.0, {"mail": 0}).choice) == {NO_ACTION}


def test_without_limits_everyone_gets_their_best_action() -> None:
    values = np.random.default_rng(0).normal(size=(3_000, 3))
    plan = allocate(values, np.ones(3), ["a", "b", "c"], capacity={"a": np.inf})
    best = values.argmax(axis=1)
    assert plan.choice.tolist() == np.where(values.max(axis=1) > 0, best, NO_ACTION).tolist()
    assert plan.gap == pytest.approx(0, abs=1e-6)
    assert plan.binding == ()


def test_the_same_input_gives_the_same_choice() -> None:
    rng = np.random.default_rng(5)
    values, costs = rng.gamma(1, 3, (20_000, 3)).round(1), np.array([0.5, 1.0, 2.0])
    first, second = (allocate(values, costs, ["a", "b", "b"], 5_000, {"b": 2_000}) for _ in range(2))
    np.testing.assert_array_equal(first.choice, second.choice)
    assert first.relative_gap < 1e-4


@pytest.mark.parametrize(
    ("values", "costs", "channels", "budget", "capacity", "message"),
    [
        (np.ones(3), [1.0], ["mail"], 1.0, {}, r"shape \(customers, actions\)"),
        (np.ones((3, 2)), [1.0, 1.0], ["mail"], 1.0, {}, "1 channels"),
        (np.ones((3, 1)), np.ones((2, 1)), ["mail"], 1.0, {}, "costs must have the shape"),
        (np.ones((3, 1)), [-1.0], ["mail"], 1.0, {}, "0 or more"),
        (np.full((3, 1), np.inf), [1.0], ["mail"], 1.0, {}, "below infinity"),
        (np.ones((3, 1)), [1.0], ["mail"], np.nan, {}, "limit of budget"),
        (np.ones((3, 1)), [1.0], ["mail"], 1.0, {"post": 1.0}, "capacity of post"),
    ],
)
def test_bad_input_is_named(
    values: np.ndarray,
    costs: list[float],
    channels: list[str],
    budget: float,
    capacity: dict[str, float],
    message: str,
) -> None:
    with pytest.raises(AllocationError, match=message):
        allocate(values, costs, channels, budget, capacity)
