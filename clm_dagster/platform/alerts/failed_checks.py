"""Asset checks that failed or warn.

Belongs here: the last result of each check, and failures that a later result has covered. Does not: checks (the
domains).

A result is of the partitions of one run. A run over other partitions may pass a minute later, and the failure of the
first ones would never be seen: so all results since the last look count.
"""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from clm_dagster.platform.alerts.headlines import headline_of
from clm_dagster.platform.alerts.problems import ERROR, FAILED_CHECK, WARNING, Findings, Problem
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.platform.check_history import evaluation_of, last_results

# So many results of one check are looked at between two looks.
_MOST_RESULTS = 50


def failed_checks(watched: Watched, instance: dg.DagsterInstance, after: datetime) -> Findings:
    """Return the checks whose last result is a failure.

    after: those that pass again by now count if they failed after that.
    """
    still, over = [], []
    for finished in last_results(instance, list(watched.checks)).values():
        result = evaluation_of(finished)
        if result is None:
            continue
        if not result.passed:
            still.append(_problem(watched, finished, result))
        elif _at(finished) > after:
            over += _covered(watched, instance, finished, after)
    return Findings(still, over)


def _covered(
    watched: Watched, instance: dg.DagsterInstance, passed: AssetCheckExecutionRecord, after: datetime
) -> list[tuple[Problem, datetime]]:
    """Return the failures between an instant and the result that passed."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        passed.key, limit=_MOST_RESULTS, status=COMPLETED
    )
    found = []
    for record in history:
        result = evaluation_of(record)
        if result is not None and not result.passed and _at(record) > after:
            found.append((_problem(watched, record, result), _at(passed)))
    return found


def _at(record: AssetCheckExecutionRecord) -> datetime:
    return datetime.fromtimestamp(record.event.timestamp if record.event else record.create_timestamp, UTC)


def _problem(watched: Watched, record: AssetCheckExecutionRecord, result: dg.AssetCheckEvaluation) -> Problem:
    asset, check = record.key.asset_key, record.key.name
    headline = headline_of(check, watched.headlines)
    page = urlencode({"view": "checks", "checkDetail": check})
    return Problem(
        key=f"check:{asset.to_user_string()}:{check}",
        kind=FAILED_CHECK,
        level=WARNING if result.severity is dg.AssetCheckSeverity.WARN else ERROR,
        title=f"{headline.title} ({'.'.join(asset.path)})",
        detail=result.description or "",
        since=_at(record),
        action=headline.action,
        path=f"/assets/{'/'.join(quote(part, safe='') for part in asset.path)}?{page}",
        origin=record.run_id or str(record.id),
        fields={"asset": asset.to_user_string(), "check": check, "run_id": record.run_id},
    )
