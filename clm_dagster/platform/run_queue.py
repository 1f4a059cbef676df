"""Runs of a shop that another run has to wait for, so that no two runs build the same partitions at once.

Belongs here: unfinished runs, and requests that are not runs yet. Does not: what is due (`due_runs`), killed runs
(`runs`), the wait of `clm run` (`whole_run`).
"""

import json
import threading
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.naming import is_own_run, name_of
from clm_dagster.platform.runs import UNFINISHED
from clm_dagster.settings import Settings

# Jobs in the order in which they build on each other.
_ORDER = (DAILY, SNAPSHOTS, MODELS, SCORES, PUBLISH)
# Among so many newest runs of a deployment, the newest of a shop is looked for.
_NEWEST = 200
# A run that has not started by then never will: the process that should start it was killed.
_START = timedelta(hours=1)
_WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
# Tag of requested runs that names their job: declarative automation requests a job's assets, not the job.
JOB_TAG = "clm/job"
# A request becomes a run within seconds; after this time it is lost.
_CLAIM = timedelta(minutes=5)
# Dagster evaluates the ticks of a code location in threads of one process.
_claiming = threading.Lock()


def why_running(settings: Settings, instance: dg.DagsterInstance, job: str) -> str:
    """Return which unfinished run a run of a job has to wait for; empty where there is none.

    That is any run of the shop, except those of jobs that only read what this job writes. Runs of selected assets, as
    the UI starts them, may build anything.
    """
    later = {name_of(settings, name) for name in _ORDER[_ORDER.index(job) + 1 :]}
    for run in unfinished_runs(settings, instance):
        name = run.tags.get(JOB_TAG, run.job_name)
        if name not in later:
            return f"the run {run.run_id} ({name}) is not finished"
    backfill = unfinished_backfill(settings, instance)
    return f"the backfill {backfill} is not finished" if backfill else ""


def unfinished_runs(settings: Settings, instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs of the shop that are not finished, newest first, without those that never will start."""
    latest_start = datetime.now(UTC) - _START
    found = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        is_queued = run.status is dg.DagsterRunStatus.QUEUED
        never_starts = run.status in _WAITING or (
            is_queued and _is_without_daemon(instance, "QUEUED_RUN_COORDINATOR")
        )
        is_lost = record.create_timestamp < latest_start and never_starts
        if is_own_run(settings, run) and not is_lost:
            found.append(run)
    return found


def unfinished_backfill(settings: Settings, instance: dg.DagsterInstance) -> str:
    """Return the id of a backfill of the shop whose runs are not all finished; empty where there is none.

    Between two of its runs, no run shows that it goes on. One that no daemon drives does not go on.
    """
    filters = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    for backfill in instance.get_backfills(filters=filters):
        prefix = settings.asset_prefix
        is_own = not prefix or any(key.path[0] == prefix for key in backfill.asset_selection or ())
        started = datetime.fromtimestamp(backfill.backfill_timestamp, UTC)
        is_old = started < datetime.now(UTC) - _START
        if is_own and not (is_old and _is_without_daemon(instance, "BACKFILL")):
            return backfill.backfill_id
    return ""


def _is_without_daemon(instance: dg.DagsterInstance, daemon: str) -> bool:
    """Whether a part of Dagster's daemon was not there for so long that nothing waits for it any more."""
    beat = instance.get_daemon_heartbeats().get(daemon)
    return beat is None or datetime.fromtimestamp(beat.timestamp, UTC) < datetime.now(UTC) - _START


def newest_run(settings: Settings, instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    """Return the shop's newest run, None where there is none."""
    for run in instance.get_runs(limit=_NEWEST if settings.asset_prefix else 1):
        if is_own_run(settings, run):
            return run
    return None


def claimed_by_other(settings: Settings, instance: dg.DagsterInstance, job: str, by: str) -> str:
    """Claim the next run of a job for a schedule or sensor; return the name of another one that has just done so.

    Between a request and its run, Dagster has no sign of it that another tick could see.
    """
    now = datetime.now(UTC)
    with _claiming:
        other = _claim(settings, instance, job)
        if other is not None and other != by:
            return other
        newest = newest_run(settings, instance)
        value = json.dumps({"by": by, "after": newest.run_id if newest else "", "at": now.isoformat()})
        instance.daemon_cursor_storage.set_cursor_values({_claim_key(settings, job): value})
    return ""


def claimed(settings: Settings, instance: dg.DagsterInstance) -> str:
    """Return the schedule or sensor that has just requested a run which does not exist yet; empty without one."""
    return next((by for job in _ORDER if (by := _claim(settings, instance, job)) is not None), "")


def _claim(settings: Settings, instance: dg.DagsterInstance, job: str) -> str | None:
    """Return who has requested a run of a job that does not exist yet, None where nobody has."""
    key = _claim_key(settings, job)
    stored = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    if not stored:
        return None
    claim, newest = json.loads(stored), newest_run(settings, instance)
    is_run = claim["after"] != (newest.run_id if newest else "")
    is_lost = datetime.now(UTC) - datetime.fromisoformat(claim["at"]) >= _CLAIM
    return None if is_run or is_lost else str(claim["by"])


def _claim_key(settings: Settings, job: str) -> str:
    return f"clm due {name_of(settings, job)}"
