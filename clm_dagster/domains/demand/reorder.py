"""When and how much to reorder: safety stock from the forecast's own quantiles.

Belongs here: the rows of `marts.reorder_points`, from daily forecasts of units to a reorder point for each day. Does
not: forecasts, stock on hand (no source has it).

Order when stock on hand and on the way falls to the reorder point: what is sold in the lead time, and a
safety stock so that with the probability `service_level` nothing runs out in it (cycle service; Silver,
Pyke and Thomas 2017, chapter 6). The day's quantile at the service level says how far a day may exceed its
mean; independent days add by squares. Days are not independent, and the backtest says how much: `widening`
is the spread of sums over the lead time, relative to that of independent days.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri

from clm_dagster.domains.demand.model import DAY
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.served import REGISTERED
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.statistics.forecasting.css import Floats

UPPER = {0.5: "q50", 0.9: "q90", 0.975: "q975"}
"""The quantile columns that a service level lies between."""
COLUMNS = (
    *KEYS[:2],
    "date",
    "lead_days",
    "service_level",
    "expected_demand",
    "safety_stock",
    "reorder_point",
)


@dataclass(frozen=True)
class ReorderSettings:
    """What the buyer decides."""

    lead_days: int = 7
    """Days from order to shelf."""
    service_level: float = 0.95
    """Probability of no shortage during a lead time, above .5 and below 1."""


def reorder(work: Work[ReorderSettings], forecasts: pd.DataFrame) -> TableOutput:
    """Return reorder points by the daily forecasts of a snapshot and the errors of the model that made them."""
    if forecasts.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    version = forecasts["model_version"].iloc[0]
    policy = REGISTERED.load(work.tracking, version)[DAY]
    rows = reorder_points(forecasts, _widening_by_product(policy, work.settings), work.settings)
    found = rows.rename(columns={"key": "product_id"}).assign(
        model_name=forecasts["model_name"].iloc[0], model_version=version
    )
    return TableOutput(found[work.columns], {"products": int(found["product_id"].nunique())})


def _widening_by_product(policy: ForecastPolicy, settings: ReorderSettings) -> pd.Series:
    wide = pd.Series(widening(policy.paths, policy.actual, settings.lead_days), policy.keys["key"])
    products = (policy.keys["level"] == "product") & (policy.keys["measure"] == "units")
    return wide[products.to_numpy()]


def widening(paths: Floats, actual: Floats, lead_days: int) -> Floats:
    """(series,) spread of errors summed over the lead time, relative to independent days; at least 1.

    paths and actual (series, origins, days) are a backtest. Series without one (NaN) get the median of the others, 1
    where there is none.
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
    """Reorder points of products for each day whose whole lead time is forecast.

    `forecasts` are daily rows (DemandForecast.forecasts); `widenings` by product, 1 where absent. A row's
    lead time begins on its date. One row per product and date: COLUMNS, in units, safety stock rounded up.
    Raises ValueError for a service level outside (.5, 1) or a lead time beyond the forecast.
    """
    settings = settings or ReorderSettings()
    if not 0.5 < settings.service_level < 1:
        raise ValueError(f"service level {settings.service_level} is not between .5 and 1")
    rows = forecasts[(forecasts["period"] == "day") & (forecasts["level"] == "product")]
    rows = rows[(rows["measure"] == "units") & (rows["key"] != "other")].sort_values([*KEYS, "date"])
    days = rows["date"].nunique()
    lead = settings.lead_days
    if not 1 <= lead <= max(days, 1):
        raise ValueError(f"lead time of {lead} days: the forecast has {days} days, set between 1 and that")
    if rows.empty:
        return pd.DataFrame(columns=list(COLUMNS))
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
    """The quantile at `level`, between the columns' on the scale of normal deviates; beyond them, onward."""
    at = ndtri(np.array([*UPPER]))
    values = rows[[*UPPER.values()]].to_numpy()
    z = float(ndtri(service_level))
    right = 1 if z <= at[1] else 2
    share = (z - at[right - 1]) / (at[right] - at[right - 1])
    return values[:, right - 1] + share * (values[:, right] - values[:, right - 1])
