"""Checks of the churn tables that Python writes.

Belongs here: check names, descriptions and results. Does not belong here: checks of tables that SQL makes (`grading`).
"""

from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clm_dagster.platform.alerts.headlines import Headline
from clm_dagster.platform.trained_models.checks import warn
from clm_dagster.platform.trained_models.samples import ENOUGH_CHECK

if TYPE_CHECKING:
    from clm_dagster.domains.churn.evaluate import EvaluationResult
    from clm_dagster.domains.churn.turnover import Turnover

LEAK, HORIZON = "no_suspected_leak", "horizon_fits_the_shop"
DRIFT = "features_have_not_drifted"
STEADY = "top_decile_is_steady"
HEADLINES = {
    DRIFT: Headline(
        "Drift: customers differ from those that the churn model was tested on, and its scores move with that",
        "look at the features named here: a changed export moves them at once, a changed shop slowly. Train anew if "
        "the shop has changed.",
    ),
    STEADY: Headline(
        "Unsteady scores: many customers left the top decile without an event",
        "compare the newest scores with the week before; look for drift in the features.",
    ),
    "scores_keep_their_promise": Headline(
        "Churn scores were worse than at their test, measured on what happened since",
        "look at marts.churn_scorecard; train anew, or lower what depends on the scores.",
    ),
}
# Warn if the horizon differs from the suggested one by more than this factor.
_FACTOR = 2.0


TRAINING = {
    LEAK: "No AUC is suspiciously high (CLM_CHURN_LEAK_AUC).",
    HORIZON: "The horizon is close to the one that the shop's order gaps suggest.",
    **ENOUGH_CHECK,
}
DRIFTED = {
    DRIFT: "Drift moves scores no further than it did at the model's test (CLM_DRIFT_WARN, CLM_DRIFT_FAIL)."
}
SCORED = {
    STEADY: "Few customers leave the top decile of scores without an event since the previous snapshot "
    "(CLM_CHURN_TURNOVER_WARN)."
}


def check_training(
    snapshot: str, result: "EvaluationResult", suggestion: tuple[int, str]
) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of a training."""
    horizon, (days, reason) = result.split.horizon_days, suggestion
    fits = not days or days / _FACTOR <= horizon <= days * _FACTOR
    return [
        dg.AssetCheckResult(
            check_name=LEAK,
            passed=not result.leaks,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{snapshot}: {' '.join(result.leaks) or 'no AUC is suspiciously high'}",
        ),
        warn(HORIZON, fits, f"{snapshot}: the horizon is {horizon} days (CLM_CHURN_HORIZON_DAYS). {reason}"),
    ]


def check_drift(
    snapshot: str, table: pd.DataFrame | None, warn_from: float, fail_from: float
) -> list[dg.AssetCheckResult]:
    """Return the result of the drift check. It lists the topics that move scores, the largest effect first.

    table: of `monitoring.feature_drift`, None without a model. warn_from, fail_from: effects on scores (probabilities).
    """
    if table is None:
        return [warn(DRIFT, True, f"{snapshot}: there is no model to compare with")]
    moved = table[table["status"] != "ok"]
    failed = (table["status"] == "fail").any()
    text = "; ".join(_moved(part) for _, part in moved.groupby(["topic", "score_effect"], sort=False))
    return [
        dg.AssetCheckResult(
            check_name=DRIFT,
            passed=moved.empty,
            severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
            description=f"{snapshot}: {text or 'no drift moves scores further than at the test'} "
            f"(warning from {100 * warn_from:g} points beyond the test, failing from {100 * fail_from:g})",
        )
    ]


def check_turnover(snapshot: str, turnover: "Turnover | None", warn_from: float) -> list[dg.AssetCheckResult]:
    """Return the result of the check of the top decile. turnover: None if there is nothing to compare with."""
    if turnover is None:
        return [warn(STEADY, True, f"{snapshot}: no earlier scores to compare with")]
    return [warn(STEADY, turnover.share < warn_from, f"{snapshot}: {turnover} (warning from {warn_from:g})")]


def _moved(part: pd.DataFrame) -> str:
    """Return a text for the rows of one topic. Its features share the effect; the one that moved most comes first."""
    first = part.iloc[0]
    return (
        f"{first['topic']} moves scores by {100 * first['score_effect']:.1f} points "
        f"(test {100 * first['score_effect_at_test']:.1f}): "
        + ", ".join(
            f"{row.feature} (stability index {row.population_stability:.2f}, missing {row.missing_change:+.1%})"
            for row in part.itertuples()
        )
    )
