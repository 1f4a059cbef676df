"""Level, metrics, intervals and tiers, each against figures computed independently."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from clm_dagster.domains.value.gates import IntervalCoverage
from clm_dagster.domains.value.intervals import Intervals, fit_intervals
from clm_dagster.domains.value.level import (
    UNTRIED_ERROR,
    Amounts,
    Levels,
    capped_total,
    multiplier,
    scaled_to_total,
)
from clm_dagster.domains.value.metrics import (
    counted_capture,
    counted_mae,
    decile_error,
    deciles,
    mae,
    normalised_gini,
    revenue_capture,
    spearman,
    top_overlap,
    value_metrics,
)
from clm_dagster.domains.value.tiers import TIERS, Tiers, evaluate_tier_methods, fit_tiers

STEP, HORIZON, LAST = 28, 84, date(2024, 12, 30)


# ------------------------------------------------------------------------------------------- level


def simulate(wave: float, trend: float = 0.0, steps: int = 32) -> Levels:
    """Return snapshots whose totals differ from the expected ones by a yearly wave and a trend."""
    rng = np.random.default_rng(0)
    days = [LAST - timedelta(days=STEP * k) for k in range(steps)][::-1]
    ids = np.array([f"c{i}" for i in range(500)], dtype=object)
    cumulative, amounts = np.zeros(500), {}
    for place, day in enumerate(days):
        off = np.exp(wave * np.sin(2 * np.pi * place / 13) + trend * place)
        expected = rng.gamma(2, 10, 500)
        amounts[day] = Amounts(ids, 3 * expected, expected, cumulative, 3 * expected * off)
        cumulative = cumulative + expected * off
    return Levels(amounts, float("inf"), HORIZON, STEP)


def actual_level(levels: Levels, day: date) -> float:
    found = levels.amounts[day]
    assert found.actual is not None
    return float(found.actual.sum() / found.expected.sum())


def test_a_season_is_found_and_forecast() -> None:
    for trend in (0.0, 0.01):
        levels = simulate(0.5, trend)
        found = levels.forecast(LAST, [day for day in levels.amounts if day < LAST])
        assert found.method in ("year", "season", "half")
        assert found.factor == pytest.approx(actual_level(levels, LAST), rel=0.08)
        assert abs(found.factors["constant_rate"] / actual_level(levels, LAST) - 1) > 0.1
        assert found.errors[found.method] < UNTRIED_ERROR < found.errors["constant_rate"]


def test_a_constant_purchase_rate_needs_no_correction() -> None:
    levels = simulate(0.0)
    assert levels.forecast(LAST, sorted(levels.amounts)).factor == pytest.approx(1, abs=1e-9)


def test_the_forecast_does_not_read_the_future() -> None:
    levels = simulate(0.5)
    days = sorted(levels.amounts)
    before = levels.forecast(LAST, days)
    changed = {
        day: Amounts(one.customer_id, one.expected, one.expected_step, one.cumulative, one.expected * 9)
        if day + timedelta(days=HORIZON) > LAST
        else one
        for day, one in levels.amounts.items()
    }
    assert Levels(changed, float("inf"), HORIZON, STEP).forecast(LAST, days) == before
    assert levels.of_step(LAST, LAST) is None and levels.of_label(LAST, LAST) is None


def test_a_huge_order_a_year_ago_is_capped() -> None:
    levels = simulate(0.5)
    year_ago = LAST - timedelta(days=364)
    one = levels.amounts[year_ago]
    assert one.actual is not None
    actual = one.actual.copy()
    actual[3] += 1e6
    huge = dict(levels.amounts) | {
        year_ago: Amounts(one.customer_id, one.expected, one.expected_step, one.cumulative, actual)
    }
    uncapped, capped = (
        Levels(huge, cap, HORIZON, STEP).of_label(year_ago, LAST) for cap in (float("inf"), 300.0)
    )
    assert uncapped is not None and capped is not None
    assert uncapped > 3 and capped == pytest.approx(np.log(actual_level(levels, year_ago)), abs=0.05)


def test_a_multiplier_gives_the_capped_total() -> None:
    predicted = np.random.default_rng(1).lognormal(3, 1.5, 2000)
    for total in (1000.0, predicted.sum(), 3 * predicted.sum()):
        for cap in (50.0, 1000.0, float("inf")):
            found = multiplier(predicted, total, cap)
            reachable = min(total, 0.999 * cap * len(predicted))
            assert capped_total(found * predicted, cap) == pytest.approx(reachable, rel=1e-6)
    with pytest.raises(ValueError, match="0 predictions above 0 cannot be scaled to a total of 5"):
        multiplier(np.zeros(3), 5.0, 10.0)
    assert (scaled_to_total(np.zeros(3), 5.0, 10.0) == 0).all()
    assert scaled_to_total(np.ones(4), 8.0, 10.0) == pytest.approx(2)


# ----------------------------------------------------------------------------------------- metrics


def test_metrics_by_hand() -> None:
    actual = np.array([0.0, 0, 0, 0, 0, 0, 10, 20, 30, 140])
    predicted = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 150, 14])
    found = value_metrics(actual, predicted)
    assert found["bias"] == pytest.approx(0)
    assert found["mae"] == pytest.approx((21 + 3 + 12 + 120 + 126) / 10)
    assert found["catch"] == pytest.approx(0.15) and found["best_catch"] == pytest.approx(0.7)
    assert found["top_customers"] == 0
    assert found["spearman"] == pytest.approx(spearmanr(actual, predicted)[0])
    assert revenue_capture(actual, np.ones(10)) == pytest.approx(0.1)  # all tie for the only place
    assert spearman(actual, np.ones(10)) == 0


def test_gini_is_the_area_above_the_lorenz_curve() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.gamma(1, 1, 4000)
    actual = predicted * rng.gamma(1, 1, 4000)

    def area(order: np.ndarray) -> float:
        """Return the area between the diagonal and the Lorenz curve of the actual amounts, sorted by `order`."""
        curve = np.concatenate([[0], np.cumsum(actual[np.argsort(order)]) / actual.sum()])
        return 0.5 - float(np.trapezoid(curve, dx=1 / 4000))

    assert normalised_gini(actual, predicted) == pytest.approx(area(predicted) / area(actual), rel=1e-6)
    assert normalised_gini(actual, actual) == pytest.approx(1)
    assert normalised_gini(actual, np.ones(4000)) == pytest.approx(0, abs=1e-9)
    assert top_overlap(actual, actual) == pytest.approx(1)


def test_deciles_add_up() -> None:
    rng = np.random.default_rng(0)
    actual, predicted = rng.gamma(0.3, 100, 1000), rng.gamma(1, 100, 1000)
    table = deciles(actual, predicted)
    assert table.decile.to_list() == list(range(1, 11)) and (table.customers == 100).all()
    assert table.actual.sum() == pytest.approx(actual.sum())
    top = np.argsort(-predicted)[:100]
    assert table.actual[0] == pytest.approx(actual[top].sum())
    assert decile_error(actual, actual) == 0 and decile_error(actual, 2 * actual) == pytest.approx(1)


# --------------------------------------------------------------------------------------- intervals


def spent(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate expected and actual amounts. A higher expectation means a higher probability to spend at all."""
    expected = rng.lognormal(3, 1.2, count)
    buys = rng.random(count) < expected / (expected + 15)
    return expected, np.where(buys, rng.gamma(2, 0.5, count) * (expected + 15), 0.0)


