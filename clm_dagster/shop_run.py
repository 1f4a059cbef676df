"""`clm run`: bring a shop up to date. Lands new files, then runs what is stale and nothing else.

Belongs here: the order of runs. Does not: what is stale (`planning`), one run (`runs`), words and
colours (`cli`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import dagster as dg

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.domains.ingest.source import ShopSource
from clm_dagster.platform.assets.node_assets import asset_key
from clm_dagster.platform.build_ledger.staleness import (
    ranges,
    stale_days,
    stale_readers,
    stale_scores,
    stale_snapshots,
    stale_trainings,
    tables_are_stale,
    training_keys,
    views_are_stale,
)
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.partitions import parse_day, snapshot_partitions
from clm_dagster.platform.python_tables.tables import FrameTable
from clm_dagster.platform.resources import load_sql, warehouse_of
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


# Begins a stretch of work: its title and how many materializations it will have.
Begin = Callable[[str, int], Progress]


def run_shop(settings: Settings, begin: Begin) -> Report:
    """Land, load, roll up, take snapshots, publish; each a Dagster run that the UI shows.

    Raises InputError, RunFailedError, SettingsError.
    """
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        report = Report(settings, dead_runs=close_dead_runs(instance))
        definitions = build_definitions(settings)
        report.runs.append(execute(definitions, instance, LAND, None, begin("Landing new files", 1)))
        project = load_sql(settings)
        source = ShopSource.open(settings, project)
        measured = _measured_dates(settings, source.landing.deliveries())
        if measured:
            settings = report.settings = settings.replace(**measured)
            definitions, project = build_definitions(settings), load_sql(settings)
            source = ShopSource.open(settings, project)
        record_last_run(settings, measured)
        for first, last in ranges(_days_to_run(settings, project, source)):
            report.runs.append(_run(definitions, instance, DAILY, first, last, begin))
        for first, last in ranges(_snapshots_to_run(settings, project, source)):
            report.runs.append(_run(definitions, instance, SNAPSHOTS, first, last, begin))
        for key, tables in _trainings_to_run(settings, project, source).items():
            report.runs.append(_run(definitions, instance, MODELS, key, key, begin, tables))
        for first, last in ranges(_scores_to_run(settings, project, source)):
            report.runs.append(_run(definitions, instance, SCORES, first, last, begin))
        views = _readers_to_run(settings, project)
        if views:
            newest = _snapshots(settings, source)[-1]
            report.runs.append(_run(definitions, instance, SCORES, newest, newest, begin, views))
        if not is_published(settings):
            report.runs.append(execute(definitions, instance, PUBLISH, None, begin("Publishing", 1)))
    return report


def is_published(settings: Settings) -> bool:
    """Whether the published copy is as new as the warehouse."""
    source, target = settings.warehouse_path, settings.published_path
    return target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns


_TITLES = {DAILY: "Days", SNAPSHOTS: "Snapshots", MODELS: "Models", SCORES: "Scores"}


def _run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    first: str,
    last: str,
    begin: Begin,
    only: Sequence[dg.AssetKey] = (),
) -> Run:
    job_def = definitions.resolve_job_def(job)
    partitions = job_def.partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys_in_range(dg.PartitionKeyRange(first, last))
    graph = definitions.resolve_asset_graph()
    selected = only or job_def.asset_layer.executable_asset_keys
    total = sum(len(keys) if graph.get(key).is_partitioned else 1 for key in selected)
    title = f"{_TITLES[job]} {first}" + ("" if first == last else f" to {last}")
    return execute(definitions, instance, job, (first, last), begin(title, total), only)


def _measured_dates(settings: Settings, deliveries: list[Delivery]) -> dict[str, date]:
    """Dates of a source that neither a person nor its adapter gave: the days that its files hold.

    Raises InputError if they span more than a shop's history can.
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


def _days_to_run(settings: Settings, project: Project, source: ShopSource) -> list[str]:
    deliveries = source.landing.deliveries()
    with warehouse_of(settings).connect("plan") as connection:
        builds = Builds.read(connection)
    days = stale_days(project, source, builds, deliveries)
    if days or not (tables_are_stale(source, builds, deliveries) or views_are_stale(project, builds)):
        return days
    # What lies in no day comes along with any; the last is the least work.
    return [day.isoformat() for day in source.days(deliveries)][-1:]


def _snapshots_to_run(settings: Settings, project: Project, source: ShopSource) -> list[str]:
    keys = _snapshots(settings, source)
    with warehouse_of(settings).connect("plan") as connection:
        builds = Builds.read(connection)
    stale = stale_snapshots(project, builds, keys)
    return stale or (keys[-1:] if views_are_stale(project, builds) else [])


def _snapshots(settings: Settings, source: ShopSource) -> list[str]:
    """Snapshots whose weeks have data and have ended."""
    days = source.days(source.landing.deliveries())
    ended = set(snapshot_partitions(settings).get_partition_keys())
    return [key for key in (d.isoformat() for d in days if d.weekday() == 0) if key in ended]


def _trainings_to_run(
    settings: Settings, project: Project, source: ShopSource
) -> dict[str, list[dg.AssetKey]]:
    """The models to train at each snapshot, in the order of as_of."""
    keys = _snapshots(settings, source)
    with warehouse_of(settings).connect("plan") as connection:
        builds = Builds.read(connection)
    wanted: dict[str, list[dg.AssetKey]] = {}
    due = training_keys(keys, settings)
    for table in _tables(settings, project):
        if table.is_trained:
            for key in stale_trainings(project, table, builds, due):
                wanted.setdefault(key, []).append(asset_key(table.node))
    return dict(sorted(wanted.items()))


def _scores_to_run(settings: Settings, project: Project, source: ShopSource) -> list[str]:
    keys = _snapshots(settings, source)
    newest = keys[-settings.score_count :] if settings.score_count else []
    with warehouse_of(settings).connect("plan") as connection:
        builds = Builds.read(connection)
    return stale_scores(project, _tables(settings, project), builds, newest)


def _readers_to_run(settings: Settings, project: Project) -> list[dg.AssetKey]:
    """Views of what Python writes that no run of the scores has made."""
    with warehouse_of(settings).connect("plan") as connection:
        builds = Builds.read(connection)
    return [asset_key(v) for v in stale_readers(project, _tables(settings, project), builds)]


def _tables(settings: Settings, project: Project) -> list[FrameTable]:
    return tables_of(build_domains(Shop(settings, project)), project)
