"""The champion gate of demand: whether the new policy becomes champion.

Belongs here: the gain over the baseline, and the verdict with its reasons. Does not: the evaluation (`evaluation`).
"""

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.backtest import BASELINES
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.statistics.evaluation import Difference, Verdict
from clm_dagster.statistics.evaluation.gates import BACKFILL, UNCHANGED

DRAWS, SEED = 2000, 20111209
BASELINE = BASELINES[1]


def gain_over(held_out: pd.DataFrame, baseline: str) -> Difference | None:
    """Return the mean difference in MASE, chosen forecasts minus a baseline, with its 95% bootstrap interval.

    held_out: level, key, measure, method, mase (`model.PeriodEvaluation.held_out`). The bootstrap resamples series.
    Series of one shop are correlated, so the interval is slightly too narrow. Return None where no series can be
    compared.
    """
    if held_out.empty:
        return None
    wide = held_out.pivot_table(index=KEYS, columns="method", values="mase")
    if not {"chosen", baseline} <= set(wide.columns):
        return None
    gaps = (wide["chosen"] - wide[baseline]).dropna().to_numpy()
    if not gaps.size:
        return None
    drawn = np.random.default_rng(SEED).integers(0, gaps.size, (DRAWS, gaps.size))
    low, high = np.quantile(gaps[drawn].mean(axis=1), (0.025, 0.975))
    return Difference(float(gaps.mean()), float(low), float(high))


def demand_verdict(gain: Difference | None, series: int, weeks: int, is_newest: bool = True) -> Verdict:
    """Return whether the policy becomes champion: newest partition, and daily MASE clearly below the eight-week mean's.

    gain: result of `gain_over` against that baseline on held-out origins; None where the history is too short.
    weeks: length of the history, for that message.
    """
    if gain is None:
        too_short = f"The history of {weeks} weeks is too short to evaluate a forecast; 36 weeks are needed."
        return Verdict(False, (UNCHANGED, too_short))
    measured = (
        f"Daily MASE minus that of the eight-week mean, over {series} series on held-out dates: {gain}."
    )
    if gain.below_zero and is_newest:
        return Verdict(True, ("The chosen forecasts become champion.", measured))
    return Verdict(False, (UNCHANGED, measured, *(() if is_newest else (BACKFILL,))))
