"""Duration of demand: the search of an ARIMA compared with that of statsmodels, and evaluations by size.

Belongs here: our side, the plain search over the same orders, shops of growing size. Does not: words
(`report`). Every figure is processor seconds of one thread: others on the machine do not count.
"""

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.tsa.statespace.sarimax import SARIMAX
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand.model import candidates, evaluate_period
from clm_dagster.domains.demand.series import Panel, make_panel, weekly_panel
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.statistics.forecasting.arima import Arima, auto_arima
from clm_dagster.statistics.forecasting.css import Floats

DAYS = 730
SEED = 20
WEEK = np.array([1.0, 1.2, 1.1, 1.0, 1.5, 0.0, 0.4])


def search(series: int) -> dict[str, Any]:
    """Two years of days and of weeks: our search and exact filter, and statsmodels' fits of the same orders."""
    found: dict[str, Any] = {}
    days = made_up(series)
    kinds = {"days, season 7": (days, 7), "weeks, no season": (weekly_panel(days), 1)}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (panel, season) in kinds.items():
            ours, plain, exact = [], [], []
            for values in panel.values:
                start = time.process_time()
                fitted = auto_arima(values, season)
                likelihood = float(fitted.filtered.llf)
                ours.append(time.process_time() - start)
                start = time.process_time()
                best = _plain_aicc(values, fitted)
                plain.append(time.process_time() - start)
                exact.append(fitted.aicc - best)
                assert np.isfinite(likelihood)
            found[name] = {
                "ours": float(np.mean(ours)),
                "plain": float(np.mean(plain)),
                "ratio": float(np.mean(plain) / np.mean(ours)),
                "aicc_above_plain": float(np.median(exact)),
            }
    return found


def evaluations(series: int) -> dict[str, Any]:
    """Seconds of the whole evaluation of days and of weeks for so many series, by one process."""
    days = made_up(series)
    found: dict[str, Any] = {"series": series}
    with threadpool_limits(1):
        start = time.process_time()
        evaluate_period(days, candidates(), 28, DemandSettings())
        found["days"] = time.process_time() - start
        start = time.process_time()
        evaluate_period(weekly_panel(days), candidates(weekly=True), 8, DemandSettings())
        found["weeks"] = time.process_time() - start
    return found


def measure(sizes: list[int]) -> dict[str, Any]:
    """Both, each in a process of its own."""
    from clm_dagster_tests.benchmarks import children

    return {
        "search": children.run("demand_fit:search", series=4),
        "evaluations": [children.run("demand_fit:evaluations", series=size) for size in sizes],
    }


def made_up(series: int) -> Panel:
    """Negative binomial days around a walking level, a week with a closed day, and a yearly season."""
    rng = np.random.default_rng(SEED)
    dates = pd.date_range("2022-01-03", periods=DAYS)
    level = rng.lognormal(3, 1, (series, 1)) * np.exp(rng.normal(0, 0.02, (series, DAYS)).cumsum(axis=1))
    year = 1 + 0.4 * np.sin(2 * np.pi * (dates.day_of_year.to_numpy() / 365.25 + rng.random((series, 1))))
    mean = level * year * WEEK[dates.day_of_week]
    values = rng.poisson(mean * rng.gamma(4.0, 0.25, mean.shape)).astype(float)
    keys = pd.DataFrame({"level": "product", "key": [f"p{i}" for i in range(series)], "measure": "orders"})
    return make_panel(keys, values, dates)


def _plain_aicc(values: Floats, fitted: Arima) -> float:
    """The best AICc of statsmodels' maximum likelihood over every model that our search tried."""
    best = np.inf
    for tried in fitted.tried:
        o = tried.orders
        seasonal = (o.seasonal_p, o.seasonal_d, o.seasonal_q, o.season) if o.season > 1 else (0, 0, 0, 0)
        trend = ("c" if o.differences == 0 else "t") if o.constant else "n"
        model = SARIMAX(values, order=(o.p, o.d, o.q), seasonal_order=seasonal, trend=trend)
        try:
            best = min(best, float(model.fit(disp=0).aicc))
        except np.linalg.LinAlgError:  # its own start can be unusable; our search has its answer all the same
            continue
    return best
