"""Results of asset checks that rooms share.

Belongs here: how a warning is made, the check that a score has a champion. Does not: what a room's own checks say.
"""

import dagster as dg

COVERAGE = "a_champion_was_there_by_then"
HELD, GATE = "contest_was_held", "champion_gate"


def warn(name: str, passed: bool, text: str) -> dg.AssetCheckResult:
    """The result of a check that warns at most, with what it says."""
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text
    )


def contest_specs(key: dg.AssetKey, gate: str) -> list[dg.AssetCheckSpec]:
    """The checks that every training has; `gate` says what makes a champion."""
    return [
        dg.AssetCheckSpec(
            HELD, asset=key, description="There is enough history to learn from and to judge on."
        ),
        dg.AssetCheckSpec(GATE, asset=key, description=gate),
    ]


def check_contest(as_of: str, held: str, accepted: bool, said: str) -> list[dg.AssetCheckResult]:
    """Their results where a contest was held: who took part, and whether there is a new champion."""
    return [warn(HELD, True, f"{as_of}: {held}"), warn(GATE, accepted, f"{as_of}: {said}")]


def check_no_contest(problem: str, *others: str) -> list[dg.AssetCheckResult]:
    """Their results where none could be held. Nothing was learnt, so the room's `others` have nothing to judge."""
    return [
        warn(HELD, False, problem),
        warn(GATE, False, f"{problem} So there is no new champion; the old one stays."),
        *(warn(name, True, "no model was trained") for name in others),
    ]


def coverage_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The check of a table of scores."""
    return [
        dg.AssetCheckSpec(
            COVERAGE, asset=key,
            description="A model that had passed its gate was there at as_of; the check says which scores instead.",
        )
    ]  # fmt: skip


def check_coverage(as_of: str, said: str | None) -> list[dg.AssetCheckResult]:
    """The result of the check of the scores; `said` is why no champion scored them."""
    return [warn(COVERAGE, said is None, f"{as_of}: {said or 'scored by the champion of then'}")]
