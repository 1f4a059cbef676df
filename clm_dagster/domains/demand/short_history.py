"""Forecasts of series without a backtest: young products, and every series of a young shop.

Belongs here: the mean by weekday, its uncertainty, the dispersion of the values around it. Does not: which series are
forecast this way (`predict`), quantiles of a distribution and pooling over series (`dispersion`).

The mean of a weekday over the last eight weeks is shrunk to the mean of all open days, as far as the differences
between weekdays are no larger than chance makes them (empirical Bayes; Efron and Morris 1975, JASA 70). The variance of
a day is its mean times a dispersion, plus the variance of the mean itself. The dispersion is that of the last 26 weeks
around the weekday means of each eight weeks, shrunk to that of series of like rate. A week is the sum of its days; its
dispersion is that of its days times a ratio, which is above one where the days of a week rise and fall together, shrunk
in the same way. Levels above products are series with their own dispersion, which holds what their products share.

A series begins with a sale, so its first day is no fair sample of its days. It counts as much as a later day is
expected to: times the share of later days with a sale, over all series.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.demand.level_shrinkage import MANY_SALES, level_factors
from clm_dagster.domains.demand.series import DAYS_PER_WEEK, OPEN_WINDOW_DAYS, Panel, expected_shut
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.dispersion import (
    additional_zeros,
    dispersion_quantiles,
    pooled,
    share_of_zeros,
)

NAME = "shrunk_weekday_mean"
"""The method of these series in tables."""
WEEKS = 8
FEW_DAYS = 14
"""With fewer days the weekdays are not distinguished, and the dispersion is that around the mean of all days."""
ZERO_DAYS, ZERO_WEEKS = 14, 4
"""Weight, in days and weeks, of the share of zeros that the dispersion implies."""
FEW_WEEKS = 12.0
"""Degrees of freedom of the ratio of weeks to days at least, which is one where no two weeks are known."""
ENOUGH_SALES = 8
"""Days with a sale that show the size of a pack."""
CHANCE = 0.01
"""A weekday without sales is closed if chance alone leaves that many days without a sale less often than this."""
AMOUNT = "revenue"


@dataclass(frozen=True)
class ShortHistory:
    """What the last weeks of each series say about its next periods.

    mean, error: (series, horizon), the forecast and its variance. dispersion: (series,) variance of a value over its
    mean. freedom: (series,) degrees of freedom of the dispersion. zeros: (series,) share of additional zeros. unit:
    (series,) what is counted: 1 for pieces, 6 for packs of six, 0 for amounts, which are not counted.
    """

    mean: Floats
    error: Floats
    dispersion: Floats
    freedom: Floats
    zeros: Floats
    unit: Floats

    @classmethod
    def of(cls, panel: Panel, horizon: int) -> "ShortHistory":
        """Fit every series of a panel and forecast `horizon` periods from its end."""
        return _of_days(panel, horizon) if panel.days is None else _of_weeks(panel, panel.days, horizon)

    def quantiles(self, row: int, mean: Floats, levels: tuple[float, ...]) -> Floats:
        """Return the quantiles (horizon, levels) of a series around its reconciled mean (horizon,)."""
        variance = self.dispersion[row] * mean + self.error[row]
        unit = float(self.unit[row])
        scale = unit or 1.0
        return scale * dispersion_quantiles(
            mean / scale,
            variance / scale**2,
            unit > 0,
            levels,
            zeros=float(self.zeros[row]),
            freedom=float(self.freedom[row]),
        )


def _of_days(panel: Panel, horizon: int) -> ShortHistory:
    is_open = open_weekdays(panel)
    unit = _units(panel)
    fair = replace(panel, values=_fair_first_day(panel))
    blocks = _blocks(fair, is_open)
    own, freedom = _own_dispersion(blocks)
    _, level = _counts_and_means(blocks[-1], (1, 2))
    factor, size, sales = _level_factors(fair, blocks[-1])
    # A dispersion is known as well as the sizes of sales are.
    level, own, freedom = level * factor, own / size, np.minimum(freedom, sales)
    dispersion, total = _like_rate(panel, own, freedom, level, unit)
    mean, error = _weekday_means(blocks[-1] * factor[:, None, None], dispersion)
    # The last block ends with the panel, so its columns are the next periods in order.
    columns = np.arange(horizon) % mean.shape[1]
    usable = is_open[:, panel.ahead(panel.size, horizon).day_of_week]
    usable = usable & ~expected_shut(panel, panel.size, horizon)
    zeros = _additional_zeros(*_zeros(blocks), dispersion, unit, ZERO_DAYS)
    return ShortHistory(
        np.where(usable, mean[:, columns], 0), error[:, columns], dispersion, total, zeros, unit
    )


def _of_weeks(panel: Panel, panel_of_days: Panel, horizon: int) -> ShortHistory:
    """Return weeks as sums of days; the dispersion is that of the days times a ratio."""
    days = _of_days(panel_of_days, horizon * DAYS_PER_WEEK)
    mean = days.mean.reshape(len(panel), horizon, DAYS_PER_WEEK).sum(axis=2)
    blocks = _blocks(panel, open_weekdays(panel))
    own, freedom = _own_dispersion(blocks)
    _, level = _counts_and_means(blocks[-1], (1, 2))
    ratio, total = np.ones(len(panel)), np.zeros(len(panel))
    relative = own / np.where(days.dispersion > 0, days.dispersion, 1)
    for rows in _measures(panel):
        ratio[rows], total[rows] = pooled(relative[rows], freedom[rows], level[rows], 1.0)
    dispersion = days.dispersion * ratio
    weeks = np.isfinite(panel_of_days.values[:, -WEEKS * DAYS_PER_WEEK :]).sum(axis=1) / DAYS_PER_WEEK
    error = dispersion[:, None] * mean / np.maximum(weeks, 1 / DAYS_PER_WEEK)[:, None]
    known, zero, average = _zeros(blocks)
    average = np.where(known > 0, average, mean.mean(axis=1))
    zeros = _additional_zeros(known, zero, average, dispersion, days.unit, ZERO_WEEKS)
    both = 1 / (1 / np.maximum(total, FEW_WEEKS) + 1 / np.maximum(days.freedom, 1))
    return ShortHistory(mean, error, dispersion, both, zeros, days.unit)


def _fair_first_day(panel: Panel) -> Floats:
    """Return the values with the first of each series times the share of later days with a sale."""
    begins = panel.begins
    begun = np.flatnonzero(begins < panel.size)
    later = np.arange(panel.size) > begins[:, None]
    values = panel.values.copy()
    for rows in _measures(panel):
        days = later[rows].sum(axis=1)
        share = (later[rows] & (panel.values[rows] > 0)).sum(axis=1) / np.maximum(days, 1)
        every = float(share[days > 0].mean()) if (days > 0).any() else 1.0
        of_series = (share * days + every) / (days + 1)
        some = np.isin(rows, begun)
        values[rows[some], begins[rows[some]]] *= of_series[some]
    return values


def _level_factors(panel: Panel, block: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the factors (series,) of the mean of each product and of its dispersion, see `level_shrinkage`; its sales.

    panel: fair values.
    """
    values = block.reshape(len(block), -1)
    days = np.isfinite(values).sum(axis=1)
    # The first day of a series counts as much as it does in the mean.
    sales = (np.nan_to_num(values) > 0).sum(axis=1).astype(float)
    began = panel.begins >= panel.size - values.shape[1]
    later = np.maximum(days - 1, 1)
    fair = np.where(began, sales - 1 + (sales - 1 + 0.5) / (later + 1), sales)
    share = fair / np.maximum(days, 1)
    factors, sizes = np.ones(len(panel)), np.ones(len(panel))
    for rows in _measures(panel):
        products = rows[(panel.keys["level"].to_numpy()[rows] == "product")]
        if products.size:
            factors[products], sizes[products] = level_factors(values[products], share[products])
    known = np.where(sales < MANY_SALES, sales, np.inf)
    return factors, sizes, known


