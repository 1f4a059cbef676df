"""Origins, measures, choice and intervals, compared with loops and simulations."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_pinball_loss

from clm_dagster.domains.demand.backtest import (
    COMBINATION,
    Backtest,
    coverage,
    interval_score,
    measures,
    naive_scales,
    rolling_origins,
)
from clm_dagster.domains.demand.panel_methods import EightWeekMean, SeasonalNaive
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import conformal_quantiles, has_residuals
from clm_dagster_tests.domains.demand.shop import panel_of

RNG = np.random.default_rng(4)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Seed the generator, so that a test draws the same numbers alone and among others."""
    RNG.bit_generator.state = START


def test_origins_end_one_horizon_before_as_of() -> None:
    assert rolling_origins(200, 28, 14, 4, 50).tolist() == [130, 144, 158, 172]
    assert rolling_origins(200, 28, 14, 9, 140).tolist() == [144, 158, 172]
    assert rolling_origins(40, 28, 14, 4, 20).size == 0


def test_measures_match_a_loop() -> None:
    values = RNG.poisson(5.0, (3, 200)).astype(float)
    panel = panel_of(values)
    origins = np.array([144, 158])
    test = Backtest.run(panel, [SeasonalNaive(), EightWeekMean()], origins, 28)
    found = measures(test.paths[1], test.actual, *test.scales)
    scale, square = naive_scales(panel, 144)
    for row in range(3):
        seen = values[row, :144]
        assert scale[row] == pytest.approx(np.mean([abs(seen[t] - seen[t - 7]) for t in range(7, 144)]))
        assert square[row] == pytest.approx(
            np.sqrt(np.mean([(seen[t] - seen[t - 7]) ** 2 for t in range(7, 144)]))
        )
        actual = np.concatenate([values[row, o : o + 28] for o in origins])
        path = test.paths[1, row].ravel()
        assert found["mase"][row] == pytest.approx(mean_absolute_error(actual, path) / scale[row])
        assert found["wape"][row] == pytest.approx(np.abs(actual - path).sum() / actual.sum())
        assert found["bias"][row] == pytest.approx((path - actual).sum() / actual.sum())
        smape = [2 * abs(a - f) / (a + f) if a + f else 0 for a, f in zip(actual, path, strict=True)]
        assert found["smape"][row] == pytest.approx(np.mean(smape))


def test_the_interval_score_is_two_pinball_losses() -> None:
    """Gneiting and Raftery: score = 2 / alpha x (pinball at alpha / 2 + pinball at 1 - alpha / 2)."""
    actual, low, high = RNG.normal(size=(1, 40, 5)), np.full((1, 40, 5), -1.0), np.full((1, 40, 5), 1.2)
    ours = interval_score(low, high, actual, 0.8)[0]
    losses = sum(
        mean_pinball_loss(actual.ravel(), band.ravel(), alpha=a) for band, a in ((low, 0.1), (high, 0.9))
    )
    assert ours == pytest.approx(2 / 0.2 * losses)
    assert coverage(low, high, actual)[0] == ((actual >= -1) & (actual <= 1.2)).mean()


def test_an_origin_beyond_the_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="beyond"):
        Backtest.run(panel_of(np.ones((1, 100))), [SeasonalNaive()], np.array([80]), 28)


def backtest_of(errors: dict[str, Floats], series: int, origins: int) -> Backtest:
    """Return a backtest of methods whose paths have the given errors around a constant 100, on noisy history."""
    size = 200 + 14 * origins
    values = np.concatenate(
        [RNG.uniform(50, 150, (series, 200)), np.full((series, 14 * origins), 100.0)], axis=1
    )
    at = 200 + 14 * np.arange(origins - 1)
    paths = 100.0 + np.stack(
        [np.broadcast_to(e[:, :, None], (series, origins - 1, 14)) for e in errors.values()]
    )
    assert at[-1] + 14 <= size
    return Backtest(panel_of(values), at, tuple(errors), paths)


def test_a_single_method_is_chosen_only_if_clearly_better() -> None:
    series, origins = 20, 9
    noise = {name: 10 + RNG.normal(0, 4, (series, origins - 1)) for name in ("a", "b", "c")}
    noise["bad"] = np.full((series, origins - 1), 40.0)
    kinds = np.full(series, "regular")
    choice = backtest_of(noise, series, origins).choose(kinds, 14)
    assert set(choice.combined["regular"]) <= {"a", "b", "c"}
    assert choice.names.count(COMBINATION) >= 15
    clear = {name: e.copy() for name, e in noise.items()}
    clear["b"][3] = 0.5
    chosen = backtest_of(clear, series, origins).choose(kinds, 14)
    assert chosen.names[3] == "b"
    np.testing.assert_allclose(chosen.weights.sum(axis=1), 1)
    assert chosen.combine(np.arange(4.0)[:, None, None] * np.ones((4, series, 2)))[3].tolist() == [1.0, 1.0]


