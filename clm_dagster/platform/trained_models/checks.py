"""Checks that every trained model and every table of scores has.

Belongs here: how a warning is made, checks of an evaluation and of coverage. Does not: what a domain's own checks say.
"""

import dagster as dg

from clm_dagster.statistics.evaluation import Verdict

COVERAGE = "a_champion_was_there_by_then"
HELD, GATE = "contest_was_held", "champion_gate"
COVERAGE_CHECK = {
    COVERAGE: "A model that had passed its gate was there at as_of; the check says which scores instead."
}


def warn(name: str, passed: bool, text: str) -> dg.AssetCheckResult:
    """Return the result of a check that warns at most, with what it says."""
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text
    )


def evaluation_checks(gate: str) -> dict[str, str]:
    """Return the checks that every training has; `gate` says what makes a champion."""
    return {HELD: "There is enough history to learn from and to judge on.", GATE: gate}


def check_evaluation(as_of: str, evaluated: str, then: Verdict, now: Verdict) -> list[dg.AssetCheckResult]:
    """Return their results: who was evaluated on what, and whether there is a new champion."""
    return [warn(HELD, True, f"{as_of}: {evaluated}"), warn(GATE, then.accepted, f"{as_of}: {now}")]


def check_no_evaluation(problem: str, *others: str) -> list[dg.AssetCheckResult]:
    """Return their results where none was possible. Nothing was learned, so `others` have nothing to judge."""
    return [
        warn(HELD, False, problem),
        warn(GATE, False, f"{problem} So there is no new champion; the old one stays."),
        *(warn(name, True, "no model was trained") for name in others),
    ]


def check_coverage(as_of: str, message: str | None) -> dg.AssetCheckResult:
    """Return the result of the check of a table of scores; `message` is why no champion scored it."""
    return warn(COVERAGE, message is None, f"{as_of}: {message or 'scored by the champion of then'}")
