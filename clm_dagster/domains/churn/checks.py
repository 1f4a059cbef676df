"""What the checks of this room say, in words."""

from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clm_dagster.platform.trained_models import checks
from clm_dagster.platform.trained_models.checks import check_contest, contest_specs, warn
from clm_dagster.statistics.evaluation import Verdict

if TYPE_CHECKING:
    from clm_dagster.domains.churn.model import ContestResult

LEAK, HORIZON = "no_suspected_leak", "horizon_fits_the_shop"
DRIFT = "features_have_not_drifted"
# A horizon that is off the shop's own gaps by more than this factor asks another question than is meant.
_FACTOR = 2.0


def specs_of_model(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a training."""
    return [
        *contest_specs(
            key, "The winner beats recency alone, its probabilities hold, no worse than the champion's."
        ),
        dg.AssetCheckSpec(LEAK, asset=key, description="No AUC is too good to be true (CLM_CHURN_LEAK_AUC)."),
        dg.AssetCheckSpec(
            HORIZON, asset=key, description="The horizon is near the one that the shop's own gaps suggest."
        ),
    ]  # fmt: skip


def specs_of_drift(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The check of the drift."""
    return [
        dg.AssetCheckSpec(
            DRIFT, asset=key,
            description="Features lie no further from training than at the test (CLM_DRIFT_WARN, CLM_DRIFT_FAIL).",
        )
    ]  # fmt: skip


def check_training(
    as_of: str, result: "ContestResult", then: Verdict, now: Verdict, suggestion: tuple[int, str]
) -> list[dg.AssetCheckResult]:
    """Results of the checks of a training that held its contest."""
    horizon, (days, said) = result.split.horizon_days, suggestion
    fits = not days or days / _FACTOR <= horizon <= days * _FACTOR
    return [
        *check_contest(
            as_of, f"{len(result.standings)} contestants, judged at {result.split.test}", then.accepted, str(now)
        ),
        dg.AssetCheckResult(
            check_name=LEAK, passed=not result.leaks, severity=dg.AssetCheckSeverity.ERROR,
            description=f"{as_of}: {' '.join(result.leaks) or 'nothing is too good to be true'}",
        ),
        warn(HORIZON, fits, f"{as_of}: the horizon is {horizon} days (CLM_CHURN_HORIZON_DAYS). {said}"),
    ]  # fmt: skip


def check_no_contest(problem: str) -> list[dg.AssetCheckResult]:
    """Results where no contest could be held."""
    return checks.check_no_contest(problem, LEAK, HORIZON)


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
