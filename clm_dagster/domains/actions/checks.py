"""Checks of plans.

Belongs here: names, descriptions and results of the checks of `marts.next_best_actions`. Does not: decisions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clm_dagster.domains.actions.names import TREATED
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.platform.trained_models.checks import warn

if TYPE_CHECKING:
    from clm_dagster.domains.actions.measurement import Campaign

CONSENT, LIMITS, OPTIMAL = "somebody_may_be_contacted", "plan_is_within_its_limits", "plan_is_near_the_best"
PLAN = {
    CONSENT: "The shop says of some customers that they may be contacted (raw.customers, consent_marketing).",
    LIMITS: "Contacts cost at most the budget, and no channel has more contacts than its capacity.",
    OPTIMAL: "The plan earns at least 99% of the most that any plan within these limits could earn.",
}
RATIO = "arms_have_their_planned_shares"
RESULTS = {
    RATIO: "The arms of every campaign have their planned shares (seed campaign_arms); if not, they cannot be compared."
}
_GAP = 0.01


def check_plan(
    snapshot: str, known: int, asked: int, planned: pd.DataFrame, gap: float, settings: PlanSettings
) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of a plan, recomputed from its rows.

    known: number of customers. asked: how many of them may be contacted. planned: channel, arm and expected_cost of the
    planned actions. gap: of the choice.
    """
    sent = planned[planned["arm"] == TREATED]
    cost, counts = float(sent["expected_cost"].sum()), sent["channel"].value_counts()
    over = [
        f"{counts[channel]} contacts by {channel}, at most {most} allowed"
        for channel, most in settings.capacity
        if counts.get(channel, 0) > most
    ]
    if settings.budget is not None and cost > settings.budget * (1 + 1e-9):
        over.append(f"contacts cost {cost:.2f}, the budget is {settings.budget:.2f}")
    nobody = (
        f"{snapshot}: none of {known} customers has stated consent, so nobody is planned for; deliver "
        "customers.consent_marketing, or set CLM_ACTIONS_CONSENT=assumed if you may contact them"
    )
    contactable = f"{snapshot}: {asked} of {known} customers may be contacted"
    return [
        warn(CONSENT, asked > 0, contactable if asked else nobody),
        dg.AssetCheckResult(
            check_name=LIMITS,
            passed=not over,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{snapshot}: {'; '.join(over) or f'{len(sent)} contacts cost {cost:.2f}'}",
        ),
        warn(OPTIMAL, gap <= _GAP, f"{snapshot}: at most {gap:.2%} below the best plan"),
    ]


def check_results(snapshot: str, campaigns: Sequence["Campaign"]) -> list[dg.AssetCheckResult]:
    """Return the result of the sample-ratio check of all campaigns. It fails: such a campaign has no result."""
    wrong = [f"{one.campaign_id}: {one.ratio}" for one in campaigns if one.ratio.is_mismatch]
    return [
        dg.AssetCheckResult(
            check_name=RATIO,
            passed=not wrong,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{snapshot}: {' '.join(wrong) or f'{len(campaigns)} campaigns with a control arm'}",
        )
    ]
