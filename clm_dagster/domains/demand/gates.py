"""The champion gate of demand: whether the new policy becomes champion.

Belongs here: the gain over the baseline, and the verdict with its reasons. Does not: the evaluation (`evaluation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clm_dagster.domains.demand.series import KEYS
from clm_dagster.statistics.evaluation import Difference, Verdict

DRAWS, SEED = 2000, 20111209


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


@dataclass(frozen=True)
class PeriodGain:
    """Gain over the baseline in one period, days or weeks.

    gain: result of `gain_over` against the eight-week mean on held-out origins; None where the history is too short.
    series: number of compared series.
    """

    gain: Difference | None
    series: int


def demand_verdict(gains: Mapping[str, PeriodGain], weeks: int, is_newest: bool = True) -> Verdict:
    """Return whether the policy becomes champion, for days and weeks each for itself.

    A period passes if its MASE is clearly below the eight-week mean's. gains: by period. weeks: length of the history,
    for the message where it is too short.
    """
    findings = {period: _finding(period, found, weeks) for period, found in gains.items()}
    return Verdict.by_parts("The model", findings, is_newest)


def _finding(period: str, found: PeriodGain, weeks: int) -> tuple[bool, str]:
    if found.gain is None:
        return False, (
            f"By {period}: the history of {weeks} weeks is too short to evaluate a forecast; 36 weeks are needed."
        )
    return found.gain.below_zero, (
        f"By {period}: MASE minus that of the eight-week mean, over {found.series} series on held-out dates: "
        f"{found.gain}."
    )
