"""Demand as regular series: days or weeks before as_of, zeros filled in, closed days known.

The table `core.demand_series` holds only days with a sale: dense, a shop of a thousand series over ten
years would be millions of rows of zeros, to say what two dates say as well. So zeros are filled in here.

Belongs here: from a sparse frame to a matrix, weeks, which days are closed. Does not: forecasts.

- A series begins with its first day that is not zero; before it, nothing is known (NaN), after it a day
  without a sale is a zero.
- A week is seven days, and the last one ends where as_of begins. An incomplete first week is left out.
- A weekday is closed for a series if it carries less than 3% of the daily mean over the 26 weeks before.
- A day is shut if the whole shop sold nothing on an open weekday: a holiday. It is no zero of demand.
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
    """(periods,) first day of each."""
    shut: Bools
    """(periods,) whether the whole shop was shut on a day that is open otherwise; weeks: never."""
    step: int
    """Days of one period: 1 or 7."""
    days: "Panel | None" = None
    """The daily panel that weeks are sums of; None for days."""
    discounts: Floats | None = None
    """(series, periods and some ahead) share taken off by promotions, planned ones included; None for weeks."""

    def __len__(self) -> int:
        return self.values.shape[0]

    @property
    def size(self) -> int:
        """How many periods there are."""
        return self.values.shape[1]

    @property
    def begins(self) -> NDArray[np.int64]:
        """(series,) position of the first known value; `size` where there is none."""
        known = np.isfinite(self.values)
        return np.where(known.any(axis=1), known.argmax(axis=1), self.size)

    @property
    def weekdays(self) -> NDArray[np.int64]:
        """(periods,) 0 Monday to 6 Sunday."""
        return self.dates.day_of_week.to_numpy().astype(np.int64)

    def ahead(self, origin: int, horizon: int) -> pd.DatetimeIndex:
        """First days of the `horizon` periods from position `origin` on; they may lie after the panel."""
        start = self.dates[0] + pd.Timedelta(days=origin * self.step)
        return pd.date_range(start, periods=horizon, freq=f"{self.step}D")

    def open_weekdays(self, origin: int) -> Bools:
        """(series, 7) whether each weekday is open, as known before `origin`; weeks are always open."""
        if self.step != 1:
            return np.ones((len(self), DAYS_PER_WEEK), dtype=bool)
        first = max(0, origin - OPEN_WINDOW_DAYS)
        window = np.nan_to_num(self.values[:, first:origin])
        known = np.isfinite(self.values[:, first:origin])
        weekday = np.eye(DAYS_PER_WEEK)[self.weekdays[first:origin]]
        means = window @ weekday / np.maximum(known @ weekday, 1)
        overall = window.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        is_open = means >= CLOSED_SHARE * overall[:, None]
        # Nothing sold in half a year, or not yet a fortnight: no weekday can be told from another.
        blind = (overall <= 0) | (known.sum(axis=1) < 2 * DAYS_PER_WEEK)
        return is_open | blind[:, None]

    def until(self, origin: int) -> "Panel":
        """What was known before position `origin`."""
        # Promotions are planned: those ahead of the origin stay.
        days = None if self.days is None else self.days.until(self.day_of(origin))
        return replace(
            self,
            values=self.values[:, :origin],
            dates=self.dates[:origin],
            shut=self.shut[:origin],
            days=days,
        )

    def day_of(self, origin: int) -> int:
        """Position among the days of what is position `origin` among the periods."""
        return origin if self.days is None else self.days.size - (self.size - origin) * self.step

    def of(self, rows: NDArray[np.int64] | Bools) -> "Panel":
        """Some of the series."""
        days = None if self.days is None else self.days.of(rows)
        discounts = None if self.discounts is None else self.discounts[rows]
        keys = self.keys.iloc[rows].reset_index(drop=True)
        return replace(self, keys=keys, values=self.values[rows], days=days, discounts=discounts)

    def discounts_until(self, periods: int) -> Floats | None:
        """(series, periods) discounts, zero beyond those that are planned; None where none ever was."""
        if self.discounts is None or not self.discounts.any():
            return None
        found = np.zeros((len(self), periods))
        known = min(periods, self.discounts.shape[1])
        found[:, :known] = self.discounts[:, :known]
        return found

    def latest(self, periods: int) -> "Panel":
        """The last so many periods, or all where there are fewer."""
        first = max(0, self.size - periods)
        return replace(
            self,
            values=self.values[:, first:],
            dates=self.dates[first:],
            shut=self.shut[first:],
            discounts=None if self.discounts is None else self.discounts[:, first:],
        )


def daily_panel(frame: pd.DataFrame, as_of: date) -> Panel:
    """Dense days from level, key, measure, day, value before as_of, in any order; missing days are zero.

    Series come in the order of their keys. The days run from the frame's first to the day before as_of.
    Raises ValueError on two rows for a series and day, a missing value, or no row before as_of.
    """
    absent = {*KEYS, "day", "value"} - set(frame.columns)
    if absent:
        raise ValueError(f"demand series lack the columns {sorted(absent)}")
    instants = pd.to_datetime(frame["day"])
    rows = frame.assign(day=instants)[instants < pd.Timestamp(as_of)]
    if rows.empty:
        raise ValueError(f"no demand before {as_of}: nothing to forecast from")
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
    """A daily panel from dense values: what lies before the first sale becomes unknown, shut days are found."""
    sold = np.nan_to_num(values)
    begun = np.maximum.accumulate(sold != 0, axis=1)
    # A series without any sale is known to be zero throughout.
    begun |= ~begun[:, -1:]
    panel = Panel(keys, np.where(begun, sold, np.nan), dates, np.zeros(len(dates), dtype=bool), 1)
    return replace(panel, shut=_shut_days(panel))


def with_promotions(panel: Panel, promotions: pd.DataFrame, ahead: int) -> Panel:
    """A daily panel that knows the discount of each day, `ahead` days beyond its end included.

    `promotions` has level, key, day, discount (core.demand_promotions), planned days included; of several on a
    day the greatest counts. Rows without a series or outside the days are left out.
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
    """Sums over seven days, counted back from the end; a series begins with its first full week."""
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


