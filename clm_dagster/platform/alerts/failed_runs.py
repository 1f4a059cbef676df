"""Failed runs, and runs whose process was killed.

Belongs here: which of them still count. Does not: marking killed runs as failed (`platform.runs`), the messages of
steps (`platform.failures`).

A failed run counts until its job has succeeded, or until all of its assets were materialized again: a person may start
assets by hand.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from clm_dagster.platform.alerts.problems import ERROR, FAILED_RUN, Findings, Problem
from clm_dagster.platform.alerts.watched import Watched
from clm_dagster.platform.failures import step_errors
from clm_dagster.platform.job_names import RANGE_END, RANGE_START
from clm_dagster.platform.runs import UNFINISHED, is_dead

_LOOK_BACK = timedelta(days=7)
_MOST_RUNS = 1_000
_SOLVED = "correct what the error names. The next tick of the schedule tries again; so does `clm run`."
_KILLED = (
    "nothing is lost: the next tick of the schedule, or `clm run`, goes on. If it happens again, look for a lack of "
    "memory (CLM_MEMORY_LIMIT) or a restart of the machine."
)


def failed_runs(watched: Watched, instance: dg.DagsterInstance, first: datetime, after: datetime) -> Findings:
    """Return the jobs whose runs failed.

    first: the first look at the shop; a failure that nobody had repaired for a week by then was given up. after: those
    that are right again count if they failed after that.
    """
    groups: dict[str, list[dg.RunRecord]] = {}
    for record in _failed(watched, instance, first):
        groups.setdefault(_key(record.dagster_run), []).append(record)
    still, over = [], []
    for key, records in groups.items():
        success = _newest_success(instance, records)
        done = _materialized_since(instance, records[0])
        if success is not None and success.create_timestamp > records[0].create_timestamp:
            done = _end(success)
        if done is None:
            streak = [r for r in records if not success or r.create_timestamp > success.create_timestamp]
            still.append(_problem(instance, key, streak))
        elif _end(records[0]) > after:
            over.append((_problem(instance, key, records[:1]), done))
    return Findings(still, over)


def _failed(watched: Watched, instance: dg.DagsterInstance, first: datetime) -> list[dg.RunRecord]:
    """Return the failed and the killed runs of the shop, the newest first."""
    failed = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=first - _LOOK_BACK),
        limit=_MOST_RUNS,
    )
    unfinished = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    killed = [record for record in unfinished if is_dead(record.dagster_run)]
    found = [record for record in (*failed, *killed) if watched.owns(record.dagster_run)]
    return sorted(found, key=lambda record: record.create_timestamp, reverse=True)


def _key(run: dg.DagsterRun) -> str:
    """Return what the run repeats: its job, and its assets if these are selected."""
    selected = sorted(key.to_user_string() for key in run.asset_selection or ())
    part = f":{hashlib.sha256(' '.join(selected).encode()).hexdigest()[:12]}" if selected else ""
    return f"run:{run.job_name}{part}"


def _newest_success(instance: dg.DagsterInstance, failed: Sequence[dg.RunRecord]) -> dg.RunRecord | None:
    """Return the newest run that did all that runs of this kind do; None if there is none after the first of them."""
    run = failed[0].dagster_run
    wanted = run.asset_selection or frozenset()
    found = instance.get_run_records(
        dg.RunsFilter(
            job_name=run.job_name,
            statuses=[dg.DagsterRunStatus.SUCCESS],
            created_after=failed[-1].create_timestamp,
        ),
        limit=_MOST_RUNS,
    )
    for record in found:
        did = record.dagster_run.asset_selection
        if not did or (wanted and wanted <= did):
            return record
    return None


def _materialized_since(instance: dg.DagsterInstance, failed: dg.RunRecord) -> datetime | None:
    """Return when the last of the selected assets of a run was materialized, if all of them were after it failed."""
    wanted = failed.dagster_run.asset_selection or frozenset()
    records = instance.get_asset_records(list(wanted)) if wanted else ()
    newest = [record.asset_entry.last_materialization_record for record in records]
    times = [each.timestamp for each in newest if each]
    is_done = times and len(times) == len(wanted) and min(times) > _end(failed).timestamp()
    return datetime.fromtimestamp(max(times), UTC) if is_done else None


def _problem(instance: dg.DagsterInstance, key: str, records: Sequence[dg.RunRecord]) -> Problem:
    """Return the problem of failed runs of a job, the newest first."""
    newest, run = records[0], records[0].dagster_run
    is_killed = run.status is not dg.DagsterRunStatus.FAILURE
    error = "its process was killed before it ended" if is_killed else _error(instance, run.run_id)
    is_killed = is_killed or "was killed before the run ended" in error
    times = f" ({len(records)} times)" if len(records) > 1 else ""
    partition = _partition(run)
    return Problem(
        key=key,
        kind=FAILED_RUN,
        level=ERROR,
        title=f"{_name(run)} {_label(run)}".strip() + (" was killed" if is_killed else " failed") + times,
        detail=error,
        since=_end(records[-1]),
        action=_KILLED if is_killed else _SOLVED,
        path=f"/runs/{run.run_id}",
        origin=newest.dagster_run.run_id,
        fields={"job": run.job_name, "run_id": run.run_id, "partition": partition, "error": error},
    )


def _error(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return why a run failed: the errors of its steps, else the message of the run."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [e.dagster_event for e in instance.all_logs(run_id, of_type=kinds) if e.dagster_event]
    return "; ".join(step_errors(events)) or _last(event.message for event in events) or "no message"


def _last(messages: Iterable[str | None]) -> str:
    return ([text for text in messages if text] or [""])[-1]


def _name(run: dg.DagsterRun) -> str:
    """Return the name of a job; what the UI starts of selected assets has none that people know."""
    if not run.job_name.startswith("__"):
        return run.job_name
    names = sorted(".".join(key.path) for key in run.asset_selection or ())
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"A run of {names[0]}{more}" if names else "A run of selected assets"


def _partition(run: dg.DagsterRun) -> str:
    return run.tags.get("dagster/partition", run.tags.get(RANGE_START, ""))


def _label(run: dg.DagsterRun) -> str:
    first, last = _partition(run), run.tags.get(RANGE_END, "")
    return first if last in ("", first) else f"{first} to {last}"


def _end(record: dg.RunRecord) -> datetime:
    """Return when a run ended; for one that was killed, when it was last heard of."""
    return (
        datetime.fromtimestamp(record.end_time, UTC) if record.end_time else _aware(record.update_timestamp)
    )


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
