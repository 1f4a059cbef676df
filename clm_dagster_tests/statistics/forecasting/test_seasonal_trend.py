"""The yearly season against simulated weeks with a known one."""

import numpy as np

from clm_dagster.statistics.forecasting.seasonal_trend import (
    YEAR,
    SeasonalTrendModel,
    common_share,
    yearly_season,
)

WAVE = np.sin(2 * np.pi * np.arange(3 * YEAR + 8) / YEAR)
NONE = np.zeros((3 * YEAR + 8, 0))


def test_a_strong_season_is_forecast_and_under_two_years_have_none() -> None:
    rng = np.random.default_rng(1)
    values = 100 + 30 * WAVE + rng.normal(0, 2, WAVE.size)
    model, known = SeasonalTrendModel(), values[: 3 * YEAR]
    path = model.path(model.fit(known, 1, NONE[: known.size]), 1, known, NONE)
    np.testing.assert_allclose(path, 100 + 30 * WAVE[3 * YEAR :], atol=6)
    assert (yearly_season(values[: 2 * YEAR - 1], 8) == 0).all()


def test_the_share_is_that_of_the_signal() -> None:
    rng = np.random.default_rng(2)
    years = WAVE[:YEAR] * np.sqrt(2) + rng.normal(0, 1, (400, 3, YEAR))
    shares = [common_share(year) for year in years]
    # Signal and noise have a variance of one, so the mean of three years holds 1 / (1 + 1/3) of signal.
    assert abs(np.mean(shares) - 0.75) < 0.05
    noise = [common_share(year) for year in rng.normal(0, 1, (400, 3, YEAR))]
    assert np.mean(noise) < 0.35
