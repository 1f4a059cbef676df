"""The last results of asset checks, in Dagster's event log.

Belongs here: finding the last finished result of each check. Does not: what is made of it (`alerts`, `clm status`).
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord


def last_results(
    instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    """Return the last finished result of each check that has one.

    A check that a run, perhaps a killed one, has planned again has the result of before.
    """
    log = instance.event_log_storage
    found = {}
    for key, newest in log.get_latest_asset_check_execution_by_key(list(checks)).items():
        is_finished = newest.status in COMPLETED
        history = [newest] if is_finished else log.get_asset_check_execution_history(key, 1, status=COMPLETED)
        for record in history:
            found[key] = record
    return found


def evaluation_of(record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation | None:
    """Return what a finished check found; None for one whose run broke off."""
    event = record.event.dagster_event if record.event else None
    found = event.event_specific_data if event else None
    return found if isinstance(found, dg.AssetCheckEvaluation) else None
