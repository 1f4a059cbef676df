"""The race of candidates: who is dropped, what is run, and that nothing changes for those that stay."""

from collections.abc import Sequence

import numpy as np
import pytest

from clm_dagster.domains.demand.backtest import Ran
from clm_dagster.domains.demand.local_methods import LocalMethod, local_methods
from clm_dagster.domains.demand.panel_methods import EightWeekMean, Method, SeasonalNaive
from clm_dagster.domains.demand.race import MIN_SERIES, SAMPLE, cannot_win, race, sample_of
from clm_dagster.domains.demand.series import Panel
from clm_dagster.domains.demand.series_class import EVALUATED
from clm_dagster_tests.domains.demand.shop import panel_of

ORIGINS = np.array([172, 186])
HORIZON = 14
RNG = np.random.default_rng(11)
VALUES = RNG.poisson(np.linspace(2, 40, 60)[:, None], (60, 200)).astype(float)
CLASSES = np.full(60, EVALUATED[0])


class Runner:
    """Runs methods: a local one is off by its own factor, and every call is remembered."""

    def __init__(self, factors: dict[str, float]) -> None:
        self.factors = factors
        self.rows: dict[str, int] = {}

    def __call__(self, method: Method, panel: Panel, origins: np.ndarray, horizon: int) -> Ran:
        self.rows[method.name] = self.rows.get(method.name, 0) + len(panel)
        if not isinstance(method, LocalMethod):
            return Ran(method.paths(panel, origins, horizon))
        mean = np.nanmean(panel.values, axis=1)[:, None, None]
        paths = np.broadcast_to(mean * self.factors[method.name], (len(panel), origins.size, horizon)).copy()
        return Ran(paths, [{"key": key} for key in panel.keys["key"]])


def methods_and_factors(factors: Sequence[float]) -> tuple[list[Method], dict[str, float]]:
    local = local_methods()[: len(factors)]
    assert len(local) == len(factors)
    by_name = {method.name: factor for method, factor in zip(local, factors, strict=True)}
    return [SeasonalNaive(), EightWeekMean(), *local], by_name


def test_a_method_that_is_far_off_is_dropped_and_not_run_on_the_other_series() -> None:
    methods, factors = methods_and_factors([1.0, 1.01, 4.0])
    panel, run = panel_of(VALUES), Runner(factors)
    found, dropped = race(panel, methods, ORIGINS, HORIZON, CLASSES, run)
    good, near, bad = factors
    assert dropped == (bad,)
    assert found.methods == tuple(m.name for m in methods if m.name != bad)
    # Each of the others forecasts every series once.
    assert run.rows[bad] == SAMPLE
    assert {name: rows for name, rows in run.rows.items() if name != bad} == dict.fromkeys(found.methods, 60)
    for name in found.methods:
        method = next(m for m in methods if m.name == name)
        np.testing.assert_array_equal(
            found.paths[found.methods.index(name)], Runner(factors)(method, panel, ORIGINS, HORIZON).paths
        )
    # Parameters are those of the series of the same row, of methods that stay.
    assert set(found.parameters) == {good, near}
    assert [one["key"] for one in found.parameters[near]] == panel.keys["key"].tolist()
    assert {good, near} <= set(found.methods)


def test_methods_that_are_as_good_as_the_best_stay() -> None:
    methods, factors = methods_and_factors([1.0, 1.0, 1.0, 1.02])
    _, dropped = race(panel_of(VALUES), methods, ORIGINS, HORIZON, CLASSES, Runner(factors))
    assert dropped == ()


def test_few_series_have_no_race() -> None:
    methods, factors = methods_and_factors([1.0, 4.0])
    few = VALUES[: MIN_SERIES - 1]
    found, dropped = race(panel_of(few), methods, ORIGINS, HORIZON, CLASSES[: len(few)], Runner(factors))
    assert dropped == ()
    assert found.methods == tuple(method.name for method in methods)


def test_the_sample_covers_small_and_large_series() -> None:
    rows = sample_of(panel_of(VALUES), CLASSES)
    means = VALUES.mean(axis=1)
    assert rows.size == np.unique(rows).size == SAMPLE
    assert {int(means.argmin()), int(means.argmax())} <= set(rows.tolist())
    assert sample_of(panel_of(VALUES), np.full(60, "young")).size == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_best_three_methods_never_lose_and_one_above_all_limits_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rmsse = rng.uniform(0.7, 1.3, (6, SAMPLE))
    rmsse[5] = rmsse[:5].max(axis=0) + 1
    loses = cannot_win(rmsse)
    best = np.argsort(rmsse.mean(axis=1), kind="stable")[:3]
    assert not loses[best].any()
    assert loses[5]


def test_two_series_are_needed_to_lose() -> None:
    assert not cannot_win(np.array([[1.0], [9.0]])).any()