def test_intervals_have_their_nominal_coverage() -> None:
    rng = np.random.default_rng(3)
    expectations, amounts = zip(*(spent(rng, 2000) for _ in range(3)), strict=True)
    intervals = fit_intervals(expectations, amounts, 0.8)
    expected, actual = spent(rng, 20_000)
    low, high = intervals(expected)
    inside = (low <= actual) & (actual <= high)
    assert inside.mean() == pytest.approx(0.8, abs=0.03)
    for rows in np.array_split(
        np.argsort(expected), 10
    ):  # the same coverage for large and for small customers
        assert 0.76 < inside[rows].mean() < max(0.84, (actual[rows] == 0).mean() + 0.04)
    assert (
        (low >= 0).all() and (low[expected < 20] == 0).mean() > 0.9 and (low[expected > 200] > 0).mean() > 0.9
    )
    again = Intervals.from_dict(intervals.as_dict())
    assert np.array_equal(again(expected), (low, high))


def test_intervals_of_few_and_of_ties() -> None:
    intervals = fit_intervals([np.array([5.0, 5.0, 5.0])], [np.array([0.0, 10.0, -3.0])], 0.8)
    low, high = intervals(np.array([0.0, 5.0, 1e6]))
    assert np.isfinite([*low, *high]).all() and low[1] == 0 and high[1] == pytest.approx(10)
    zeros = fit_intervals(
        [np.r_[np.zeros(900), np.full(100, 50.0)]], [np.r_[np.zeros(900), np.full(100, 40.0)]], 0.8
    )
    assert zeros(np.array([0.0]))[1][0] == 0 and zeros(np.array([50.0]))[1][0] == pytest.approx(40)


# ------------------------------------------------------------------------------------------- tiers


