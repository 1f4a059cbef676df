"""Old runs of Dagster and their events.

Belongs here: choosing and deleting them through Dagster's API. Does not: runs that killed processes left
(`platform.runs`).

Kept are runs that are not finished, the newest run of each job, and runs that materialized an asset last, so that the
UI still says how fresh each asset is. What is out of date is in `raw.builds`, not in Dagster's events. The marks of
partitions that only deleted runs have materialized disappear from the UI.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from clm_dagster.platform.naming import is_own_run
from clm_dagster.platform.runs import UNFINISHED, open_instance
from clm_dagster.settings import Settings
from clm_dagster.upkeep.freed import Freed, size_of
from clm_dagster.upkeep.guarding import own_dagster_home

_KIND = "runs of Dagster and their events"


def free_runs(settings: Settings, dry_run: bool, now: datetime | None = None) -> Freed:
    """Delete the finished runs that are older than CLM_KEEP_RUNS. now: for tests."""
    if not settings.keep_runs:
        return Freed(_KIND, 0, 0, "CLM_KEEP_RUNS is 0")
    home = own_dagster_home(settings)
    if home is None and not settings.asset_prefix:
        return Freed(_KIND, 0, 0)
    before = (now or datetime.now(UTC)) - timedelta(days=settings.keep_runs)
    size = 0
    with open_instance(settings) as instance:
        runs = list(_old_runs(settings, instance, before))
        for run in runs:
            files = list(_files(instance, run.run_id))
            size += sum(map(size_of, files))
            if not dry_run:
                instance.delete_run(run.run_id)
                instance.compute_log_manager.delete_logs(prefix=[run.run_id])
                for path in files:  # Dagster deletes the rows of the run's file, and keeps the file
                    path.unlink(missing_ok=True)
    if runs and not dry_run and home is not None:
        for name in ("history/runs/index.db", "history/runs.db"):
            _shrink(home / name)
    return Freed(_KIND, len(runs), size, "the newest run of each job and asset")


def _old_runs(settings: Settings, instance: dg.DagsterInstance, before: datetime) -> Iterator[dg.DagsterRun]:
    last = {record.asset_entry.last_run_id for record in instance.event_log_storage.get_asset_records()}
    jobs: set[str] = set()
    for record in instance.get_run_records():  # newest first
        run = record.dagster_run
        is_newest = run.job_name not in jobs
        jobs.add(run.job_name)
        is_old = record.end_time is not None and record.end_time < before.timestamp()
        is_needed = is_newest or run.run_id in last or run.status in UNFINISHED
        if is_old and not is_needed and is_own_run(settings, run):
            yield run


def _files(instance: dg.DagsterInstance, run_id: str) -> Iterator[Path]:
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        path = Path(storage.path_for_shard(run_id))
        yield from (p for p in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if p.exists())


def _shrink(path: Path) -> None:
    if path.exists():
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute("vacuum")
