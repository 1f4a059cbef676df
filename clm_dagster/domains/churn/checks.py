"""Results of the checks of what this domain's Python writes, in words."""

from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clm_dagster.platform.trained_models.checks import warn

if TYPE_CHECKING:
    from clm_dagster.domains.churn.evaluate import EvaluationResult

LEAK, HORIZON = "no_suspected_leak", "horizon_fits_the_shop"
DRIFT = "features_have_not_drifted"
# A horizon that is off the shop's own gaps by more than this factor asks another question than is meant.
_FACTOR = 2.0


TRAINING = {
    LEAK: "No AUC is too good to be true (CLM_CHURN_LEAK_AUC).",
    HORIZON: "The horizon is near the one that the shop's own gaps suggest.",
}
DRIFTED = {DRIFT: "Features lie no further from training than at the test (CLM_DRIFT_WARN, CLM_DRIFT_FAIL)."}


def check_training(
    as_of: str, result: "EvaluationResult", suggestion: tuple[int, str]
) -> list[dg.AssetCheckResult]:
    """Return the results of the domain's own checks of a training."""
    horizon, (days, reason) = result.split.horizon_days, suggestion
    fits = not days or days / _FACTOR <= horizon <= days * _FACTOR
    return [
        dg.AssetCheckResult(
            check_name=LEAK,
            passed=not result.leaks,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{as_of}: {' '.join(result.leaks) or 'nothing is too good to be true'}",
        ),
        warn(HORIZON, fits, f"{as_of}: the horizon is {horizon} days (CLM_CHURN_HORIZON_DAYS). {reason}"),
    ]


def check_drift(
    as_of: str, table: pd.DataFrame | None, warns: float, fails: float
) -> list[dg.AssetCheckResult]:
    """The result of the check of the drift: the features that moved, the most moved first."""
    if table is None:
        return [warn(DRIFT, True, f"{as_of}: no model, so nothing to compare with")]
    moved = table[table["status"] != "ok"]
    failed = (table["status"] == "fail").any()
    text = "; ".join(
        f"{row.feature}: stability index {row.population_stability:.2f} (test {row.population_stability_at_test:.2f}), "
        f"missing {row.missing_change:+.1%}"
        for row in moved.itertuples()
    )
    return [
        dg.AssetCheckResult(
            check_name=DRIFT, passed=moved.empty,
            severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
            description=f"{as_of}: {text or 'no feature moved'} (warning from {warns:g}, failing from {fails:g})",
        )
    ]  # fmt: skip
