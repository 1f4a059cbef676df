"""Decompositions and noise of changes."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from clm_dagster.statistics.changes import (
    Volume,
    noise,
    product_effects,
    sampling_change,
    strongest_group,
    usual_change,
)

counts = st.integers(0, 10_000)
amounts = st.floats(-1e7, 1e7, allow_nan=False)
volumes = st.builds(
    lambda customers, orders, sales, extra: (
        Volume(customers, customers + orders, sales, extra) if customers else Volume(0, 0, 0, extra)
    ),
    counts,
    counts,
    amounts,
    amounts,
)


def brute_force(before: Volume, now: Volume) -> dict[str, float]:
    """The mean effect of changing each factor over all six orders."""
    old = [before.customers, before.orders / before.customers, before.sales / before.orders]
    new = [now.customers, now.orders / now.customers, now.sales / now.orders]
    effects = [0.0, 0.0, 0.0]
    for order in itertools.permutations(range(3)):
        state = list(old)
        for place in order:
            start = math.prod(state)
            state[place] = new[place]
            effects[place] += (math.prod(state) - start) / 6
    return dict(zip(("customers", "orders", "value"), effects, strict=True))


@given(volumes, volumes)
def test_effects_add_up_to_the_change(before: Volume, now: Volume) -> None:
    effects = product_effects(before, now)
    size = max(abs(before.sales), abs(now.sales), abs(before.extra), abs(now.extra), 1.0)
    sizes = [abs(effect) for effect in effects.values()]
    assert math.fsum(effects.values()) == pytest.approx(
        now.total - before.total, abs=1e-9 * max(size, *sizes)
    )


@given(volumes, volumes)
def test_effects_are_means_over_all_orders_of_change(before: Volume, now: Volume) -> None:
    if before.customers and now.customers:
        effects = product_effects(before, now)
        expected = brute_force(before, now)
        size = max(1.0, *(abs(value) for value in expected.values()), abs(before.sales), abs(now.sales))
        assert {name: effects[name] for name in expected} == pytest.approx(expected, abs=1e-7 * size)


def test_one_factor_at_a_time() -> None:
    before = Volume(100, 200, 4000, -50)
    assert product_effects(before, Volume(110, 220, 4400, -50))["customers"] == pytest.approx(400)
    assert product_effects(before, Volume(100, 220, 4400, -50))["orders"] == pytest.approx(400)
    assert product_effects(before, Volume(100, 200, 4400, -50))["value"] == pytest.approx(400)
    assert product_effects(before, Volume(100, 200, 4000, -80))["extra"] == pytest.approx(-30)


def test_a_week_without_orders_lost_its_customers() -> None:
    effects = product_effects(Volume(10, 20, 400), Volume(0, 0, 0, -30))
    assert effects == pytest.approx({"customers": -400, "orders": 0, "value": 0, "extra": -30, "rest": 0})
    back = product_effects(Volume(0, 0, 0), Volume(10, 20, 400))
    assert back == pytest.approx({"customers": 400, "orders": 0, "value": 0, "extra": 0, "rest": 0})


def test_sales_without_an_order_are_the_rest() -> None:
    assert product_effects(Volume(0, 0, 0), Volume(0, 0, 25)) == pytest.approx(
        {"customers": 0, "orders": 0, "value": 0, "extra": 0, "rest": 25}
    )


def test_the_group_that_explains_a_change() -> None:
    splits = {
        "channel": {"web": (500.0, 490.0), "shop": (500.0, 610.0)},
        "country": {"FR": (900.0, 990.0), "DE": (100.0, 110.0)},
    }
    found = strongest_group(splits)
    assert found is not None
    assert (found.dimension, found.group) == ("channel", "shop")
    assert found.change == pytest.approx(110)
    # Every country grew alike: none explains it.
    assert strongest_group({"country": splits["country"]}) is None
    assert strongest_group({"channel": {"all": (1.0, 2.0)}}) is None
    assert strongest_group({"channel": {"a": (1.0, 1.0), "b": (2.0, 2.0)}}) is None
    assert strongest_group({}) is None


def test_usual_change_by_hand() -> None:
    series = [1000.0, 10.0, 12.0, 9.0, 9.0, 13.0]
    changes = [-2.0, 3.0, 0.0, -4.0]
    expected = t.ppf(0.95, 4 / 1.5) * math.sqrt(sum(change**2 for change in changes) / 4)
    assert usual_change(series, 1) == pytest.approx(expected)
    assert usual_change(series[:5], 1) is None
    assert usual_change([*series, None], 1) == pytest.approx(expected)
    assert usual_change([], 1) is None
    assert usual_change(series, 4) is None


def test_noise_is_the_larger_and_needs_a_history() -> None:
    assert noise(2.0, 3.0) == 3.0
    assert noise(2.0, None) == 2.0
    assert noise(None, 3.0) is None


def test_a_change_without_a_reason_is_rarely_told() -> None:
    """Nine of ten weeks of a shop in which nothing changes are quiet, by either width."""
    random = np.random.default_rng(5)
    told = {"usual": 0, "sampling": 0}
    weeks = 2000
    for _ in range(weeks):
        buys = random.random((19, 400)) < 0.1
        spent = np.where(buys, random.gamma(2.0, 20.0, (19, 400)), 0.0)
        series = [float(value) for value in spent.sum(axis=1)]
        change = abs(series[0] - series[1])
        width = usual_change(series, 1)
        assert width is not None
        told["usual"] += change > width
        told["sampling"] += change > sampling_change(float(((spent[0] - spent[1]) ** 2).sum()))
    assert {name: round(count / weeks, 2) for name, count in told.items()} == {
        "usual": pytest.approx(0.11, abs=0.03),
        "sampling": pytest.approx(0.10, abs=0.03),
    }
