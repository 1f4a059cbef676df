"""What the checks of this room say, in words."""

from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.checks import warn
from clm_dagster.contest import Verdict

if TYPE_CHECKING:
    from clm_dagster.value.model import ContestResult

HELD, GATE, LEVEL = "contest_was_held", "champion_gate", "level_was_met"
MOST_BIAS = 0.15


def specs_of_model(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a training."""
    return [
        dg.AssetCheckSpec(HELD, asset=key, description="There is enough history to learn from and to judge on."),
        dg.AssetCheckSpec(
            GATE, asset=key,
            description="The winner beats what was spent before, its intervals hold, no worse than the champion's.",
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
        warn(HELD, True, f"{as_of}: {len(result.standings)} contestants, judged at {result.split.test}"),
        warn(GATE, then.accepted, f"{as_of}: {now}"),
        warn(
            LEVEL, abs(bias) <= MOST_BIAS,
            f"{as_of}: what all customers were said to spend together is {bias:+.1%} off what came; the level was "
            f"forecast by the way {result.level.method}",
        ),
    ]  # fmt: skip


def check_no_contest(problem: str) -> list[dg.AssetCheckResult]:
    """Results where no contest could be held: nothing was learnt, so nothing else is judged."""
    return [
        warn(HELD, False, problem),
        warn(GATE, False, f"{problem} So there is no new champion; the old one stays."),
        warn(LEVEL, True, "no model was trained"),
    ]
