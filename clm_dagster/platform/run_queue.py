"""Runs of a shop that a tick has to wait for, so that no two runs build the same partitions at once.

Belongs here: unfinished runs, and requests that are not runs yet. Does not: what is due (`due_runs`), killed runs
(`runs`).
"""

import json
import threading
from datetime import UTC, datetime, timedelta

import dagster as dg

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
    latest_start = datetime.now(UTC) - _START
    waiting = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        is_lost = run.status in waiting and record.create_timestamp < latest_start
        if is_own_run(settings, run) and run.job_name not in later and not is_lost:
            return f"the run {run.run_id} ({run.job_name}) is not finished"
    return ""


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
    key, now = f"clm due {name_of(settings, job)}", datetime.now(UTC)
    newest = newest_run(settings, instance)
    run_id = newest.run_id if newest else ""
    with _claiming:
        stored = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
        claim = json.loads(stored) if stored else {"by": by}
        is_valid = claim["by"] != by and claim["after"] == run_id
        if is_valid and now - datetime.fromisoformat(claim["at"]) < _CLAIM:
            return str(claim["by"])
        value = json.dumps({"by": by, "after": run_id, "at": now.isoformat()})
        instance.daemon_cursor_storage.set_cursor_values({key: value})
    return ""
