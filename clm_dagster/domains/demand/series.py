"""Demand as regular series: days or weeks before as_of, with zeros filled in and closures identified.

Belongs here: building the dense matrix from sparse rows, weeks, closed weekdays and shut days. Does not: forecasts.

The table `core.demand_series` holds only days with a sale. Stored densely, a shop of a thousand series over ten years
would have millions of zero rows. So zeros are filled in here.

- A series begins on its first day with a sale. Earlier values are unknown (NaN); a later day without a sale is zero.
- A week is seven days, and the last one ends at as_of. An incomplete first week is left out.
- A weekday is closed for a series if its mean is below 3% of the daily mean over the preceding 26 weeks.
- A day is shut (a holiday) if the whole shop sold nothing on a weekday that is usually open. It is not zero demand.
"""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.forecasting.css import Floats

Bools = NDArray[np.bool_]
KEYS = ["level", "key", "measure"]
OPEN_WINDOW_DAYS = 26 * 7
CLOSED_SHARE = 0.03
USUALLY_OPEN = 0.7
DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class Panel:
    """Many series on one time axis, the last period just before as_of."""

    keys: pd.DataFrame
    """One row for each series: level, key, measure."""
    values: Floats
    """(series, periods); NaN before a series begins."""
    dates: pd.DatetimeIndex
    """(periods,) first day of each period."""
    shut: Bools
    """(periods,) whether the whole shop was shut on a day that is usually open; always False for weeks."""
    step: int
    """Days of one period: 1 or 7."""
    days: "Panel | None" = None
    """The daily panel behind weekly sums; None for days."""
    discounts: Floats | None = None
    """(series, periods + ahead) discount share of promotions, planned ones included; None for weeks."""

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def size(self) -> int:
        """Number of periods."""
        return int(self.values.shape[1])

    @property
    def begins(self) -> NDArray[np.int64]:
        """Position of the first known value (series,); `size` where there is none."""
        known = np.isfinite(self.values)
        return np.where(known.any(axis=1), known.argmax(axis=1), self.size)

    @property
    def weekdays(self) -> NDArray[np.int64]:
        """Weekday of each period (periods,): 0 is Monday."""
        return self.dates.day_of_week.to_numpy().astype(np.int64)

    def ahead(self, origin: int, horizon: int) -> pd.DatetimeIndex:
        """Return the first days of `horizon` periods from position `origin`; they may lie after the panel."""
        start = self.dates[0] + pd.Timedelta(days=origin * self.step)
        return pd.date_range(start, periods=horizon, freq=f"{self.step}D")

    def open_weekdays(self, origin: int) -> Bools:
        """Return whether each weekday is open (series, 7), from values before `origin`; always True for weeks."""
        if self.step != 1:
            return np.ones((len(self), DAYS_PER_WEEK), dtype=bool)
        first = max(0, origin - OPEN_WINDOW_DAYS)
        window = np.nan_to_num(self.values[:, first:origin])
        known = np.isfinite(self.values[:, first:origin])
        weekday = np.eye(DAYS_PER_WEEK)[self.weekdays[first:origin]]
        means = window @ weekday / np.maximum(known @ weekday, 1)
        overall = window.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        is_open = means >= CLOSED_SHARE * overall[:, None]
        # Without a sale in half a year, or with under two weeks of history, closed weekdays cannot be identified.
        unidentified = (overall <= 0) | (known.sum(axis=1) < 2 * DAYS_PER_WEEK)
        weekdays: Bools = is_open | unidentified[:, None]
        return weekdays

    def until(self, origin: int) -> "Panel":
        """Return the panel of the periods before position `origin`."""
        # Promotions are planned in advance, so those after the origin stay.
        days = None if self.days is None else self.days.until(self.day_of(origin))
        return replace(
            self,
            values=self.values[:, :origin],
            dates=self.dates[:origin],
            shut=self.shut[:origin],
            days=days,
        )

    def day_of(self, origin: int) -> int:
        """Return the position among days of position `origin` among periods."""
        return origin if self.days is None else self.days.size - (self.size - origin) * self.step

    def of(self, rows: NDArray[np.int64] | Bools) -> "Panel":
        """Return the panel of some of the series."""
        days = None if self.days is None else self.days.of(rows)
        discounts = None if self.discounts is None else self.discounts[rows]
        keys = self.keys.iloc[rows].reset_index(drop=True)
        return replace(self, keys=keys, values=self.values[rows], days=days, discounts=discounts)

    def discounts_until(self, periods: int) -> Floats | None:
        """Return discounts (series, periods), zero beyond the planned ones; None where there are none at all."""
        if self.discounts is None or not self.discounts.any():
            return None
        found = np.zeros((len(self), periods))
        known = min(periods, self.discounts.shape[1])
        found[:, :known] = self.discounts[:, :known]
        return found

    def latest(self, periods: int) -> "Panel":
        """Return the panel of the last `periods` periods, or all where there are fewer."""
        first = max(0, self.size - periods)
        return replace(
            self,
            values=self.values[:, first:],
            dates=self.dates[first:],
            shut=self.shut[first:],
            discounts=None if self.discounts is None else self.discounts[:, first:],
        )


