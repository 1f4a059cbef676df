"""Weekly series with a yearly season: a decomposition by STL, and exponential smoothing of the rest.

Belongs here: the model of one weekly series. Does not: daily series, whose season is the week (`local_models`).

The trend is that of STL (Cleveland et al. 1990) by statsmodels. The season of a week is the mean of its differences
from the trend over all years, times a share. Two or three years say little of one week, so the share is what the last
year shows: the regression of its differences on those of the years before, corrected for one more year of data. It is
zero where years have nothing in common. The rest is smoothed; the constant minimises errors one to eight weeks ahead.
Under two years of history have no season.
"""

import numpy as np
from scipy.signal import lfilter
from statsmodels.tsa.seasonal import STL

from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import FitsAgain, FittedParameters, back_to_mean
from clm_dagster.statistics.forecasting.transforms import choose_power, transformed

YEAR = 52
MIN_YEARS = 2
ALL_YEARS = 101
"""A span of STL so long that the season is the same in all years."""
JUMP = 8
ALPHAS = np.linspace(0.02, 0.98, 25)
STEPS = (1, 2, 4, 6, 8)
START = 8
"""Values whose mean the smoothing starts with; their errors do not count."""
SMALLEST_SHARE = 0.02


class SeasonalTrendModel(FitsAgain):
    """STL with a shrunk yearly season, and simple exponential smoothing; a `local_models.LocalModel`."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        power = choose_power(history, season)
        scaled = transformed(history, power)
        rest = scaled - yearly_season(scaled, 0)[: scaled.size]
        alpha = _best_alpha(rest)
        errors = rest[1:] - _levels(rest, alpha)[:-1]
        return {"power": power, "alpha": alpha, "variance": float(np.square(errors).mean())}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        power = float(parameters["power"])
        scaled = transformed(known, power)
        yearly = yearly_season(scaled, len(x) - known.size)
        level = _levels(scaled - yearly[: known.size], parameters["alpha"])[-1]
        return back_to_mean(level + yearly[known.size :], power, parameters["variance"])


def yearly_season(values: Floats, horizon: int) -> Floats:
    """Return the season (n + horizon,) of weekly values (n,) and of the weeks after them; zero under two years."""
    size = values.size
    years = size // YEAR
    if years < MIN_YEARS:
        return np.zeros(size + horizon)
    parts = STL(
        values, period=YEAR, seasonal=ALL_YEARS, trend_jump=JUMP, low_pass_jump=JUMP, seasonal_jump=JUMP
    ).fit()
    off = values - np.asarray(parts.trend)
    week = (np.arange(size + horizon) - size) % YEAR
    means = np.bincount(week[:size], off, YEAR) / np.bincount(week[:size], minlength=YEAR)
    by_year = off[size - years * YEAR :].reshape(years, YEAR)
    season: Floats = (common_share(by_year) * (means - means.mean()))[week]
    return season


def common_share(by_year: Floats) -> float:
    """Return the share of the mean of all years (years, weeks) that the next year is expected to repeat, 0 to 1."""
    years = len(by_year)
    last, before = by_year[-1], by_year[:-1].mean(axis=0)
    square = float(np.square(before).sum())
    slope = float((last * before).sum()) / square if square > 0 else 0.0
    if slope <= SMALLEST_SHARE:
        return 0.0
    noise = (1 / min(slope, 1.0) - 1) * (years - 1)  # of one year, beside the common season
    return 1 / (1 + noise / years)


def _levels(values: Floats, alpha: float) -> Floats:
    """Return the smoothed level (n,) after each value."""
    start = [(1 - alpha) * values[:START].mean()]
    levels, _ = lfilter([alpha], [1, alpha - 1], values, zi=start)
    return np.asarray(levels)


def _best_alpha(values: Floats) -> float:
    losses = []
    for alpha in ALPHAS:
        levels = _levels(values, float(alpha))
        losses.append(sum(np.abs(values[START + h :] - levels[START:-h]).sum() for h in STEPS))
    return float(ALPHAS[int(np.argmin(losses))])
