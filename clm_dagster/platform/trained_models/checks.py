"""Checks shared by all trained models and score tables.

Belongs here: results of severity WARN, checks of an evaluation and of coverage. Does not: checks of a single domain.
"""

import dagster as dg

from clm_dagster.statistics.evaluation import Verdict
from clm_dagster.statistics.evaluation.gates import UNCHANGED

COVERAGE = "a_champion_was_there_by_then"
EVALUATED, GATE = "contest_was_held", "champion_gate"
COVERAGE_CHECK = {
    COVERAGE: "A champion existed at as_of. If not, the check says why, and that the naive baseline serves."
}


def warn(name: str, passed: bool, text: str) -> dg.AssetCheckResult:
    """Return the result of a check that only warns, with its message."""
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text
    )


def evaluation_checks(gate: str) -> dict[str, str]:
    """Return the checks of every training with their descriptions. gate: the rule for champions."""
    return {EVALUATED: "There is enough history to train and evaluate a model.", GATE: gate}


def check_evaluation(
    snapshot: str, evaluated: str, as_newest: Verdict, verdict: Verdict
) -> list[dg.AssetCheckResult]:
    """Return the results after an evaluation: what was evaluated, and whether there is a new champion.

    snapshot: its label. as_newest: the verdict as if this was the newest training; it decides whether the check passes.
    """
    return [
        warn(EVALUATED, True, f"{snapshot}: {evaluated}"),
        warn(GATE, as_newest.accepted, f"{snapshot}: {verdict}"),
    ]


def check_no_evaluation(problem: str, *others: str) -> list[dg.AssetCheckResult]:
    """Return the results if no evaluation was possible. The checks `others` pass, because there is no model."""
    return [
        warn(EVALUATED, False, problem),
        warn(GATE, False, f"{problem} {UNCHANGED}"),
        *(warn(name, True, "no model was trained") for name in others),
    ]


def check_coverage(snapshot: str, message: str | None, is_needed: bool = True) -> dg.AssetCheckResult:
    """Return the result of the coverage check of a score table.

    snapshot: its label. message: why no champion scored it, if so. is_needed: whether the check fails then.
    """
    passed = message is None or not is_needed
    return warn(COVERAGE, passed, f"{snapshot}: {message or 'scored by the champion of that date'}")