def expected_shut(panel: Panel, origin: int, horizon: int) -> Bools:
    """(horizon,) days that will be shut, as known before `origin`: those that were a year before.

    A holiday keeps its date (Christmas) or its weekday (the last Monday of August). A day is expected to
    be shut if the same date of the year before was, or if the day 52 weeks before was and stood alone.
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
    """Values with shut days filled in by the mean of the same weekday of four weeks before.

    (series, periods). Only what lies before a day fills it, so that no origin sees what came after it.
    """
    values = panel.values.copy()
    for day in np.flatnonzero(panel.shut):
        before = np.arange(day - 4 * DAYS_PER_WEEK, day, DAYS_PER_WEEK)
        before = before[before >= 0]  # those that were shut themselves are mended already
        known = np.isfinite(values[:, before])
        filled = np.where(known, values[:, before], 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        values[:, day] = np.where(np.isfinite(values[:, day]), filled, np.nan)
    return values


def _shut_days(panel: Panel) -> Bools:
    """Days on which no series sold, on weekdays on which at least one did in 70% of the 26 weeks before."""
    total = np.nansum(np.abs(panel.values), axis=0)
    weekdays = panel.weekdays
    shut = np.zeros(panel.size, dtype=bool)
    for weekday in range(DAYS_PER_WEEK):
        of_day = np.flatnonzero(weekdays == weekday)
        sold = pd.Series(total[of_day] > 0, dtype=float).shift(1).rolling(26, min_periods=3).mean()
        shut[of_day] = (total[of_day] == 0) & (sold.to_numpy() >= USUALLY_OPEN)
    return shut
