"""What the checks of this room say, in words."""

from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.platform.trained_models import checks
from clm_dagster.platform.trained_models.checks import check_contest, contest_specs, warn
from clm_dagster.statistics.evaluation import Verdict

if TYPE_CHECKING:
    from clm_dagster.domains.value.model import ContestResult

LEVEL = "level_was_met"
MOST_BIAS = 0.15


def specs_of_model(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a training."""
    return [
        *contest_specs(
            key, "The winner beats what was spent before, its intervals hold, no worse than the champion's."
        ),
        dg.AssetCheckSpec(
            LEVEL, asset=key, description=f"The sum of the test's predictions is within {MOST_BIAS:.0%} of what came."
        ),
    ]  # fmt: skip


def check_training(
    as_of: str, result: "ContestResult", then: Verdict, now: Verdict
) -> list[dg.AssetCheckResult]:
    """Results of the checks of a training that held its contest."""
    bias = result.standings[result.winner].test["bias"]
    return [
        *check_contest(
            as_of, f"{len(result.standings)} contestants, judged at {result.split.test}", then.accepted, str(now)
        ),
        warn(
            LEVEL, abs(bias) <= MOST_BIAS,
            f"{as_of}: what all customers were said to spend together is {bias:+.1%} off what came; the level was "
            f"forecast by the way {result.level.method}",
        ),
    ]  # fmt: skip


def check_no_contest(problem: str) -> list[dg.AssetCheckResult]:
    """Results where no contest could be held."""
    return checks.check_no_contest(problem, LEVEL)
