"""Keeping runs away while a data folder is copied or cleaned.

Belongs here: refusing while runs go on, and holding all locks of a shop. Does not: the locks themselves.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from clm_dagster.errors import UserError
from clm_dagster.platform.naming import is_own_run
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.runs import UNFINISHED, is_dead, open_instance
from clm_dagster.settings import Settings


class UpkeepError(UserError, RuntimeError):
    """A data folder cannot be cleaned, backed up or restored. The message says why and what to do."""


def own_dagster_home(settings: Settings) -> Path | None:
    """Return Dagster's folder in the data folder; None where the shop shares that of its deployment, or has none."""
    is_shared = bool(settings.asset_prefix and os.environ.get("DAGSTER_HOME"))
    return settings.dagster_home if not is_shared and settings.dagster_home.is_dir() else None


def refuse_while_running(settings: Settings, what: str) -> None:
    """Raise UpkeepError if a run of the shop is not finished. Runs whose process was killed do not count."""
    is_shared = bool(settings.asset_prefix and os.environ.get("DAGSTER_HOME"))
    if not is_shared and not settings.dagster_home.exists():
        return
    with open_instance(settings) as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
            if is_own_run(settings, run) and not is_dead(run):
                raise UpkeepError(
                    f"{what} needs a shop without runs, and the run {run.run_id} of {run.job_name} is "
                    f"{run.status.value.lower()}. Wait until it is finished, or stop it in the Dagster UI, and try "
                    "again."
                )


@contextmanager
def still(settings: Settings, what: str) -> Iterator[None]:
    """Hold all locks of a shop: the landing areas, the warehouse and the MLflow store do not change in the block.

    A run that starts meanwhile waits for them. Raise UpkeepError if a run goes on, WarehouseBusyError.
    """
    refuse_while_running(settings, what)
    with ExitStack() as held:
        try:
            for folder in sorted((settings.data_dir.resolve() / "landing").glob("*/")):
                held.enter_context(FileLock(folder / ".lock", timeout=settings.lock_timeout))
            held.enter_context(FileLock(f"{settings.artifact_dir}.lock", timeout=settings.lock_timeout))
        except Timeout as error:
            raise UpkeepError(f"{what} waited {settings.lock_timeout:.0f} s for {error.lock_file}") from error
        held.enter_context(warehouse_of(settings).locked_file(what))
        refuse_while_running(settings, what)
        yield
