"""Each method on series with a known future, and compared with an independent computation."""

import numpy as np
import pytest

from clm_dagster.domains.demand.features import design
from clm_dagster.domains.demand.local_methods import local_methods
from clm_dagster.domains.demand.model import candidates
from clm_dagster.domains.demand.panel_methods import (
    EightWeekMean,
    IntermittentDemand,
    Method,
    OnOneWeekday,
    SeasonalNaive,
    SummedDays,
    training_origins,
)
from clm_dagster.domains.demand.series import Panel, weekly_panel
from clm_dagster.statistics.forecasting.local_models import back_to_mean
from clm_dagster.statistics.forecasting.transforms import choose_power, transformed
from clm_dagster_tests.domains.demand.shop import WEEK, days_of, expected, panel_of

HORIZON = 28
LEVELS = np.array([4.0, 20.0, 60.0, 100.0])


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Poisson days around a fixed weekly season; the last series sells on one open day in five."""
    rng, days = np.random.default_rng(11), days_of()
    values = rng.poisson(np.stack([expected(level, days) for level in LEVELS])).astype(float)
    return panel_of(np.vstack([values, values[1] * (rng.random(days.size) < 0.2)]))


def names(method: Method) -> str:
    return method.name


@pytest.mark.parametrize("method", candidates(), ids=names)
def test_methods_find_the_weekly_season_without_look_ahead(method: Method, panel: Panel) -> None:
    origin = panel.size - HORIZON
    paths = method.paths(panel, np.array([origin]), HORIZON)
    assert paths.shape == (len(panel), 1, HORIZON)
    mean = LEVELS[:, None] * WEEK[panel.weekdays[origin:]]
    off = np.abs(paths[: len(LEVELS), 0] - mean).sum(axis=1) / mean.sum(axis=1)
    # A single week has Poisson noise; TSB has no weekly season.
    limit = {"seasonal_naive": [0.7, 0.3, 0.2, 0.15], "tsb": [0.6] * 4}.get(
        method.name, [0.35, 0.15, 0.1, 0.1]
    )
    assert (off < limit).all()
    assert (paths >= 0).all()
    assert (paths[:, 0, panel.weekdays[origin:] == 5] == 0).all()
    if method.name not in ("seasonal_naive", "tsb"):
        assert paths[-1].sum() == pytest.approx(20 * 0.2 * WEEK.sum() * 4, rel=0.5)
    # Values after the origin do not change the forecast.
    later = panel.values.copy()
    later[:, origin:] = 1e6
    np.testing.assert_array_equal(method.paths(panel.until(origin), np.array([origin]), HORIZON), paths)
    np.testing.assert_array_equal(
        method.paths(_with_values(panel, later), np.array([origin]), HORIZON), paths
    )


@pytest.mark.parametrize("method", candidates(), ids=names)
def test_each_origin_is_forecast_from_earlier_values_only(method: Method, panel: Panel) -> None:
    origins = panel.size - HORIZON - np.array([42, 14])
    both = method.paths(panel, origins, HORIZON)
    np.testing.assert_allclose(
        method.paths(panel, origins[:1], HORIZON)[:, 0], both[:, 0], rtol=1e-9, atol=1e-9
    )
    later = panel.values.copy()
    later[:, origins[1] :] = 0
    again = method.paths(_with_values(panel, later), origins, HORIZON)
    np.testing.assert_allclose(again, both, rtol=1e-9, atol=1e-9)


def _with_values(panel: Panel, values: np.ndarray) -> Panel:
    return Panel(panel.keys, values, panel.dates, panel.shut, panel.step)


def test_naive_methods_follow_their_definition(panel: Panel) -> None:
    origin = np.array([panel.size - 3])
    last = panel.values[:, origin[0] - 56 : origin[0]].reshape(len(panel), 8, 7)
    week = SeasonalNaive().paths(panel, origin, 14)[:, 0]
    np.testing.assert_array_equal(week, np.tile(last[:, -1], 2))
    mean = EightWeekMean().paths(panel, origin, 14)[:, 0]
    np.testing.assert_allclose(mean, np.tile(last.mean(axis=1), 2))


def test_tsb_matches_the_recursion_of_the_paper() -> None:
    rng = np.random.default_rng(5)
    values = np.where(rng.random(300) < 0.3, rng.integers(1, 9, 300), 0).astype(float)
    values[0] = 3.0
    panel = panel_of(values[None])
    method = IntermittentDemand(probability_constants=(0.1,), size_constants=(0.2,))
    probability, size = 1.0, values[0]
    for value in values[1:]:
        probability += 0.1 * ((value > 0) - probability)
        if value > 0:
            size += 0.2 * (value - size)
    assert panel.open_weekdays(300).all()
    np.testing.assert_allclose(method.paths(panel, np.array([300]), 7)[0, 0], probability * size)


def test_weekly_forecasts_are_sums_of_days(panel: Panel) -> None:
    weeks = weekly_panel(panel)
    method = EightWeekMean()
    summed = SummedDays(method).paths(weeks, np.array([weeks.size - 4, weeks.size]), 4)
    days = method.paths(panel, np.array([panel.size - 28, panel.size]), 28)
    np.testing.assert_allclose(summed, days.reshape(len(panel), 2, 4, 7).sum(axis=3))


def test_features_of_an_origin_use_earlier_values_only(panel: Panel) -> None:
    origins = training_origins(panel, panel.size - 100, HORIZON, most=20)
    made = design(panel, origins, HORIZON)
    changed = panel.values.copy()
    changed[:, origins[-1] :] *= 3
    again = design(_with_values(panel, changed), origins, HORIZON)
    np.testing.assert_array_equal(made.inputs, again.inputs)
    column = made.names.index("same_weekday_3")
    steps, origin = np.arange(HORIZON), origins[4]
    by_hand = [panel.values[1, [origin + (s % 7) - 7 * back for back in (1, 2, 3)]].mean() for s in steps]
    np.testing.assert_allclose(made.inputs[1, 4, :, column] * made.scale[1, 4], by_hand)


def test_the_power_follows_guerreros_rule() -> None:
    rng, week = np.random.default_rng(8), np.tile(WEEK[[0, 1, 2, 3, 4, 6]], 100)
    growth = np.exp(np.linspace(0, 3, 600))
    assert choose_power(rng.normal(50, 5, 600), 6) == 1.0
    assert choose_power(10 * growth + rng.normal(0, 3, 600), 6) == 1.0
    assert choose_power(20 + growth * week * rng.lognormal(0, 0.3, 600) * 50, 6) == 0.0
    assert choose_power(rng.poisson(5 * growth).astype(float), 6) == 0.5
    with_zeros = growth * week * rng.lognormal(0, 0.3, 600) * (rng.random(600) > 0.05)
    assert choose_power(with_zeros, 6) == 0.5


@pytest.mark.parametrize(("power", "spread"), [(0.0, 0.3), (0.5, 1.0)])
def test_the_inverse_transform_keeps_the_mean(power: float, spread: float) -> None:
    scaled = np.random.default_rng(9).normal(4.0, spread, 400_000)
    values = np.expm1(scaled) if power == 0 else (1 + scaled / 2) ** 2
    np.testing.assert_allclose(transformed(values[:100], power), scaled[:100])
    found = back_to_mean(np.array([4.0]), power, spread**2)[0]
    assert found == pytest.approx(values.mean(), rel=0.01)


def test_the_number_of_processes_does_not_change_results(panel: Panel) -> None:
    theta = {method.name: method for method in local_methods()}["theta"]
    shared = {method.name: method for method in local_methods(jobs=2)}["theta"]
    origins = np.array([panel.size - 28, panel.size])
    np.testing.assert_array_equal(theta.paths(panel, origins, 7), shared.paths(panel, origins, 7))


def test_a_shop_that_sells_on_one_weekday_has_the_weekly_forecasts_on_that_day() -> None:
    rng = np.random.default_rng(3)
    values = np.zeros((3, 420))
    values[:, 1::7] = rng.poisson([[5.0], [30.0], [80.0]], (3, 60))  # Tuesdays
    panel = panel_of(values)
    weeks = weekly_panel(panel)
    origins = np.array([panel.size - 28, panel.size - 14])
    methods = [m for m in candidates(one_weekday=True) if isinstance(m, OnOneWeekday)]
    assert methods
    for method in methods:
        paths = method.paths(panel, origins, 14)
        of_weeks = method.of.paths(weeks, np.array([weeks.size - 4, weeks.size - 2]), 2)
        np.testing.assert_allclose(paths[:, :, 1::7], of_weeks)
        assert np.count_nonzero(np.delete(paths, [1, 8], axis=2)) == 0
    with pytest.raises(ValueError, match="expected whole weeks before its end"):
        methods[0].paths(panel, np.array([panel.size - 10]), 7)
