"""Check results over the partitions of one run.

Belongs here: joining several results into one. Does not: the checks themselves.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

# Limits the list of failed partitions in a message; a backfill may have hundreds.
_MAX_LISTED = 5


def join_results(by_partition: Mapping[str, Sequence[dg.AssetCheckResult]]) -> list[dg.AssetCheckResult]:
    """Return one result per check of a run, from its results at each partition.

    A check passes if it passed at every partition. A failed check lists the partitions at which it failed and has the
    worst severity among them, so that no later partition hides an earlier failure.
    """
    names = dict.fromkeys(result.check_name for results in by_partition.values() for result in results)
    return [
        _join(
            {
                key: result
                for key, results in by_partition.items()
                for result in results
                if result.check_name == name
            }
        )
        for name in names
    ]


def _join(results: Mapping[str, dg.AssetCheckResult]) -> dg.AssetCheckResult:
    failed = {key: result for key, result in results.items() if not result.passed}
    last = list(results.values())[-1]
    if not failed or len(results) == 1:
        return last
    errors = [result for result in failed.values() if result.severity == dg.AssetCheckSeverity.ERROR]
    worst = errors[0] if errors else next(iter(failed.values()))
    shown = [f"{key}: {result.description or 'failed'}" for key, result in failed.items()]
    more = f" ... and {len(shown) - _MAX_LISTED} more" if len(shown) > _MAX_LISTED else ""
    return dg.AssetCheckResult(
        check_name=worst.check_name,
        asset_key=worst.asset_key,
        passed=False,
        severity=worst.severity,
        description=f"failed at {len(failed)} of {len(results)} partitions: "
        + "; ".join(shown[:_MAX_LISTED])
        + more,
        metadata={**worst.metadata, "failed_partitions": list(failed)},
    )
