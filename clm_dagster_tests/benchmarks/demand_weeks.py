"""Weekly forecasts of 60 series of departments of stores beside MSTL with AutoETS of statsforecast.

    python -m clm_dagster_tests.benchmarks --only demand-weeks

Belongs here: the simulated series, our contest, the figures of both sides. Does not: the peer's fits
(`demand_weeks_peer`, which runs in its own environment), words (`report_demand`).

The series resemble Walmart's sales by store and department: one value a week, on Fridays, over 143 weeks. Levels differ
by orders of magnitude, a yearly season has peaks at Thanksgiving, Christmas and Easter, whose weeks shift from year to
year, and errors are autocorrelated.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand.model import evaluate_candidates, panels_of, predict_panels
from clm_dagster.domains.demand.names import WEEK
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster_tests.benchmarks.method_inputs import purchases

HORIZON = 8
YEAR = 52
ORIGINS_BACK = (0, 6, 12)
"""Weeks before the latest possible forecast; the HORIZON weeks after each are compared."""
FIRST_FRIDAY = pd.Timestamp("2010-02-05")
EASTER = pd.to_datetime(["2010-04-04", "2011-04-24", "2012-04-08", "2013-03-31"])
CHOOSING, REPORTING = 31, 32
"""Seeds: settings were chosen with the former, figures are of the latter."""


@dataclass(frozen=True)
class Departments:
    """Parameters of simulated weekly sales. Spreads are standard deviations of logarithms."""

    series: int = 60
    weeks: int = 143
    median: float = 8_000.0
    level_spread: float = 1.0
    trend: float = 0.04
    """Spread of the yearly growth."""
    season: float = 0.12
    """Spread of each pair of yearly waves; the second pair has half of it."""
    peak: float = 0.35
    """Mean of the logarithm of a holiday's factor; each department has its own."""
    noise: float = 0.07
    correlation: float = 0.45
    walk: float = 0.01

    def draw(self, seed: int) -> tuple[Floats, pd.DatetimeIndex]:
        """Return sales (series, weeks + HORIZON) and their Fridays."""
        rng = np.random.default_rng(seed)
        size = self.weeks + HORIZON
        dates = pd.date_range(FIRST_FRIDAY, periods=size, freq="7D")
        year = np.arange(size) / 52.1775
        log = np.log(self.median) + rng.normal(0, self.level_spread, (self.series, 1))
        log = log + rng.normal(0.01, self.trend, (self.series, 1)) * year
        for pair in (1, 2):
            waves = rng.normal(0, self.season / pair, (2, self.series, 1))
            log = (
                log + waves[0] * np.sin(2 * np.pi * pair * year) + waves[1] * np.cos(2 * np.pi * pair * year)
            )
        for weeks in _holidays(dates):
            log = log + np.maximum(rng.normal(self.peak, self.peak, (self.series, 1)), 0) * weeks
        shocks = rng.normal(0, self.noise, (self.series, size))
        error = np.zeros_like(shocks)
        for week in range(1, size):
            error[:, week] = self.correlation * error[:, week - 1] + shocks[:, week]
        log = log + error + np.cumsum(rng.normal(0, self.walk, (self.series, size)), axis=1)
        return np.round(np.exp(log), 2), dates


def _holidays(dates: pd.DatetimeIndex) -> list[Floats]:
    """Return how far each week (weeks,) that ends on a Friday belongs to Thanksgiving, Christmas and Easter."""
    begins = dates - pd.Timedelta(days=6)
    thanksgiving, christmas, easter = np.zeros((3, dates.size))
    for year in sorted(set(dates.year)):
        november = pd.date_range(f"{year}-11-01", f"{year}-11-30")
        fourth = november[november.day_of_week == 3][3]
        thanksgiving += (begins <= fourth + pd.Timedelta(days=1)) & (dates >= fourth + pd.Timedelta(days=1))
        days = pd.date_range(f"{year}-12-11", f"{year}-12-24")
        christmas += [
            ((days >= begin) & (days <= end)).sum() / 7 for begin, end in zip(begins, dates, strict=True)
        ]
    for sunday in EASTER:
        days = pd.date_range(sunday - pd.Timedelta(days=6), sunday)
        easter += [
            ((days >= begin) & (days <= end)).sum() / 7 for begin, end in zip(begins, dates, strict=True)
        ]
    return [thanksgiving, christmas, 0.5 * easter]


