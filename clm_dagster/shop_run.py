"""`clm run` and `clm plan`: bring a shop up to date, or say what that would take.

Belongs here: landing, then the stages of the plan in their order. Does not: what is wanted and why (`planning`), one
run (`runs`), words and colours (`cli`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.domains.ingest.source import LandedFiles, ShopSource
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.partitions import parse_day
from clm_dagster.platform.planning import STAGES, Plan, Planner, Step
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.runs import Progress, Run, close_dead_runs, execute, prepare_home
from clm_dagster.settings import Settings, record_last_run, unsaid_dates

# A longer history than this is taken for an unreadable date that happened to be readable.
_LONGEST_HISTORY_DAYS = 3_660


@dataclass
class Report:
    """What a shop run did."""

    settings: Settings
    runs: list[Run] = field(default_factory=list)
    dead_runs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outlook:
    """What a shop run would do: land these files, then the plan for what is landed already."""

    settings: Settings
    new_files: tuple[Path, ...]
    plan: Plan


# Begins a stretch of work: its title and how many materializations it will have.
Begin = Callable[[str, int], Progress]


@dataclass(frozen=True)
class _Ready:
    """A shop as it is landed, with all that planning needs beside the ledger."""

    shop: Shop
    source: ShopSource
    landed: LandedFiles
    tables: Sequence[AnyTable]

    @classmethod
    def open(cls, settings: Settings) -> "_Ready":
        """Read the SQL project, the domains' tables and the landing area."""
        shop = Shop.open(settings)
        source = ShopSource.open(settings, shop.project)
        tables = tables_of(build_domains(shop), shop.project)
        return cls(shop, source, LandedFiles.read(source), tables)

    @property
    def settings(self) -> Settings:
        return self.shop.settings

    def plan(self) -> Plan:
        """Read the ledger, once, and plan on it; nothing is made or changed."""
        with warehouse_of(self.settings).look("plan") as connection:
            builds = Builds() if connection is None else Builds.read(connection)
        return Planner(
            self.settings, self.shop.project, self.tables, self.landed, builds, is_published(self.settings)
        ).plan()


def plan_shop(settings: Settings) -> Outlook:
    """What `run_shop` would do now. Nothing is run, made or changed. Raise InputError, SettingsError."""
    ready = _Ready.open(settings)
    new = ready.source.landing.new_files(settings.input, ready.source.adapter)
    if not ready.landed.deliveries:
        return Outlook(settings, tuple(new), Plan())
    measured = _measured_dates(settings, ready.landed.deliveries)
    if measured:
        ready = _Ready.open(settings.replace(**measured))
    return Outlook(ready.settings, tuple(new), ready.plan())


def run_shop(settings: Settings, begin: Begin) -> Report:
    """Land, then run the plan stage by stage; each run is a Dagster run that the UI shows.

    A stage that did something is planned on by the next. Raise InputError, RunFailedError, SettingsError.
    """
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        report = Report(settings, dead_runs=close_dead_runs(instance))
        definitions = build_definitions(settings)
        report.runs.append(execute(definitions, instance, LAND, None, begin("Landing new files", 1)))
        ready = _Ready.open(settings)
        measured = _measured_dates(settings, ready.landed.deliveries)
        if measured:
            settings = report.settings = settings.replace(**measured)
            definitions, ready = build_definitions(settings), _Ready.open(settings)
        record_last_run(settings, measured)
        plan = ready.plan()
        for stage in STAGES:
            steps = plan.of(stage)
            report.runs += [_run(definitions, instance, step, begin) for step in steps]
            if steps:
                plan = ready.plan()
    return report


def is_published(settings: Settings) -> bool:
    """Whether the published copy is as new as the warehouse; there is nothing to publish before that is there."""
    source, target = settings.warehouse_path, settings.published_path
    if not source.exists():
        return True
    return target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns


_TITLES = {
    DAILY: "Days",
    SNAPSHOTS: "Snapshots",
    MODELS: "Models",
    SCORES: "Scores",
    PUBLISH: "Publishing",
}


def _run(definitions: dg.Definitions, instance: dg.DagsterInstance, step: Step, begin: Begin) -> Run:
    if not step.first:
        return execute(definitions, instance, step.job, None, begin(_TITLES[step.job], 1))
    job = definitions.resolve_job_def(step.job)
    partitions = job.partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys_in_range(dg.PartitionKeyRange(step.first, step.last))
    graph = definitions.resolve_asset_graph()
    only = [dg.AssetKey(relation.split(".")) for relation in step.assets] if step.only_assets else []
    selected = only or job.asset_layer.executable_asset_keys
    total = sum(len(keys) if graph.get(key).is_partitioned else 1 for key in selected)
    title = f"{_TITLES[step.job]} {step.first}" + ("" if step.first == step.last else f" to {step.last}")
    return execute(definitions, instance, step.job, (step.first, step.last), begin(title, total), only)


def _measured_dates(settings: Settings, deliveries: Sequence[Delivery]) -> dict[str, date]:
    """Dates of a source that neither a person nor its adapter gave: the days that its files hold.

    Raise InputError if they span more than a shop's history can.
    """
    unsaid = unsaid_dates(settings)
    if "start_date" not in unsaid:
        return {}  # a start without an end is that of a shop that is still open
    days = sorted(day for d in deliveries if "events" in d.tables for day in d.tables["events"].days if day)
    if not days:
        raise InputError(
            f"no row of {settings.input} has a readable instant; look at the column that the adapter "
            f"{settings.source} takes it from"
        )
    first, last = parse_day(days[0]), parse_day(days[-1])
    if (last - first).days > _LONGEST_HISTORY_DAYS:
        raise InputError(
            f"the files of {settings.input} span {first} to {last}: are there impossible dates among them? "
            "Set CLM_START_DATE and CLM_END_DATE to the shop's own; what lies outside is rejected."
        )
    found = {"start_date": first, "end_date": last + timedelta(days=1)}
    return {name: day for name, day in found.items() if name in unsaid}
