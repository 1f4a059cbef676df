"""The gate of an uplift model: whether its ranking may decide who is contacted.

Belongs here: the rule on intervals, and its sentences. Does not: computing the intervals (`evaluation`).
"""

from clm_dagster.statistics.evaluation.gates import Verdict
from clm_dagster.statistics.uplift.evaluation import QiniInterval

RESPONSE = "ranking by response"


def uplift_verdict(
    winner: str, found: QiniInterval, reference: str = RESPONSE, is_newest: bool = True
) -> Verdict:
    """Apply the rule: the Qini area is clear of zero, and clearly larger than that of the reference.

    found: of the winner, from `qini_intervals` with the ranking by response as its reference, on customers that neither
    was fitted on. reference: the name of that ranking in the sentences. A refusal says which part failed, and which
    ranking to use.
    """
    reasons_for, reasons_against = [], []
    area, gain = (_words(one.value, one.low, one.high) for one in (found.area, found.over_reference))
    if found.area.above_zero:
        reasons_for.append(
            f"{winner} ranks better than chance: its Qini area is {area} per 10,000 customers."
        )
    elif found.area.below_zero:
        reasons_against.append(
            f"{winner} ranks worse than chance: its Qini area is {area} per 10,000 customers, all below zero."
        )
    else:
        reasons_against.append(
            f"{winner} does not clearly rank better than chance: its Qini area is {area} per 10,000 customers, an "
            "interval that includes zero."
        )
    if found.over_reference.above_zero:
        reasons_for.append(f"It is better than {reference}: {gain} more.")
    elif found.over_reference.value < 0:
        clearly = "clearly better" if found.over_reference.below_zero else "better on these customers"
        reasons_against.append(
            f"{reference.capitalize()} is {clearly}: the Qini area of {winner} differs from its by {gain}. Contact "
            "customers by response."
        )
    else:
        reasons_against.append(
            f"{winner} is not clearly better than {reference}: {gain} more, an interval that includes zero. Contact "
            "customers by response."
        )
    return Verdict.of(winner, reasons_for, reasons_against, is_newest)


def _words(value: float, low: float, high: float) -> str:
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
