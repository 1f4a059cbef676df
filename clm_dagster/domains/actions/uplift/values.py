"""What policies would have brought, measured on the test contacts of one arm.

Belongs here: the policies that are compared, and their values. Does not: the estimates (`statistics.uplift`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.actions.uplift.contest import ArmResult
from clm_dagster.domains.actions.uplift.names import RANDOM, RESPONSE
from clm_dagster.statistics.uplift import PolicyValue, doubly_robust_scores, top_share, weighted_scores
from clm_dagster.statistics.uplift.clusters import clustered_policy_value

_HALF = 0.5


@dataclass(frozen=True)
class PolicyResult:
    """The conversions of a contact that a policy adds to contacting nobody.

    contacted: share of contacts that it contacts. weighted: by inverse propensity weighting. doubly_robust: with models
    of the outcome.
    """

    policy: str
    contacted: float
    weighted: PolicyValue
    doubly_robust: PolicyValue


def policy_results(arm: ArmResult) -> list[PolicyResult]:
    """Return the values of policies on the test contacts, each over contacting nobody, with intervals by customer."""
    test = arm.split.test
    customers = test.frame["customer_id"].to_numpy(dtype=str)
    arms = (test.treatment, test.outcome, test.propensity)
    nobody = np.zeros(len(test.outcome), dtype=bool)
    models = (arm.if_treated, arm.if_not)
    without = weighted_scores(nobody, *arms), doubly_robust_scores(nobody, *arms, *models)
    found = []
    for name, policy in _policies(arm):
        scores = weighted_scores(policy, *arms), doubly_robust_scores(policy, *arms, *models)
        weighted, robust = (
            clustered_policy_value(one - none, customers) for one, none in zip(scores, without, strict=True)
        )
        found.append(PolicyResult(name, float(policy.mean()), weighted, robust))
    return found


def _policies(arm: ArmResult) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    winner = arm.effects[arm.model.winner]
    yield "everybody", np.ones(len(winner), dtype=bool)
    yield "effect above 0", winner > 0
    yield "half with the largest effect", top_share(winner, _HALF)
    yield "half with the largest response", top_share(arm.effects[RESPONSE], _HALF)
    yield "random half", top_share(arm.effects[RANDOM], _HALF)
