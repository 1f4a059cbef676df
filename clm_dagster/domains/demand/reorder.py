"""Reorder points: expected demand in the lead time plus a safety stock from the quantiles of the forecast.

Belongs here: the rows of `marts.reorder_points`, computed from daily forecasts of units. Does not: forecasts, stock on
hand (no source has it).

Reorder when stock on hand plus stock on order falls to the reorder point. The safety stock keeps the probability of no
shortage in a lead time at `service_level` (cycle service level; Silver, Pyke and Thomas 2017, chapter 6). The excess
of a day is its quantile at the service level minus its mean; for independent days, squared excesses add up. Days are
not independent, so the safety stock is multiplied by `widening`: the spread of errors summed over the lead time in the
backtest, relative to that of independent days.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from clm_dagster.domains.demand.baseline import baseline_key
from clm_dagster.domains.demand.names import BASELINE, DAY
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.registered import REGISTERED
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.table_settings import ReorderSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.champions import baseline_name
from clm_dagster.statistics.forecasting.css import Floats

UPPER = {0.5: "q50", 0.9: "q90", 0.975: "q975"}
"""The quantile columns between which a service level is interpolated."""
COLUMNS = (
    *KEYS[:2],
    "date",
    "lead_days",
    "service_level",
    "expected_demand",
    "safety_stock",
    "reorder_point",
)


def reorder(work: Work[ReorderSettings], forecasts: pd.DataFrame) -> TableOutput:
    """Return reorder points from the daily forecasts of a snapshot and the backtest errors of their model."""
    if forecasts.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    name, version = forecasts[["model_name", "model_version"]].iloc[0]
    policies = REGISTERED.load(work.tracking, version)
    policy = policies[baseline_key(DAY) if name == baseline_name(BASELINE) else DAY]
    rows = reorder_points(forecasts, _widening_by_product(policy, work.settings), work.settings)
    found = rows.rename(columns={"key": "product_id"}).assign(model_name=name, model_version=version)
    return TableOutput(found[work.columns], {"products": int(found["product_id"].nunique())})


def _widening_by_product(policy: ForecastPolicy, settings: ReorderSettings) -> pd.Series:
    wide = pd.Series(widening(policy.paths, policy.actual, settings.lead_days), policy.keys["key"])
    products = (policy.keys["level"] == "product") & (policy.keys["measure"] == "units")
    return wide[products.to_numpy()]


def widening(paths: Floats, actual: Floats, lead_days: int) -> Floats:
    """Return the spread of errors summed over the lead time, relative to independent days: (series,), at least 1.

    paths, actual: of a backtest (series, origins, days). A series without one (NaN) gets the median of the others, or
    1 where there is none.
    """
    series, origins, horizon = paths.shape
    if not origins:
        return np.ones(series)
    lead = min(lead_days, horizon)
    error = paths - actual
    blocks = horizon // lead
    sums = error[:, :, : blocks * lead].reshape(series, -1, lead).sum(axis=2)
    daily = np.square(error).mean(axis=(1, 2))
    ratio = np.sqrt(np.square(sums).mean(axis=1) / (lead * np.where(daily > 0, daily, np.nan)))
    known = ratio[np.isfinite(ratio)]
    middle = float(np.median(known)) if known.size else 1.0
    return np.maximum(np.where(np.isfinite(ratio), ratio, middle), 1.0)


def reorder_points(
    forecasts: pd.DataFrame, widenings: pd.Series, settings: ReorderSettings | None = None
) -> pd.DataFrame:
    """Return the reorder points of products for each day whose whole lead time is forecast.

    forecasts: daily rows (DemandForecast.forecasts). widenings: by product, 1 where absent. The lead time of a row
    begins on its date. One row for each product and date with COLUMNS, in units, safety stock rounded up. Raise
    ValueError for a service level outside (0.5, 1) or a lead time beyond the forecast.
    """
    settings = settings or ReorderSettings()
    if not 0.5 < settings.service_level < 1:
        raise ValueError(f"service level {settings.service_level} is not between 0.5 and 1")
    rows = forecasts[(forecasts["period"] == "day") & (forecasts["level"] == "product")]
    rows = rows[(rows["measure"] == "units") & (rows["key"] != "other")].sort_values([*KEYS, "date"])
    days = rows["date"].nunique()
    lead = settings.lead_days
    if rows.empty and lead >= 1:
        return pd.DataFrame(columns=list(COLUMNS))
    if not 1 <= lead <= days:
        raise ValueError(f"lead time of {lead} days: set it between 1 and {days}, the days of the forecast")
    shape = (-1, days)
    mean = rows["mean"].to_numpy().reshape(shape)
    excess = _upper_quantile(rows, settings.service_level).reshape(shape) - mean
    products = rows["key"].to_numpy().reshape(shape)[:, 0]
    wide = widenings.reindex(products).fillna(1.0).to_numpy()[:, None]
    windows = np.lib.stride_tricks.sliding_window_view
    expected = windows(mean, lead, axis=1).sum(axis=2)
    safety = np.sqrt(windows(np.square(np.maximum(excess, 0)), lead, axis=1).sum(axis=2)) * wide
    safety = np.ceil(np.round(safety, 6))
    dates = rows["date"].to_numpy().reshape(shape)[:, : expected.shape[1]]
    return pd.DataFrame(
        {
            "level": "product",
            "key": np.repeat(products, expected.shape[1]),
            "date": dates.ravel(),
            "lead_days": lead,
            "service_level": settings.service_level,
            "expected_demand": expected.ravel(),
            "safety_stock": safety.ravel(),
            "reorder_point": np.ceil(np.round(expected, 6)).ravel() + safety.ravel(),
        }
    )


def _upper_quantile(rows: pd.DataFrame, service_level: float) -> Floats:
    """Return the quantile at the service level, interpolated or extrapolated on the scale of normal deviates."""
    at = ndtri(np.array([*UPPER]))
    values = rows[[*UPPER.values()]].to_numpy()
    z = float(ndtri(service_level))
    right = 1 if z <= at[1] else 2
    share = (z - at[right - 1]) / (at[right] - at[right - 1])
    quantile: Floats = values[:, right - 1] + share * (values[:, right] - values[:, right - 1])
    return quantile
