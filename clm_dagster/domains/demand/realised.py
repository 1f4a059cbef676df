"""How stored forecasts did, as time passes.

Belongs here: forecasts of an earlier as_of against what came. Does not: the backtest before the forecast.
"""

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.series import KEYS, daily_panel

COLUMNS = (
    "period",
    *KEYS,
    "steps",
    "wape",
    "smape",
    "bias",
    "coverage_80",
    "coverage_95",
    "actual",
    "forecast",
)


def realised(forecasts: pd.DataFrame, series: pd.DataFrame, known_until: pd.Timestamp) -> pd.DataFrame:
    """Measures of every step that has ended before `known_until`, one row for each period and series.

    `forecasts` of one as_of; `series` as core.demand_series of a later one. A series that is not in it sold
    nothing. Weeks count once all their days are known. wape and bias are null where nothing was sold.
    """
    days = np.where(forecasts["period"] == "week", 7, 1)
    ended = forecasts["date"] + pd.to_timedelta(days, unit="D") <= pd.Timestamp(known_until)
    rows, days = forecasts[ended], days[ended]
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    actual = _sold(series, rows, days, known_until)
    error = rows["mean"].to_numpy() - actual
    both = np.abs(rows["mean"].to_numpy()) + np.abs(actual)
    judged = rows[["period", *KEYS]].assign(
        steps=1, actual=actual, forecast=rows["mean"], error=error, off=np.abs(error),
        smape=np.where(both > 0, 2 * np.abs(error) / np.where(both > 0, both, 1), 0),
        coverage_80=(actual >= rows["q10"]) & (actual <= rows["q90"]),
        coverage_95=(actual >= rows["q025"]) & (actual <= rows["q975"]),
    )  # fmt: skip
    groups = judged.groupby(["period", *KEYS], as_index=False)
    found = groups.agg(
        steps=("steps", "sum"), actual=("actual", "sum"), forecast=("forecast", "sum"), error=("error", "sum"),
        off=("off", "sum"), smape=("smape", "mean"), coverage_80=("coverage_80", "mean"),
        coverage_95=("coverage_95", "mean"),
    )  # fmt: skip
    sold = found["actual"].where(found["actual"] > 0)
    return found.assign(wape=found["off"] / sold, bias=found["error"] / sold)[[*COLUMNS]]


def _sold(
    series: pd.DataFrame, rows: pd.DataFrame, days: np.ndarray, known_until: pd.Timestamp
) -> np.ndarray:
    """What came in each row's period, by cumulated sums over the days."""
    if series.empty:
        return np.zeros(len(rows))
    panel = daily_panel(series, pd.Timestamp(known_until).date())
    totals = np.pad(
        np.nan_to_num(panel.values).cumsum(axis=1), ((0, 1), (1, 0))
    )  # a last row of zeros: not there
    numbered = panel.keys.assign(row=np.arange(len(panel)))
    row = rows[KEYS].merge(numbered, on=KEYS, how="left")["row"].fillna(len(panel)).to_numpy().astype(int)
    start = (rows["date"] - panel.dates[0]).dt.days.to_numpy()
    first, last = np.clip(start, 0, panel.size), np.clip(start + days, 0, panel.size)
    return totals[row, last] - totals[row, first]