def _measures(panel: Panel) -> list[NDArray[np.int64]]:
    """Return the rows of each measure."""
    return [np.asarray(rows) for rows in panel.keys.groupby("measure").indices.values()]


def _zeros(blocks: list[Floats]) -> tuple[Floats, Floats, Floats]:
    """Return the number of known values of each series (series,), the share of zeros, the mean."""
    values = np.concatenate([block.reshape(len(block), -1) for block in blocks], axis=1)
    known, mean = _counts_and_means(values, 1)
    return known, (values == 0).sum(axis=1) / np.maximum(known, 1), mean


def _additional_zeros(
    known: Floats, zero: Floats, average: Floats, dispersion: Floats, unit: Floats, weight: int
) -> Floats:
    """Return the share of additional zeros (series,).

    known, zero, average: see `_zeros`. weight: of the share of zeros that the dispersion implies, in values.
    """
    scale = np.where(unit > 0, unit, 1)
    mean, ratio = average / scale, dispersion / scale
    share = (known * zero + weight * share_of_zeros(mean, ratio)) / (known + weight)
    return np.where(unit > 0, additional_zeros(mean, ratio, share), zero * known / (known + 1))


def _like_rate(
    panel: Panel, own: Floats, freedom: Floats, level: Floats, unit: Floats
) -> tuple[Floats, Floats]:
    """Return the dispersion (series,) shrunk to that of series of like rate, and its degrees of freedom.

    Counts are compared in units. Where nothing is known, the variance of a day is its mean for counts of orders,
    buyers and units; the spread of an amount is its mean.
    """
    dispersion, total = np.ones(len(panel)), np.zeros(len(panel))
    scale = np.where(unit > 0, unit, 1)
    for rows in _measures(panel):
        amounts = panel.keys["measure"].iloc[rows[0]] == AMOUNT
        unknown = float(np.median(level[rows])) if amounts else 1.0
        found, total[rows] = pooled(
            own[rows] / scale[rows], freedom[rows], level[rows] / scale[rows], unknown
        )
        # Counts that are a little below Poisson by chance are Poisson.
        low = 1 - 2 * np.sqrt(2 / np.maximum(total[rows], 1))
        found = np.where((unit[rows] > 0) & (found > low) & (found < 1), 1.0, found)
        dispersion[rows] = found * scale[rows]
    return dispersion, total


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
    """Return the dispersion (series,) around the weekday means of each block, zero where unknown, and its freedom.

    The sum of squares is compared with the one that a dispersion of one would give, so that days with a small mean do
    not dominate. Too few days are compared with the mean of all days instead.
    """
    squares, usual, freedom = (np.zeros(len(blocks[0])) for _ in range(3))
    few = sum(np.isfinite(block).sum(axis=(1, 2)) for block in blocks) < FEW_DAYS
    for block in blocks:
        count, mean = _counts_and_means(block, 1)
        total, level = _counts_and_means(block, (1, 2))
        left = np.maximum(count - 1, 0)
        around = np.where(few[:, None, None], level[:, None, None], mean[:, None])
        squares += np.nansum(np.square(block - around), axis=(1, 2))
        usual += np.where(few, np.maximum(total - 1, 0) * level, (left * mean).sum(axis=1))
        freedom += np.where(few, np.maximum(total - 1, 0), left.sum(axis=1))
    known = usual > 0
    return np.where(known, squares / np.where(known, usual, 1), 0), np.where(known, freedom, 0)


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
