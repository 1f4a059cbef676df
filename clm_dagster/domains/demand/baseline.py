"""The naive baseline of demand as it serves: the mean of eight weeks for every series.

Belongs here: its policy, with the errors that it had in the backtest. Does not: the method (`panel_methods`), forecasts
(`predict`), when the baseline serves (the engine of trained models).
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clm_dagster.domains.demand.model import PeriodEvaluation
from clm_dagster.domains.demand.names import BASELINE
from clm_dagster.domains.demand.policy import ForecastPolicy, apply_fallbacks
from clm_dagster.domains.demand.series_class import EVALUATED


def baseline_key(period: str) -> str:
    """Return the key of a period's baseline among the policies of a registered model."""
    return f"{period}_baseline"


def baseline_policies(evaluations: Mapping[str, PeriodEvaluation]) -> dict[str, ForecastPolicy]:
    """Return the policy of the baseline for each period, by `baseline_key`."""
    return {baseline_key(period): _policy(evaluation) for period, evaluation in evaluations.items()}


def _policy(evaluation: PeriodEvaluation) -> ForecastPolicy:
    """Return the policy that uses the baseline for every series, with its own errors for the intervals."""
    methods = evaluation.backtest.methods
    weights = np.tile((np.array(methods) == BASELINE).astype(float), (len(evaluation.backtest.panel), 1))
    names = np.full(len(weights), BASELINE, dtype=object)
    apply_fallbacks(weights, names, evaluation.series_class, methods)
    combined: dict[str, tuple[str, ...]] = dict.fromkeys(EVALUATED, (BASELINE,))
    choice = replace(evaluation.choice, weights=weights, names=tuple(names), combined=combined)
    return replace(evaluation, choice=choice).policy
