"""What the checks of this room say, in words."""

import dagster as dg
import pandas as pd

from clm_dagster.platform.trained_models import checks
from clm_dagster.platform.trained_models.checks import GATE, HELD, contest_specs, warn
from clm_dagster.statistics.evaluation import Verdict
from clm_dagster.statistics.forecasting.reconcile import ADDING, TOTAL

BANDS, SUMS = "bands_hold", "levels_add_up"
ROOM = 0.05
PROMISED = {"coverage_80": 0.80, "coverage_95": 0.95}


def specs_of_model(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a training."""
    return [
        *contest_specs(
            key, "On dates not used to choose, the chosen daily forecasts beat the mean of eight weeks."
        ),
        dg.AssetCheckSpec(
            BANDS, asset=key,
            description=f"Bands of 80 and 95% held that share of what came, within {ROOM:.0%}, days and weeks.",
        ),
    ]  # fmt: skip


def specs_of_forecasts(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of forecasts."""
    return [
        dg.AssetCheckSpec(
            SUMS, asset=key, description="Units and revenue of each level add up to the shop's, to the penny."
        )
    ]


def check_training(
    as_of: str, coverage: pd.DataFrame, origins: int, then: Verdict, now: Verdict
) -> list[dg.AssetCheckResult]:
    """Results of a training; coverage has period, coverage_80, coverage_95: means over the series."""
    told, held = [], True
    for row in coverage.dropna().to_dict("records"):
        for name, promised in PROMISED.items():
            held &= abs(row[name] - promised) <= ROOM
            told.append(f"{row['period']}s {row[name]:.1%} of {promised:.0%}")
    return [
        warn(HELD, origins > 0, f"{as_of}: forecasts from {origins} earlier dates were judged"),
        warn(GATE, then.accepted, f"{as_of}: {now}"),
        warn(BANDS, held, f"{as_of}: {', '.join(told) or 'no band could be judged yet'}"),
    ]


def check_no_contest(problem: str) -> list[dg.AssetCheckResult]:
    """Results where there was nothing to learn from."""
    return checks.check_no_contest(problem, BANDS)


def check_sums(as_of: str, forecasts: pd.DataFrame) -> list[dg.AssetCheckResult]:
    """The result for forecasts of one as_of: sums over each level beside the shop's own."""
    rows = forecasts[forecasts["measure"].isin(ADDING)]
    sums = rows.groupby(["period", "measure", "date", "level"])["mean"].sum().unstack("level")
    off = 0.0
    if TOTAL in sums:
        off = float(sums.sub(sums[TOTAL], axis=0).abs().max().max())
    return [warn(SUMS, off < 0.005, f"{as_of}: the greatest difference of a level to the shop is {off:.4f}")]
