"""The class of each series: which series are evaluated, and which get a fixed method.

Belongs here: the classification. Does not: forecasts. Tables call the class of a series its `outcome`.

- regular, intermittent: forecast by the candidates. A series is intermittent if the mean interval between sales over
  the last half year is at least 1.32 open days (Syntetos, Boylan and Croston 2005).
- young: began less than eight weeks before the first origin of the backtest. The forecast and its
  interval are those of its last weeks (`short_history`). The same holds for every series of a shop without a backtest.
- constant: one value on every open day of the last half year. The forecast is that value, without an interval.
- dormant: no sale in the last half year. The forecast is zero, without an interval.
"""

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.demand.series import DAYS_PER_WEEK, OPEN_WINDOW_DAYS, Panel

INTERMITTENT = 1.32
REGULAR, SPARSE, YOUNG, CONSTANT, DORMANT = "regular", "intermittent", "young", "constant", "dormant"
EVALUATED, FALLBACK = (REGULAR, SPARSE), (YOUNG, CONSTANT, DORMANT)
# Name of the method of a dormant series.
ZERO = "zero"


def classify_series(panel: Panel, first_origin: int) -> NDArray[np.str_]:
    """Return the class of each series (series,). first_origin: position of the first origin of the backtest."""
    recent = panel.values[:, -max(1, OPEN_WINDOW_DAYS // panel.step) :]
    is_open = np.isfinite(recent)
    if panel.step == 1:
        weekdays = panel.weekdays[-recent.shape[1] :]
        is_open &= panel.open_weekdays(panel.size)[:, weekdays] & ~panel.shut[-recent.shape[1] :]
    values = np.where(is_open, recent, np.nan)
    sales = np.nansum(values != 0, axis=1, where=is_open)
    count = np.maximum(is_open.sum(axis=1), 1)
    low, high = (
        f(np.where(is_open, recent, other), axis=1) for f, other in ((np.min, np.inf), (np.max, -np.inf))
    )
    eight_weeks = 8 * DAYS_PER_WEEK // panel.step
    # A series without a full week yet is not dormant if its days have sold.
    no_week: NDArray[np.bool_] = np.zeros(len(panel), dtype=bool)
    if panel.days is not None:
        no_week = np.asarray(
            ~np.isfinite(panel.values).any(axis=1) & np.isfinite(panel.days.values).any(axis=1)
        )
    return np.select(
        [
            no_week,
            sales == 0,
            (low == high) & (count >= eight_weeks),
            panel.begins > first_origin - eight_weeks,
            count >= INTERMITTENT * sales,
        ],
        [YOUNG, DORMANT, CONSTANT, YOUNG, SPARSE],
        REGULAR,
    )


def constants_of(panel: Panel) -> NDArray[np.float64]:
    """Return the largest value of the last half year (series,): the value of a constant series."""
    constants: NDArray[np.float64] = np.nan_to_num(
        panel.values[:, -max(1, OPEN_WINDOW_DAYS // panel.step) :]
    ).max(axis=1, initial=0)
    return constants
