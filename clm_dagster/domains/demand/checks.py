"""What the checks of demand say, in words."""

import dagster as dg
import pandas as pd

from clm_dagster.platform.trained_models.checks import HELD, warn
from clm_dagster.statistics.forecasting.reconciliation import ADDING, TOTAL

BANDS, SUMS = "bands_hold", "levels_add_up"
TOLERANCE = 0.05
NOMINAL = {"coverage_80": 0.80, "coverage_95": 0.95}
TRAINING = {
    BANDS: f"Bands of 80 and 95% held that share of what was sold, within {TOLERANCE:.0%}, days and weeks."
}
FORECASTS = {SUMS: "Units and revenue of each level add up to the shop's, to the penny."}


def evaluated(origins: int) -> str:
    """Return what daily forecasts were judged on, as a sentence."""
    return f"forecasts from {origins} earlier dates were judged"


def check_training(as_of: str, coverage: pd.DataFrame, origins: int) -> list[dg.AssetCheckResult]:
    """Return the results of a training; coverage has period, coverage_80, coverage_95: means over the series.

    A young shop has a model before anything can be judged: the first result replaces the engine's, which passes
    wherever there is a model.
    """
    parts, hold = [], True
    for row in coverage.dropna().to_dict("records"):
        for name, nominal in NOMINAL.items():
            hold &= abs(row[name] - nominal) <= TOLERANCE
            parts.append(f"{row['period']}s {row[name]:.1%} of {nominal:.0%}")
    return [
        warn(HELD, origins > 0, f"{as_of}: {evaluated(origins)}"),
        warn(BANDS, hold, f"{as_of}: {', '.join(parts) or 'no band could be judged yet'}"),
    ]


def check_sums(as_of: str, forecasts: pd.DataFrame) -> list[dg.AssetCheckResult]:
    """Return the result for forecasts of one as_of: sums over each level beside the shop's own."""
    rows = forecasts[forecasts["measure"].isin(ADDING)]
    sums = rows.groupby(["period", "measure", "date", "level"])["mean"].sum().unstack("level")
    off = 0.0
    if TOTAL in sums:
        off = float(sums.sub(sums[TOTAL], axis=0).abs().max().max())
    return [warn(SUMS, off < 0.005, f"{as_of}: the greatest difference of a level to the shop is {off:.4f}")]
