"""Results of asset checks that rooms share.

Belongs here: how a warning is made, the check that a score has a champion. Does not: what a room's own checks say.
"""

import dagster as dg

COVERAGE = "a_champion_was_there_by_then"


def warn(name: str, passed: bool, text: str) -> dg.AssetCheckResult:
    """The result of a check that warns at most, with what it says."""
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, description=text
    )


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
