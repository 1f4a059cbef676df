"""Checks of the customer value tables that Python writes.

Belongs here: check names, descriptions and results. Does not belong here: the champion rule (`gates`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.platform.trained_models.checks import warn
from clm_dagster.platform.trained_models.samples import ENOUGH_CHECK

if TYPE_CHECKING:
    from clm_dagster.domains.value.evaluate import EvaluationResult

LEVEL = "level_was_met"
MOST_BIAS = 0.15
TRAINING = {
    LEVEL: f"The sum of the test's predictions is within {MOST_BIAS:.0%} of the actual sum.",
    **ENOUGH_CHECK,
}


def check_training(snapshot: str, result: "EvaluationResult") -> list[dg.AssetCheckResult]:
    """Return the results of the checks of a training."""
    bias = result.results[result.winner].test["bias"]
    return [
        warn(
            LEVEL,
            abs(bias) <= MOST_BIAS,
            f"{snapshot}: the predicted spend of all customers differs from the actual sum by {bias:+.1%}; "
            f"the level was forecast by the method {result.level.method}",
        )
    ]
