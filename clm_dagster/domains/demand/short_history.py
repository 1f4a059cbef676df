"""Forecasts of series without a backtest: young products, and every series of a young shop.

Belongs here: the mean by weekday, its uncertainty, the dispersion of the values around it. Does not: which series are
forecast this way (`predict`), quantiles of a distribution (`dispersion`).

The mean of a weekday over the last eight weeks is shrunk to the mean of all open days, as far as the differences
between weekdays are no larger than chance makes them (empirical Bayes; Efron and Morris 1975, JASA 70). The variance of
a day is its mean times a dispersion, plus the variance of the mean itself. The dispersion is that of the last 26 weeks
around the weekday means of each eight weeks, with a small weight on that of similar series.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.demand.series import DAYS_PER_WEEK, OPEN_WINDOW_DAYS, Panel, expected_shut
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.dispersion import dispersion_quantiles

NAME = "shrunk_weekday_mean"
"""The method of these series in tables."""
WEEKS = 8
SIMILAR_WEIGHT = 7.0
"""Weight of the dispersion of similar series, in degrees of freedom."""
ENOUGH_FREEDOM = 14
"""Degrees of freedom of a series whose dispersion counts for similar series."""
ENOUGH_SALES = 8
"""Days with a sale that show the size of a pack."""
CHANCE = 0.01
"""A weekday without sales is closed if chance alone leaves that many days without a sale less often than this."""


@dataclass(frozen=True)
class ShortHistory:
    """What the last weeks of each series say about its next periods.

    mean, error: (series, horizon), the forecast and its variance. dispersion: (series,) variance of a value over its
    mean. unit: (series,) what is counted: 1 for pieces, 6 for packs of six, 0 for amounts, which are not counted.
    """

    mean: Floats
    error: Floats
    dispersion: Floats
    unit: Floats

    @classmethod
    def of(cls, panel: Panel, horizon: int) -> "ShortHistory":
        """Fit every series of a panel and forecast `horizon` periods from its end."""
        is_open = open_weekdays(panel)
        blocks = _blocks(panel, is_open)
        own, freedom = _own_dispersion(blocks)
        dispersion = _with_similar(panel, own, freedom)
        unit = _units(panel)
        # The dispersion of counts is that of Poisson, unless their days show that it is not.
        ratio, chance = dispersion / np.where(unit > 0, unit, 1), np.sqrt(2 / np.maximum(freedom, 1))
        as_poisson = (unit > 0) & (ratio > 1 - 2 * chance) & (ratio < 1 + chance)
        dispersion = np.where(as_poisson, unit, dispersion)
        mean, error = _weekday_means(blocks[-1], dispersion)
        season = mean.shape[1]
        # The last block ends with the panel, so its columns are the next periods in order.
        columns = np.arange(horizon) % season
        usable = np.ones((len(panel), horizon), dtype=bool)
        if panel.step == 1:
            usable = is_open[:, panel.ahead(panel.size, horizon).day_of_week]
            usable = usable & ~expected_shut(panel, panel.size, horizon)
        return cls(np.where(usable, mean[:, columns], 0), error[:, columns], dispersion, unit)

    def quantiles(self, row: int, mean: Floats, levels: tuple[float, ...]) -> Floats:
        """Return the quantiles (horizon, levels) of a series around its reconciled mean (horizon,)."""
        variance = self.dispersion[row] * mean + self.error[row]
        unit = float(self.unit[row])
        scale = unit or 1.0
        return scale * dispersion_quantiles(mean / scale, variance / scale**2, unit > 0, levels)


def _units(panel: Panel) -> Floats:
    """Return what each series (series,) counts: the largest whole number that divides all its values, else 0.

    A series with few sales counts pieces.
    """
    values = np.nan_to_num(panel.values)
    is_whole = (values == np.rint(values)).all(axis=1)
    unit = np.gcd.reduce(np.where(is_whole[:, None], values, 0).astype(np.int64), axis=1).astype(float)
    few = (values != 0).sum(axis=1) < ENOUGH_SALES
    return np.where(is_whole, np.where(few, 1, np.maximum(unit, 1)), 0.0)


def open_weekdays(panel: Panel) -> NDArray[np.bool_]:
    """Return whether each weekday is open (series, 7), for short histories and rare sales.

    A weekday that looks closed (`Panel.open_weekdays`) is open if a series with so few sales could have missed it by
    chance, and if it is open for the shop as a whole.
    """
    whole = np.nansum(np.abs(panel.values), axis=0)[None]
    shop = replace(panel, keys=panel.keys.head(1), values=whole)
    return _surely_open(panel) & _surely_open(shop)


def _surely_open(panel: Panel) -> NDArray[np.bool_]:
    looks_open = panel.open_weekdays(panel.size)
    if panel.step != 1:
        return looks_open
    recent = panel.values[:, -OPEN_WINDOW_DAYS:]
    known = np.isfinite(recent)
    days_of_weekday = known @ np.eye(DAYS_PER_WEEK)[panel.weekdays[-OPEN_WINDOW_DAYS:]]
    share_sold = (np.nan_to_num(recent) != 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    missed_by_chance = (1 - share_sold[:, None]) ** days_of_weekday > CHANCE
    is_open: NDArray[np.bool_] = looks_open | missed_by_chance
    return is_open


def _blocks(panel: Panel, is_open: NDArray[np.bool_]) -> list[Floats]:
    """Return the last 26 weeks in blocks of up to eight, oldest first: (series, weeks, season), NaN where unknown.

    Days that are shut or closed are unknown. The last column is the weekday of the panel's last day.
    """
    season = DAYS_PER_WEEK if panel.step == 1 else 1
    values = panel.values
    if panel.step == 1:
        values = np.where(is_open[:, panel.weekdays] & ~panel.shut, values, np.nan)
    size = WEEKS * season
    count = max(1, min(OPEN_WINDOW_DAYS // panel.step, values.shape[1]) // size)
    missing = max(0, count * size - values.shape[1])
    padded = np.pad(values, ((0, 0), (missing, 0)), constant_values=np.nan)[:, -count * size :]
    return [padded[:, at : at + size].reshape(-1, WEEKS, season) for at in range(0, count * size, size)]


def _counts_and_means(block: Floats, axis: int | tuple[int, ...]) -> tuple[Floats, Floats]:
    known = np.isfinite(block)
    count = known.sum(axis=axis).astype(float)
    return count, np.where(known, block, 0).sum(axis=axis) / np.maximum(count, 1)


def _own_dispersion(blocks: list[Floats]) -> tuple[Floats, Floats]:
    """Return the dispersion (series,) around the weekday means of each block, NaN where unknown, and its freedom.

    The sum of squares is compared with the one that a dispersion of one would give, so that days with a small mean do
    not dominate.
    """
    squares, usual, freedom = (np.zeros(len(blocks[0])) for _ in range(3))
    for block in blocks:
        count, mean = _counts_and_means(block, 1)
        squares += np.nansum(np.square(block - mean[:, None]), axis=(1, 2))
        left = np.maximum(count - 1, 0)
        usual += (left * mean).sum(axis=1)
        freedom += left.sum(axis=1)
    known = usual > 0
    return np.where(known, squares / np.where(known, usual, 1), np.nan), np.where(known, freedom, 0)


def _with_similar(panel: Panel, own: Floats, freedom: Floats) -> Floats:
    """Return the dispersion (series,) with some weight on that of similar series.

    Similar are, for weeks, the days of the same series; for days, the median of the series of the same level and
    measure. Where nothing is known, the variance of a day is its mean for counts of orders, buyers and units; the
    spread of an amount is its mean.
    """
    if panel.days is not None:
        similar = _with_similar(panel.days, *_own_dispersion(_blocks(panel.days, open_weekdays(panel.days))))
    else:
        similar = np.full(own.size, np.nan)
        for found in panel.keys.groupby(["level", "measure"]).indices.values():
            rows = np.asarray(found)
            usable = rows[freedom[rows] >= ENOUGH_FREEDOM]
            if usable.size:
                similar[rows] = np.median(own[usable])
        _, mean = _counts_and_means(panel.values, 1)
        amounts = (panel.keys["measure"] == "revenue").to_numpy()
        unknown = np.where(amounts, mean, 1.0)
        similar = np.where(np.isfinite(similar), similar, np.where(np.isfinite(own), own, unknown))
    total = freedom * np.where(np.isfinite(own), own, 0) + SIMILAR_WEIGHT * similar
    return total / (freedom + SIMILAR_WEIGHT)


def _weekday_means(block: Floats, dispersion: Floats) -> tuple[Floats, Floats]:
    """Return the shrunk mean of each weekday (series, season) and its variance."""
    count, mean = _counts_and_means(block, 1)
    total, level = _counts_and_means(block, (1, 2))
    variance = dispersion * level
    between = (count * np.square(mean - level[:, None])).sum(axis=1)
    spare = total - np.square(count).sum(axis=1) / np.maximum(total, 1)
    by_chance = np.maximum((count > 0).sum(axis=1) - 1, 0) * variance
    true_variance = np.maximum(between - by_chance, 0) / np.where(spare > 0, spare, np.inf)
    of_mean = variance[:, None] / np.maximum(count, 1)
    sum_of_both = true_variance[:, None] + of_mean
    kept = np.where(sum_of_both > 0, true_variance[:, None] / np.where(sum_of_both > 0, sum_of_both, 1), 1.0)
    kept = np.where(count > 0, kept, 0.0)  # the mean of all days for a weekday that has not come yet
    shrunk = level[:, None] + kept * (mean - level[:, None])
    error = kept * of_mean + np.square(1 - kept) * (variance / np.maximum(total, 1))[:, None]
    return shrunk, error
