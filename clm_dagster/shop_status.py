"""`clm status`: whether a shop is up to date, what fails, and how long its last runs took.

Belongs here: reading the state of a shop. Does not: what is out of date and why (`platform.planning`), output
(`status_view`), repairing anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.platform.build_ledger.versions import EVENTS, Builds
from clm_dagster.platform.check_history import evaluation_of, last_results
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.naming import is_own_run, name_of
from clm_dagster.platform.publish.publishing import last_published
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.run_queue import JOB_TAG
from clm_dagster.platform.runs import UNFINISHED, home_of, is_dead, open_instance
from clm_dagster.settings import Settings
from clm_dagster.shop_run import RunPreview, plan_shop

OK, DUE, FAILING = "ok", "due", "failing"
_JOBS = (LAND, DAILY, SNAPSHOTS, MODELS, SCORES, PUBLISH)


@dataclass(frozen=True)
class RunState:
    """The newest run of a job. seconds: how long it took, None while it is not finished. is_killed: of its process."""

    job: str
    run_id: str
    status: dg.DagsterRunStatus
    started_at: datetime | None
    seconds: float | None
    is_killed: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether it failed, or ended because its process was killed. A run that a person stopped has not."""
        return self.is_killed or self.status is dg.DagsterRunStatus.FAILURE

    @property
    def is_running(self) -> bool:
        """Whether it is not finished."""
        return self.status in UNFINISHED and not self.is_killed


@dataclass(frozen=True)
class FailedCheck:
    """An asset check whose last result is a failure."""

    asset: str
    check: str
    is_warning: bool


@dataclass(frozen=True)
class Status:
    """The state of a shop.

    last_day, last_snapshot: the newest partitions that are built; empty where there are none. tables: number of tables,
    views and seeds. stale: those that are out of date. runs: the newest run of each job.
    """

    preview: RunPreview
    last_day: str
    last_snapshot: str
    published_at: datetime | None
    tables: int
    stale: tuple[str, ...]
    checks: tuple[FailedCheck, ...]
    runs: tuple[RunState, ...]

    @property
    def failed_runs(self) -> list[RunState]:
        """The jobs whose newest run failed."""
        return [run for run in self.runs if run.has_failed]

    @property
    def failed_checks(self) -> list[FailedCheck]:
        """The checks that failed as errors, not as warnings."""
        return [check for check in self.checks if not check.is_warning]

    @property
    def is_due(self) -> bool:
        """Whether `clm run` has something to do."""
        return bool(self.preview.new_files or self.preview.plan.steps)

    @property
    def state(self) -> str:
        """`failing`, `due` or `ok`, the first that holds."""
        if self.failed_runs or self.failed_checks:
            return FAILING
        return DUE if self.is_due else OK

    @property
    def exit_code(self) -> int:
        """Exit status for monitoring: 0 for ok, 1 for due, 2 for failing."""
        return (OK, DUE, FAILING).index(self.state)


def read_status(settings: Settings) -> Status:
    """Read the state of a shop. Change nothing. Raise InputError, SettingsError, WarehouseBusyError."""
    preview = plan_shop(settings)
    settings = preview.settings
    shop = Shop.open(settings)
    project = shop.project
    with warehouse_of(settings).connect_read_only("status") as connection:
        builds = Builds() if connection is None else Builds.read(connection)
    weekly = [model.relation for model in project.models.values() if model.window == SNAPSHOT]
    published = last_published(settings)
    with _instance(settings) as instance:
        runs = _newest_runs(settings, instance) if instance else ()
        checks = _failed_checks(settings, instance) if instance else ()
    return Status(
        preview=preview,
        last_day=max(builds.keys(EVENTS), default=""),
        last_snapshot=min(max(builds.keys(relation), default="") for relation in weekly),
        published_at=published.at if published else None,
        tables=len(project.models) + len(project.seeds) + len(tables_of(build_domains(shop), project)),
        stale=tuple(sorted({name for step in preview.plan.steps for name in step.assets})),
        checks=checks,
        runs=runs,
    )


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance | None]:
    """Open Dagster's instance; None before the first run, so that nothing is created."""
    if not home_of(settings).exists():
        yield None
        return
    with open_instance(settings) as instance:
        yield instance


def _newest_runs(settings: Settings, instance: dg.DagsterInstance) -> tuple[RunState, ...]:
    """Return the newest run of each job. Runs of selected assets, as the UI starts them, belong to no job."""
    found = []
    for job in _JOBS:
        name = name_of(settings, job)
        # Declarative automation requests the assets of a job, with a tag that names it.
        filters = (dg.RunsFilter(job_name=name), dg.RunsFilter(tags={JOB_TAG: name}))
        records = [record for each in filters for record in instance.get_run_records(each, limit=1)]
        for record in sorted(records, key=lambda record: record.create_timestamp)[-1:]:
            run, start, end = record.dagster_run, record.start_time, record.end_time
            if is_own_run(settings, run):
                found.append(
                    RunState(
                        name,
                        run.run_id,
                        run.status,
                        datetime.fromtimestamp(start, UTC) if start else None,
                        end - start if start and end else None,
                        run.status in UNFINISHED and is_dead(run),
                    )
                )
    return tuple(found)


def _failed_checks(settings: Settings, instance: dg.DagsterInstance) -> tuple[FailedCheck, ...]:
    """Return the checks whose last finished result is a failure."""
    keys = build_definitions(settings).resolve_asset_graph().asset_check_keys
    found = []
    for key, record in last_results(instance, list(keys)).items():
        evaluation = evaluation_of(record)
        if evaluation is not None and not evaluation.passed:
            is_warning = evaluation.severity is dg.AssetCheckSeverity.WARN
            found.append(FailedCheck(".".join(key.asset_key.path), key.name, is_warning))
    return tuple(sorted(found, key=lambda check: (check.is_warning, check.asset, check.check)))