def real_weeks(reference: Path, products: int = 40) -> tuple[Floats, pd.DatetimeIndex]:
    """Return weekly revenue of the products of Online Retail II that sold most often, and the last day of each week."""
    lines = purchases(reference, "2009-12-01", "2011-12-09").drop_duplicates()
    lines = lines.assign(
        day=lines["InvoiceDate"].dt.normalize(), revenue=lines["Quantity"] * lines["Price"].astype(float)
    )
    ends = pd.date_range(end="2011-12-08", periods=105, freq="7D")
    number = (lines["day"] - ends[0]).dt.days.to_numpy()
    lines = lines.assign(week=-(-number // 7))
    lines = lines[(lines["week"] >= 0) & (lines["week"] < len(ends))]
    often = lines.groupby("StockCode")["week"].nunique().nlargest(products).index
    table = lines.pivot_table(
        index="StockCode", columns="week", values="revenue", aggfunc="sum", fill_value=0.0
    )
    values = table.loc[np.sort(often)].reindex(columns=range(len(ends)), fill_value=0.0).to_numpy(dtype=float)
    return values, ends


def as_series(values: Floats, dates: pd.DatetimeIndex) -> pd.DataFrame:
    """Return weekly values as rows of core.demand_series, each on the last day of its week."""
    names = [f"d{i:02d}" for i in range(len(values))]
    rows = pd.DataFrame(
        {"key": np.repeat(names, len(dates)), "day": np.tile(dates, len(names)), "value": values.ravel()}
    )
    return rows.assign(level="product", measure="revenue")


def compare(reference: Path, python: Path) -> dict[str, Any]:
    """Return the figures of both sides on simulated and real series; ours alone where the peer is not installed."""
    sets = {"simulated": Departments().draw(REPORTING), "Online Retail II": real_weeks(reference)}
    found: dict[str, Any] = {}
    for name, (values, dates) in sets.items():
        origins = [values.shape[1] - HORIZON - back for back in ORIGINS_BACK]
        ours = pd.DataFrame([contest(values, dates, known) for known in origins])
        found[name] = {"ours": ours.mean().to_dict()}
        if python.exists():
            found[name]["MSTL with AutoETS"] = peer(values, origins, python)
    return found


def peer(values: Floats, origins: list[int], python: Path) -> dict[str, Any]:
    """Run `demand_weeks_peer` in the peers' environment. Exit if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.npy"
        np.save(path, values)
        command = [
            str(python),
            "-m",
            f"{__package__}.demand_weeks_peer",
            str(path),
            ",".join(map(str, origins)),
        ]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(f"demand_weeks_peer in {python} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def contest(values: Floats, dates: pd.DatetimeIndex, known: int) -> dict[str, float]:
    """Return the figures of our contest on the first `known` weeks; seconds are those of the evaluation."""
    series = as_series(values[:, :known], dates[:known])
    settings = DemandSettings()
    as_of = (dates[known - 1] + pd.Timedelta(days=1)).date()
    with threadpool_limits(1):
        panels = panels_of(series, as_of, settings)
        start = time.process_time()
        evaluations = evaluate_candidates(panels, settings)
        seconds = time.process_time() - start
        policies = {period: evaluation.policy for period, evaluation in evaluations.items()}
        result = predict_panels(policies, panels, settings)[WEEK]
    actual = values[:, known : known + HORIZON]
    scale = np.abs(np.diff(values[:, :known], axis=1)).mean(axis=1)
    error = np.abs(result.mean[:, :HORIZON] - actual).mean(axis=1)
    bands = np.moveaxis(result.quantiles[:, :HORIZON], 2, 0)
    return {
        "mase": float((error / scale).mean()),
        "coverage_80": float(((actual >= bands[1]) & (actual <= bands[3])).mean()),
        "coverage_95": float(((actual >= bands[0]) & (actual <= bands[4])).mean()),
        "seconds": seconds,
    }
