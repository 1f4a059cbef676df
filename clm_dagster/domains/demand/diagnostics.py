"""Diagnostics of the ARIMA of one series: its orders, its fit and tests of its residuals.

Belongs here: refitting the model as the evaluation does, and testing its residuals. Does not: plots.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.diagnostic import acorr_ljungbox

from clm_dagster.domains.demand.local_methods import MIN_SEASONS, MIN_VALUES, Regressors
from clm_dagster.domains.demand.series import DAYS_PER_WEEK, Panel, impute_closures
from clm_dagster.statistics.forecasting.arima import Arima
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import search_arima


@dataclass(frozen=True)
class ArimaDiagnostics:
    """An ARIMA of the open days of one series, with its residuals."""

    arima: Arima
    power: float
    """The power of the scale that it was fitted on: 1 none, 0.5 square root, 0 logarithm."""
    dates: pd.DatetimeIndex
    """The dates of the values that it was fitted on."""
    residuals: Floats
    """Standardised one-step residuals of the exact filter, without those lost to differencing."""
    ljung_box: pd.DataFrame
    """lag, statistic, p_value at one, two and four seasons; a small p-value shows remaining autocorrelation."""

    @property
    def text(self) -> str:
        """The summary by statsmodels."""
        return str(self.arima.filtered.summary())


def diagnose_arima(panel: Panel, row: int) -> ArimaDiagnostics:
    """Search and fit the ARIMA of a series. Raise ValueError where the series is too short or constant."""
    begin = int(panel.begins[row])
    use = np.ones(panel.size, dtype=bool)
    season = 1
    if panel.step == 1:
        is_open = panel.open_weekdays(panel.size)[row]
        use, season = is_open[panel.weekdays], int(is_open.sum())
    use[:begin] = False
    history = impute_closures(panel)[row][use]
    if history.size < MIN_VALUES or np.ptp(history) == 0:
        raise ValueError(f"{panel.keys.iloc[row].to_dict()}: too short or constant for an ARIMA")
    season = season if history.size >= MIN_SEASONS * season else 1
    inputs = Regressors(panel, panel.size)
    x = inputs.of(row, inputs.columns(row, panel.size))
    arima, power = search_arima(history, season, x[use])
    residuals = np.asarray(arima.filtered.standardized_forecasts_error[0])[arima.orders.lost :]
    period = season if season > 1 else DAYS_PER_WEEK
    lags = [lag for lag in (period, 2 * period, 4 * period) if lag < residuals.size]
    free = min(sum(arima.orders.sizes), min(lags, default=1) - 1)
    test = (
        acorr_ljungbox(residuals, lags=lags, model_df=free)
        if lags
        else pd.DataFrame(columns=["lb_stat", "lb_pvalue"])
    )
    table = (
        test.rename(columns={"lb_stat": "statistic", "lb_pvalue": "p_value"}).rename_axis("lag").reset_index()
    )
    return ArimaDiagnostics(arima, power, panel.dates[use], residuals, table)
