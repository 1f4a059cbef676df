"""Coverage of the bands of series without a backtest: simulated shops and the cut history of a real one.

    python -m clm_dagster_tests.benchmarks --only demand-coverage

Belongs here: forecasts after a history of some days, and their measures. Does not: the shops (`demand_shops`), words
(`report_demand`).

The plain coverage of counts says little: where half of the days are zero, any band from zero covers too much. The
measures use the probability integral transform (PIT) of the actual value, spread evenly over the jump of the
distribution at that value (Czado, Gneiting and Held 2009, Biometrics 65). The PIT of a right forecast is uniform, so a
band of 80% covers .80 of it, for counts as for amounts.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.model import candidates, evaluate_candidates, panels_of
from clm_dagster.domains.demand.names import DAY, WEEK
from clm_dagster.domains.demand.predict import QUANTILE_COLUMNS, ForecastResult, predict_panel
from clm_dagster.domains.demand.reorder import reorder_points
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.table_settings import DemandSettings, ReorderSettings
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import QUANTILES
from clm_dagster_tests.benchmarks.demand_shops import FIRST, SHOPS, SimulatedShop, as_series, summed

HISTORIES = (8, 20, 40, 60, 120, 200)
AHEAD = 28
LEADS = (7, 28)
STEPS = {DAY: AHEAD, WEEK: AHEAD // 7}
LEVELS = tuple(((np.arange(200) + 0.5) / 200).tolist())
"""The quantiles that stand for the whole distribution."""
CHOOSING, REPORTING = 1_000, 2_000
"""First seeds: settings were chosen with the former, figures are of the latter."""
REAL_DATES = (date(2010, 11, 1), date(2011, 3, 7), date(2011, 5, 2), date(2011, 7, 4), date(2011, 9, 5))


def measure(reference: str | None, draws: int = 3, first_seed: int = REPORTING) -> dict[str, Any]:
    """Return the measures by shop, level, period and days of history, each a mean over `draws` shops."""
    parts = [
        of_simulated(shop, days, first_seed + draw).assign(shop=name)
        for name, shop in SHOPS.items()
        for days in HISTORIES
        for draw in range(draws)
    ]
    if reference:
        series = real_series(Path(reference))
        parts += [
            of_real(series, as_of, days).assign(shop="online_retail_ii")
            for as_of in REAL_DATES
            for days in HISTORIES
        ]
    rows = pd.concat(parts, ignore_index=True)
    means = rows.groupby(["shop", "level", "period", "days"], sort=False, as_index=False).mean()
    return {"rows": means.to_dict("records")}


def of_simulated(shop: SimulatedShop, days: int, seed: int, futures: int = 10) -> pd.DataFrame:
    """Return the measures of one simulated shop after so many days: a row for each level and period."""
    history, later = shop.draw(seed, days, AHEAD, futures)
    results = predicted(as_series(history, shop.category_of()), (FIRST + timedelta(days=days)).date())
    rows = []
    for level, (names, values) in summed(later, shop.category_of()).items():
        for period, result in results.items():
            steps = STEPS[period]
            actual = values.reshape(*values.shape[:2], steps, -1).sum(axis=3)
            wanted = pd.DataFrame({"level": level, "key": names, "measure": "units"})
            at = positions(result.panel.keys, wanted)
            known = at >= 0
            rows_of = at[known]
            found = measures(
                result.mean[rows_of, :steps], result.quantiles[rows_of, :steps], actual[:, known]
            )
            rows.append({"level": level, "period": period, "days": days, **found})
    stock = stock_measures(results[DAY], later)
    return pd.DataFrame([row | (stock if is_products(row) else {}) for row in rows])


def is_products(row: dict[str, Any]) -> bool:
    """Return whether a row is of the days of products, which have reorder points."""
    return bool(row["level"] == "product" and row["period"] == DAY)


def of_real(series: pd.DataFrame, as_of: date, days: int) -> pd.DataFrame:
    """Return the measures of a real shop of which only the last days before as_of are known."""
    instant = pd.Timestamp(as_of)
    known = series[(series["day"] < instant) & (series["day"] >= instant - pd.Timedelta(days=days))]
    ahead = series[(series["day"] >= instant) & (series["day"] < instant + pd.Timedelta(days=AHEAD))]
    rows = []
    for period, result in predicted(known, as_of).items():
        steps = STEPS[period]
        keys = result.panel.keys
        actual = np.zeros((len(keys), AHEAD))
        at = positions(keys, ahead)
        step = (ahead["day"] - instant).dt.days.to_numpy()
        actual[at[at >= 0], step[at >= 0]] = ahead["value"].to_numpy(dtype=float)[at >= 0]
        actual = actual.reshape(len(keys), steps, -1).sum(axis=2)
        for level, found in keys.groupby("level").indices.items():
            measured = measures(
                result.mean[found, :steps], result.quantiles[found, :steps], actual[None, found]
            )
            rows.append({"level": level, "period": period, "days": days, **measured})
    return pd.DataFrame(rows)


def predicted(series: pd.DataFrame, as_of: date) -> dict[str, ForecastResult]:
    """Return the forecasts of days and weeks, with LEVELS for quantiles."""
    settings = DemandSettings(horizon_weeks=AHEAD // 7)
    panels = panels_of(series, as_of, settings)
    evaluations = evaluate_candidates(panels, settings)
    return {
        period: predict_panel(
            evaluations[period].policy, panel, candidates(), STEPS[period], levels=(*LEVELS, *QUANTILES)
        )
        for period, panel in panels.items()
    }


def positions(keys: pd.DataFrame, wanted: pd.DataFrame) -> np.ndarray:
    """Return the row in `keys` of each row of `wanted`, -1 for a series that has not sold yet."""
    numbered = keys.assign(row=np.arange(len(keys)))
    found: np.ndarray = (
        wanted[KEYS].merge(numbered, on=KEYS, how="left")["row"].fillna(-1).to_numpy(dtype=int)
    )
    return found


def measures(mean: Floats, quantiles: Floats, actual: Floats) -> dict[str, float]:
    """Return the measures of forecasts of some series.

    mean: (series, steps). quantiles: (series, steps, LEVELS and QUANTILES). actual: (futures, series, steps).
    Closed days, with a mean of zero, are left out.
    """
    grid, bands = quantiles[..., : len(LEVELS)], quantiles[..., len(LEVELS) :]
    is_open = mean > 0
    below, upto = pit(grid[is_open], actual[:, is_open])
    found = {f"pit_{level}": within(below, upto, level / 100) for level in (50, 80, 95)}
    lows, highs = bands[is_open].T[[1, 0]], bands[is_open].T[[3, 4]]
    for level, low, high in zip((80, 95), lows, highs, strict=True):
        inside = (actual[:, is_open] >= low) & (actual[:, is_open] <= high)
        found[f"plain_{level}"] = float(inside.mean())
    found["below_median"] = within(below, upto, 0.5, low=0.0)
    found["mean_bias"] = float(mean[is_open].sum() / actual[:, is_open].sum(axis=1).mean() - 1)
    return found


def pit(grid: Floats, actual: Floats) -> tuple[Floats, Floats]:
    """Return the probabilities below and up to the actual values (futures, n). grid: quantiles (n, LEVELS)."""
    size = grid.shape[1]
    below = np.zeros(actual.shape)
    upto = np.zeros(actual.shape)
    for at, one in enumerate(grid):
        below[:, at] = np.searchsorted(one, actual[:, at], side="left") / size
        upto[:, at] = np.searchsorted(one, actual[:, at], side="right") / size
    return below, upto


def within(below: Floats, upto: Floats, share: float, low: float | None = None) -> float:
    """Return the share of the PIT in the central band of a share, or in [low, low + share)."""
    start = (1 - share) / 2 if low is None else low
    end = start + share
    jump = upto - below
    overlap = np.maximum(np.minimum(upto, end) - np.maximum(below, start), 0)
    inside = (below >= start) & (below < end)
    return float(np.where(jump > 0, overlap / np.where(jump > 0, jump, 1), inside).mean())


def stock_measures(result: ForecastResult, later: Floats) -> dict[str, float]:
    """Return how often stock at the reorder points lasts, and how large it is beside the right one, by lead time."""
    keys = result.panel.keys
    at = np.flatnonzero(keys["level"] == "product")
    number = keys["key"].iloc[at].str.removeprefix("p").astype(int).to_numpy()
    rows = keys.iloc[np.repeat(at, AHEAD)].reset_index(drop=True)
    bands = result.quantiles[at][..., len(LEVELS) :]
    rows = rows.assign(
        period=DAY,
        date=np.tile(result.panel.ahead(result.panel.size, AHEAD).to_numpy(), at.size),
        mean=result.mean[at].ravel(),
        **{name: bands[..., i].ravel() for i, name in enumerate(QUANTILE_COLUMNS)},
    )
    found = {}
    for lead in LEADS:
        points = reorder_points(rows, pd.Series(dtype=float), ReorderSettings(lead_days=lead))
        first = points.groupby("key")["reorder_point"].first().reindex(keys["key"].iloc[at]).to_numpy()
        demand = later[:, number, :lead].sum(axis=2)
        found[f"served_{lead}"] = float((demand <= first).mean())
        found[f"stock_{lead}"] = float(first.sum() / np.quantile(demand, 0.95, axis=0).sum())
    return found


def real_series(reference: Path) -> pd.DataFrame:
    """Return rows of core.demand_series of Online Retail II: the shop, five countries and 80 products."""
    from clm_dagster_tests.benchmarks.method_inputs import purchases

    lines = purchases(reference, "2009-12-01", "2011-12-09").drop_duplicates()
    lines = lines.assign(day=lines["InvoiceDate"].dt.normalize(), key=lines["StockCode"])
    lines["revenue"] = lines["Quantity"] * lines["Price"].astype(float)
    rng = np.random.default_rng(7)
    often = lines.groupby("key")["day"].nunique()
    some = rng.choice(np.sort(often[often > 60].index.to_numpy()), 80, replace=False)
    named = lines["key"].where(lines["key"].isin(some), "other")
    parts = [lines.assign(level="shop", key="all"), lines.assign(level="product", key=named)]
    rows = pd.concat(parts, ignore_index=True).rename(columns={"Quantity": "units"})
    long = rows.melt(["level", "key", "day"], ["units", "revenue"], var_name="measure")
    found: pd.DataFrame = long.groupby(["level", "key", "measure", "day"])[["value"]].sum().reset_index()
    return found