def daily_panel(frame: pd.DataFrame, as_of: date) -> Panel:
    """Return the daily panel of a frame with level, key, measure, day, value in any order; missing days are zero.

    Series are sorted by their keys. Days run from the first of the frame to the day before as_of. Raise ValueError on
    a missing column, two rows for a series and day, a missing value, or no row before as_of.
    """
    absent = {*KEYS, "day", "value"} - set(frame.columns)
    if absent:
        raise ValueError(
            f"demand series lack the columns {sorted(absent)}; expected {[*KEYS, 'day', 'value']}"
        )
    instants = pd.to_datetime(frame["day"])
    rows = frame.assign(day=instants)[instants < pd.Timestamp(as_of)]
    if rows.empty:
        raise ValueError(f"no demand before {as_of}: there is nothing to forecast from")
    bad = rows[rows["value"].isna()]
    if len(bad):
        raise ValueError(f"demand without a value: {bad.iloc[0][[*KEYS, 'day']].to_dict()}")
    twice = rows[rows.duplicated([*KEYS, "day"])]
    if len(twice):
        raise ValueError(f"two values for one day: {twice.iloc[0][[*KEYS, 'day']].to_dict()}")
    dates = pd.date_range(rows["day"].min(), pd.Timestamp(as_of) - pd.Timedelta(days=1))
    groups = rows.groupby(KEYS, sort=True)
    keys = pd.DataFrame(list(groups.groups), columns=KEYS)
    values = np.zeros((len(keys), len(dates)))
    values[groups.ngroup().to_numpy(), (rows["day"] - dates[0]).dt.days.to_numpy()] = rows["value"].astype(
        float
    )
    return make_panel(keys, values, dates)


def make_panel(keys: pd.DataFrame, values: Floats, dates: pd.DatetimeIndex) -> Panel:
    """Return a daily panel from dense values; values before the first sale become NaN, shut days are identified."""
    sold = np.nan_to_num(values)
    begun = np.maximum.accumulate(sold != 0, axis=1)
    # A series without any sale is known, and zero throughout.
    begun |= ~begun[:, -1:]
    panel = Panel(keys, np.where(begun, sold, np.nan), dates, np.zeros(len(dates), dtype=bool), 1)
    return replace(panel, shut=_shut_days(panel))