def test_series_classes_are_evaluated_separately() -> None:
    errors = {name: np.full((12, 8), 5.0) for name in "abcd"}
    errors["a"][:5] = 50
    errors["b"][5:] = 50
    kinds = np.array(["regular"] * 5 + ["intermittent"] * 7)
    apart = backtest_of(errors, 12, 9).choose(kinds, 14).combined
    assert apart == {"regular": ("b", "c", "d"), "intermittent": ("a", "c", "d")}
    # A class of four series is too small: it uses the ranking over all twelve.
    few = np.array(["regular"] * 4 + ["intermittent"] * 8)
    assert backtest_of(errors, 12, 9).choose(few, 14).combined["regular"] == ("a", "c", "d")


def test_the_best_three_are_always_combined() -> None:
    errors = {
        name: np.full((6, 8), size) for name, size in zip("abcde", (1.0, 9.0, 20.0, 30.0, 40.0), strict=True)
    }
    chosen = backtest_of(errors, 6, 9).choose(np.full(6, "regular"), 14)
    assert chosen.combined["regular"] == ("a", "b", "c")
    assert set(chosen.names) == {"a"}  # which beats the combination of the three at every origin


@pytest.mark.parametrize("level", [15.0, 60.0, 900.0])
def test_intervals_have_their_nominal_coverage(level: float) -> None:
    """Counts whose level doubles after the backtest: the spread grows with its square root."""
    series, origins, horizon = 60, 8, 28
    paths = np.full((series, origins, horizon), level)
    actual = RNG.poisson(paths).astype(float)
    mean = np.full((series, horizon), 2 * level)
    bands = conformal_quantiles(mean, paths, actual, np.full(series, "regular"))
    future = RNG.poisson(mean[:, None], (series, 50, horizon))
    for low, high, nominal in ((1, 3, 0.8), (0, 4, 0.95)):
        inside = (future >= bands[:, None, :, low]) & (future <= bands[:, None, :, high])
        assert inside.mean() == pytest.approx(nominal, abs=0.03)
    assert (np.diff(bands, axis=2) >= 0).all()
    assert (bands >= 0).all()


def test_closed_days_have_no_spread_and_a_series_without_residuals_has_no_bands() -> None:
    paths = np.tile([10.0, 0.0], (3, 8, 14))
    actual = paths + RNG.normal(0, 3, paths.shape) * (paths > 0)
    actual[2] = np.nan
    mean = np.tile([20.0, 0.0], (3, 14))
    bands = conformal_quantiles(mean, paths, actual, np.array(["regular", "regular", "young"]))
    assert (bands[:2, 1::2] == 0).all()
    assert (bands[:2, ::2, 0] > 0).all()
    assert np.isnan(bands[2]).all()
    assert has_residuals(paths, actual).tolist() == [True, True, False]
    # The spread of a single origin says nothing of how far another origin may be off.
    assert not has_residuals(paths[:, :1], actual[:, :1]).any()


def test_near_and_far_steps_have_separate_intervals() -> None:
    paths = np.full((1, 40, 8), 100.0)
    actual = paths + RNG.normal(0, np.repeat([1.0, 10.0], 4), paths.shape)
    bands = conformal_quantiles(np.full((1, 13), 100.0), paths, actual, np.array(["regular"]), pools=2)
    width = bands[0, :, 3] - bands[0, :, 1]
    assert (width[:4] < 4).all()
    assert (width[4:] > 15).all()


def test_a_series_with_few_residuals_uses_the_pooled_shape_and_its_own_size() -> None:
    series, spreads = 40, np.geomspace(1, 50, 40)
    paths = np.full((series, 8, 4), 1000.0)
    mean = np.full((series, 4), 1000.0)
    inside = {80: 0.0, 95: 0.0}
    for _ in range(20):
        actual = paths + RNG.normal(0, spreads[:, None, None], paths.shape)
        bands = conformal_quantiles(mean, paths, actual, np.full(series, "regular"))
        width = bands[:, 0, 3] - bands[:, 0, 1]
        np.testing.assert_array_less(width[:10].mean() * 4, width[-10:].mean())
        actual = mean[:, :, None] + RNG.normal(0, spreads[:, None, None], (series, 4, 200))
        for level, low, high in ((80, 1, 3), (95, 0, 4)):
            inside[level] += ((actual >= bands[:, :, [low]]) & (actual <= bands[:, :, [high]])).mean() / 20
    assert inside[80] == pytest.approx(0.80, abs=0.015)
    assert inside[95] == pytest.approx(0.95, abs=0.015)