def test_tiers_have_the_same_shares_as_on_validation() -> None:
    rng = np.random.default_rng(5)
    expected, actual = spent(rng, 6000)
    x = pd.DataFrame({"some": rng.normal(size=6000)})
    tiers = fit_tiers([expected], [actual], [x])
    observed, predicted = (
        pd.Series(t).value_counts(normalize=True) for t in (tiers.actual(actual), tiers(expected, x))
    )
    assert observed["low"] == pytest.approx((actual == 0).mean()) and observed["vip"] == pytest.approx(
        0.05, abs=0.001
    )
    assert observed["regular"] == pytest.approx(0.15, abs=0.001)
    assert np.allclose(observed[list(TIERS)], predicted[list(TIERS)], atol=0.002)
    order = pd.Series(expected).groupby(tiers(expected, x)).agg(["min", "max"]).loc[list(TIERS)]
    assert (order["max"].to_numpy()[:-1] <= order["min"].to_numpy()[1:]).all()
    softmax = tiers.probabilities(expected, x)
    assert np.allclose(softmax.sum(axis=1), 1) and list(softmax) == list(TIERS)
    compared = evaluate_tier_methods(tiers, *spent(rng, 6000), x)
    assert set(compared.method) == {"cutoffs", "softmax"} and compared.macro_f1.is_monotonic_decreasing
    assert (compared.macro_f1 > 0.3).all()


def test_returns_count_as_the_low_tier() -> None:
    tiers = Tiers("cutoffs", (50.0, 200.0), (5.0, 40.0, 100.0))
    assert list(tiers.actual(np.array([-10.0, 0, 0.01, 50, 200]))) == [
        "low",
        "low",
        "potential",
        "regular",
        "vip",
    ]
    assert list(tiers(np.array([0.0, 5, 40, 100]), pd.DataFrame())) == ["low", "potential", "regular", "vip"]


def test_one_tier_for_all_needs_no_classifier() -> None:
    some, x = np.full(200, 30.0), pd.DataFrame({"some": np.zeros(200)})
    tiers = fit_tiers([some], [some], [x])
    assert tiers.classifier is None and set(tiers.actual(some)) == set(tiers(some, x)) == {"vip"}
    assert evaluate_tier_methods(tiers, some, some, x).method.to_list() == ["cutoffs"]


# -------------------------------------------------------------------------------- coverage in the gate


def coverage_of(wide: int, wide_inside: int, flat: int, flat_inside: int) -> IntervalCoverage:
    """Return the coverage of intervals 1 to 2 and of intervals 0 to 0, with these numbers of customers inside."""
    low, high = np.repeat([1.0, 0.0], [wide, flat]), np.repeat([2.0, 0.0], [wide, flat])
    actual = np.concatenate(
        [
            np.where(np.arange(wide) < wide_inside, 1.5, 9.0),
            np.where(np.arange(flat) < flat_inside, 0.0, 5.0),
        ]
    )
    return IntervalCoverage.of(actual, low, high, 0.8)


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (coverage_of(1000, 800, 0, 0), True),
        (coverage_of(1000, 700, 0, 0), False),
        (coverage_of(1000, 900, 0, 0), False),  # too wide is a fault as well
        (coverage_of(390, 312, 610, 600), True),  # most buy nothing: 91% overall, and right
        (coverage_of(390, 250, 610, 600), False),
        (coverage_of(390, 312, 610, 400), False),  # 0 to 0 for customers who buy
        (coverage_of(0, 0, 500, 490), True),
        (coverage_of(20, 14, 0, 0), True),  # 70% of 20 customers may be chance
    ],
)
def test_coverage_is_judged_where_intervals_have_a_width(found: IntervalCoverage, holds: bool) -> None:
    assert found.holds is holds, str(found)


def test_the_shrinkage_of_the_top_tier_is_measured() -> None:
    """Expectations with errors: those at the top are too high, and the result says by how much."""
    rng = np.random.default_rng(0)
    true = rng.gamma(2.0, 20.0, 4000)
    expected, actual = true * rng.lognormal(0, 0.4, 4000), true * rng.lognormal(0, 0.4, 4000)
    x = pd.DataFrame({"a": np.zeros(4000)})
    tiers = fit_tiers([expected], [actual], [x])
    row = evaluate_tier_methods(tiers, expected, actual, x).set_index("method").loc["cutoffs"]
    vip = tiers.using("cutoffs")(expected, x) == "vip"
    assert row.expected_vip == pytest.approx(expected[vip].mean())
    assert row.actual_vip == pytest.approx(actual[vip].mean())
    assert row.actual_vip < 0.95 * row.expected_vip


def test_metrics_of_counted_resamples_are_those_of_the_resamples() -> None:
    rng = np.random.default_rng(5)
    actual = rng.gamma(1, 30, 333) * (rng.random(333) < 0.4)
    draws = [rng.integers(0, 333, 333) for _ in range(20)]
    counts = np.stack([np.bincount(rows, minlength=333).astype(float) for rows in draws])
    for predicted in (rng.gamma(1, 30, 333), rng.integers(0, 4, 333).astype(float)):
        for metric, counted in ((mae, counted_mae), (revenue_capture, counted_capture)):
            expected = [metric(actual[rows], predicted[rows]) for rows in draws]
            np.testing.assert_allclose(counted(actual, predicted, counts), expected, rtol=1e-12)
    assert decile_error(actual, actual) == 0