def with_promotions(panel: Panel, promotions: pd.DataFrame, ahead: int) -> Panel:
    """Return the daily panel with the discount of each day, up to `ahead` days beyond its end.

    promotions: level, key, day, discount (core.demand_promotions), planned days included. The largest discount of a
    day counts. Rows without a series or outside the days are ignored.
    """
    found = np.zeros((len(panel), panel.size + ahead))
    if len(promotions):
        numbered = panel.keys.assign(row=np.arange(len(panel)))
        rows = promotions.merge(numbered, on=["level", "key"])
        at = (pd.to_datetime(rows["day"]) - panel.dates[0]).dt.days.to_numpy()
        inside = (at >= 0) & (at < found.shape[1])
        rows, at = rows[inside], at[inside]
        np.maximum.at(found, (rows["row"].to_numpy(), at), rows["discount"].to_numpy(dtype=float))
    return replace(panel, discounts=found)


def weekly_panel(days: Panel) -> Panel:
    """Return the panel of sums over seven days, counted back from the end; a series begins with its first full week."""
    weeks = days.size // DAYS_PER_WEEK
    first = days.size - weeks * DAYS_PER_WEEK
    blocks = days.values[:, first:].reshape(len(days), weeks, DAYS_PER_WEEK)
    return replace(
        days,
        values=blocks.sum(axis=2),
        dates=days.dates[first::DAYS_PER_WEEK],
        shut=np.zeros(weeks, dtype=bool),
        step=DAYS_PER_WEEK,
        days=days,
        discounts=None,
    )


def only_weekday(panel: Panel) -> int | None:
    """Return the weekday on which alone the shop has sold, over eight weeks and more of days; else None."""
    days = panel if panel.days is None else panel.days
    if days.size < 8 * DAYS_PER_WEEK:
        return None
    sold = (np.nan_to_num(days.values) != 0).any(axis=0)
    weekdays = np.unique(days.weekdays[sold])
    return int(weekdays[0]) if weekdays.size == 1 else None


def expected_shut(panel: Panel, origin: int, horizon: int) -> Bools:
    """Return which of the next `horizon` days will probably be shut, from the shut days before `origin`.

    A holiday recurs on its date (Christmas) or on its weekday (the last Monday of August). A day is expected to be
    shut if the same date a year earlier was, as one of several days in a row, or if the day 52 weeks earlier was, as
    a single day.
    """
    expected = np.zeros(horizon, dtype=bool)
    if panel.step != 1:
        return expected
    shut = panel.shut[:origin]
    if not shut.any():
        return expected
    was = set(panel.dates[:origin][shut])
    alone = {day for day in was if not {day - pd.Timedelta(days=1), day + pd.Timedelta(days=1)} & was}
    for i, day in enumerate(panel.ahead(origin, horizon)):
        last_year = day - pd.DateOffset(years=1)
        expected[i] = (last_year in was and last_year not in alone) or day - pd.Timedelta(days=364) in alone
    return expected


def impute_closures(panel: Panel) -> Floats:
    """Return values (series, periods) with shut days imputed by the mean of the same weekday over four earlier weeks.

    Only values before a day are used, so that there is no look-ahead.
    """
    values = panel.values.copy()
    for day in np.flatnonzero(panel.shut):
        before = np.arange(day - 4 * DAYS_PER_WEEK, day, DAYS_PER_WEEK)
        before = before[before >= 0]  # earlier shut days are already imputed
        known = np.isfinite(values[:, before])
        filled = np.where(known, values[:, before], 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        values[:, day] = np.where(np.isfinite(values[:, day]), filled, np.nan)
    return values


def _shut_days(panel: Panel) -> Bools:
    """Return days without any sale, on weekdays that had a sale in at least 70% of the preceding 26 weeks."""
    total = np.nansum(np.abs(panel.values), axis=0)
    weekdays = panel.weekdays
    shut = np.zeros(panel.size, dtype=bool)
    for weekday in range(DAYS_PER_WEEK):
        of_day = np.flatnonzero(weekdays == weekday)
        sold = pd.Series(total[of_day] > 0, dtype=float).shift(1).rolling(26, min_periods=3).mean()
        shut[of_day] = (total[of_day] == 0) & (sold.to_numpy() >= USUALLY_OPEN)
    return shut
