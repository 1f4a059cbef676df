"""Asset checks of demand: their descriptions and results.

Belongs here: the wording and thresholds of the checks. Does not: the forecasts that they test.
"""

import dagster as dg
import pandas as pd

from clm_dagster.platform.trained_models.checks import EVALUATED, warn
from clm_dagster.statistics.forecasting.reconciliation import ADDING, TOTAL

BANDS, SUMS = "bands_hold", "levels_add_up"
TOLERANCE = 0.05
NOMINAL = {"coverage_80": 0.80, "coverage_95": 0.95}
TRAINING = {
    BANDS: f"The 80% and 95% intervals cover that share of actual sales, within {TOLERANCE:.0%}, for days and weeks."
}
FORECASTS = {SUMS: "Units and revenue of each hierarchy level sum to those of the shop, to the penny."}


def evaluated(origins: int) -> str:
    """Return a sentence on how many forecast dates the evaluation used."""
    return f"daily forecasts were evaluated at {origins} earlier dates"


def check_training(snapshot: str, coverage: pd.DataFrame, origins: int) -> list[dg.AssetCheckResult]:
    """Return the check results of a training. coverage: period, coverage_80, coverage_95, means over the series.

    A young shop gets a model before its forecasts can be evaluated. The first result therefore replaces the
    engine's own, which passes wherever there is a model.
    """
    parts, passed = [], True
    for row in coverage.dropna().to_dict("records"):
        for name, nominal in NOMINAL.items():
            passed &= abs(row[name] - nominal) <= TOLERANCE
            parts.append(f"{row[name]:.1%} of {row['period']}s are within the {nominal:.0%} interval")
    return [
        warn(EVALUATED, origins > 0, f"{snapshot}: {evaluated(origins)}"),
        warn(BANDS, passed, f"{snapshot}: {', '.join(parts) or 'no interval could be evaluated yet'}"),
    ]


def check_sums(snapshot: str, forecasts: pd.DataFrame) -> list[dg.AssetCheckResult]:
    """Return the check result for the forecasts of one as_of: the sum of each level against the shop's total."""
    rows = forecasts[forecasts["measure"].isin(ADDING)]
    sums = rows.groupby(["period", "measure", "date", "level"])["mean"].sum().unstack("level")
    off = 0.0
    if TOTAL in sums:
        off = float(sums.sub(sums[TOTAL], axis=0).abs().max().max())
    return [
        warn(
            SUMS, off < 0.005, f"{snapshot}: the largest difference between a level and the shop is {off:.4f}"
        )
    ]
