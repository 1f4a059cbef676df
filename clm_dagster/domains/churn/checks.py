"""Checks of the churn tables that Python writes.

Belongs here: check names, descriptions and results. Does not belong here: checks of tables that SQL makes (`grading`).
"""

from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clm_dagster.platform.trained_models.checks import warn

if TYPE_CHECKING:
    from clm_dagster.domains.churn.evaluate import EvaluationResult
    from clm_dagster.domains.churn.turnover import Turnover

LEAK, HORIZON = "no_suspected_leak", "horizon_fits_the_shop"
DRIFT = "features_have_not_drifted"
STEADY = "top_decile_is_steady"
# Warn if the horizon differs from the suggested one by more than this factor.
_FACTOR = 2.0


TRAINING = {
    LEAK: "No AUC is suspiciously high (CLM_CHURN_LEAK_AUC).",
    HORIZON: "The horizon is close to the one that the shop's order gaps suggest.",
}
DRIFTED = {
    DRIFT: "Features have drifted no further from training than at the test (CLM_DRIFT_WARN, CLM_DRIFT_FAIL)."
}
SCORED = {
    STEADY: "Few customers leave the top decile of scores without an event since the previous snapshot "
    "(CLM_CHURN_TURNOVER_WARN)."
}


def check_training(
    as_of: str, result: "EvaluationResult", suggestion: tuple[int, str]
) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of a training."""
    horizon, (days, reason) = result.split.horizon_days, suggestion
    fits = not days or days / _FACTOR <= horizon <= days * _FACTOR
    return [
        dg.AssetCheckResult(
            check_name=LEAK,
            passed=not result.leaks,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{as_of}: {' '.join(result.leaks) or 'no AUC is suspiciously high'}",
        ),
        warn(HORIZON, fits, f"{as_of}: the horizon is {horizon} days (CLM_CHURN_HORIZON_DAYS). {reason}"),
    ]


def check_drift(
    as_of: str, table: pd.DataFrame | None, warn_from: float, fail_from: float
) -> list[dg.AssetCheckResult]:
    """Return the result of the drift check. It lists the features that drifted, the largest drift first."""
    if table is None:
        return [warn(DRIFT, True, f"{as_of}: there is no model to compare with")]
    drifted = table[table["status"] != "ok"]
    failed = (table["status"] == "fail").any()
    text = "; ".join(
        f"{row.feature}: stability index {row.population_stability:.2f} (test {row.population_stability_at_test:.2f}), "
        f"missing {row.missing_change:+.1%}"
        for row in drifted.itertuples()
    )
    return [
        dg.AssetCheckResult(
            check_name=DRIFT,
            passed=drifted.empty,
            severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
            description=f"{as_of}: {text or 'no feature has drifted'} "
            f"(warning from {warn_from:g}, failing from {fail_from:g})",
        )
    ]


def check_turnover(as_of: str, turnover: "Turnover | None", warn_from: float) -> list[dg.AssetCheckResult]:
    """Return the result of the check of the top decile. turnover: None if there is nothing to compare with."""
    if turnover is None:
        return [warn(STEADY, True, f"{as_of}: no earlier scores to compare with")]
    return [warn(STEADY, turnover.share < warn_from, f"{as_of}: {turnover} (warning from {warn_from:g})")]
