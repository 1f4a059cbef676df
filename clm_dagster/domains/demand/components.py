"""The components of a series: trend, weekly season, holidays and anomalies.

Belongs here: the decomposition of the past, anomalies and their size. Does not: forecasts.

Trend and season come from a robust STL (Cleveland et al. 1990) of the open days, on the power scale that `transforms`
chooses, so that a strong December is not a run of anomalies. A day is an anomaly where the residual is more than
three interquartile ranges beyond the quartiles (Tukey's "far out", 1977). Demand has heavy tails; a rule for normal
tails would flag every tenth day. The size of an anomaly is actual minus expected sales.
"""

import numpy as np
import pandas as pd
from scipy.special import inv_boxcox
from statsmodels.tsa.seasonal import STL

from clm_dagster.domains.demand.series import DAYS_PER_WEEK, KEYS, Panel, impute_closures
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.transforms import choose_power, transformed

FAR_OUT_FACTOR = 3.0
SEASON_WEEKS = 35
"""Weeks over which the weekly pattern is smoothed; it changes slowly."""
TREND_WEEKS = 8
MIN_DAYS = 56
DAY_KINDS = ("open", "closed", "holiday")
COLUMNS = (
    *KEYS,
    "date",
    "value",
    "day_kind",
    "trend",
    "seasonal",
    "holiday",
    "remainder",
    "is_anomaly",
    "anomaly_size",
)


def components(panel: Panel) -> pd.DataFrame:
    """Return one row for each series and known day of a daily panel: value = trend + seasonal + holiday + remainder.

    `holiday` is minus the expected sales on a day when the shop is shut, else 0. `anomaly_size` is value minus the
    expected sales on an anomaly, else 0. A series with under eight weeks of open days has its mean for trend.
    """
    filled = impute_closures(panel)
    is_open = panel.open_weekdays(panel.size)[:, panel.weekdays]
    begins = panel.begins
    known = np.arange(panel.size) >= begins[:, None]
    parts = [
        _decompose(panel, begin, filled[row, begin:], panel.values[row, begin:], is_open[row, begin:])
        for row, begin in enumerate(begins)
        if begin < panel.size
    ]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    row, day = np.nonzero(known)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    frame = panel.keys.iloc[row].reset_index(drop=True).assign(date=panel.dates[day], **columns)
    return frame[[*COLUMNS]]


def _decompose(
    panel: Panel, begin: int, filled: Floats, value: Floats, is_open: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the columns of one series, of its days from position `begin` on."""
    season = int(is_open[:DAYS_PER_WEEK].sum()) if panel.size >= DAYS_PER_WEEK else 1
    trend_of_open, expected_of_open, open_anomalous = _expected(filled[is_open], season)
    trend = (
        np.interp(np.arange(value.size), np.flatnonzero(is_open), trend_of_open)
        if is_open.any()
        else 0 * value
    )
    expected, anomalous = np.zeros(value.size), np.zeros(value.size, dtype=bool)
    expected[is_open], anomalous[is_open] = expected_of_open, open_anomalous
    shut = panel.shut[begin:] & is_open
    holiday = np.where(shut, -expected, 0.0)
    anomalous &= ~shut
    remainder = value - expected - holiday
    return {
        "value": value,
        "day_kind": np.select([shut, is_open], ["holiday", "open"], "closed"),
        "trend": trend,
        "seasonal": expected - trend,
        "holiday": holiday,
        "remainder": remainder,
        "is_anomaly": anomalous,
        "anomaly_size": np.where(anomalous, remainder, 0.0),
    }


def _expected(series: Floats, season: int) -> tuple[Floats, Floats, np.ndarray]:
    """Return the trend, trend + season, and which days are anomalies, on the scale of the series."""
    if series.size < max(MIN_DAYS * season // DAYS_PER_WEEK, 2 * season + 1) or np.ptp(series) == 0:
        mean = np.full(series.size, series.mean() if series.size else 0.0)
        return mean, mean, np.zeros(series.size, dtype=bool)
    power = choose_power(series, season)
    scaled = transformed(series, power)
    if season > 1:
        parts = STL(
            scaled,
            period=season,
            seasonal=SEASON_WEEKS,
            trend=TREND_WEEKS * season | 1,
            robust=True,
            seasonal_jump=5,
            trend_jump=season,
            low_pass_jump=season,
        ).fit(outer_iter=5)
        fitted = np.asarray(parts.trend + parts.seasonal)
    else:
        fitted = pd.Series(scaled).rolling(MIN_DAYS, center=True, min_periods=1).median().to_numpy()
    residual = scaled - fitted
    low, high = np.quantile(residual, (0.25, 0.75))
    reach = FAR_OUT_FACTOR * (high - low)
    anomalous = (
        (residual < low - reach) | (residual > high + reach)
        if reach > 0
        else np.zeros(series.size, dtype=bool)
    )
    expected = _inverse_transform(fitted, power)
    # The mean of the week around a day, so that the season averages out on a transformed scale as well.
    trend = pd.Series(expected).rolling(season, center=True, min_periods=1).mean().to_numpy()
    return trend, expected, anomalous


def _inverse_transform(values: Floats, power: float) -> Floats:
    if power == 1:
        return np.maximum(values, 0)
    return (
        np.expm1(values) if power == 0 else np.maximum(inv_boxcox(np.maximum(values, -1 / power), power), 0)
    )
