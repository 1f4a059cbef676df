"""Old MLflow runs that no training needs any more.

Belongs here: choosing and deleting them, with their models and files. Does not: runs that killed processes left
(`platform.mlflow_store`).

Kept are the runs that a row of a table of trainings names: they serve, are due, or explain stored scores. So are runs
whose version has an alias, such as `champion`, or is named by stored scores, and runs of other programs. What remains
are trainings that were trained again, and failed or killed ones. They are marked as deleted first and then removed for
good, as `mlflow gc` does; a vacuum that is killed between the two is completed by the next one.
"""

import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.mlflow_store.files import StoreFile
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.tracked_runs import joined
from clm_dagster.platform.trained_models.champions import stored_trainings
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.upkeep.freed import Freed, size_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_KIND = "MLflow runs that no training names"
_ASSET, _PARENT = "dagster.asset_key", "mlflow.parentRunId"
# Tag of a run that is being removed; its value lists the run's models.
_VACUUM = "clm.vacuum"
_PAGE = 1_000


def free_mlflow_runs(settings: Settings, dry_run: bool, now: datetime | None = None) -> Freed:
    """Delete the runs that are older than CLM_KEEP_MLFLOW_RUNS and that nothing needs. now: for tests."""
    if not settings.keep_mlflow_runs:
        return Freed(_KIND, 0, 0, "CLM_KEEP_MLFLOW_RUNS is 0")
    store = StoreFile.of(settings.tracking_uri, str(settings.artifact_dir))
    if store is None:
        return Freed(
            _KIND, 0, 0, f"all of {settings.tracking_uri}, which is not in the data folder: see `mlflow gc`"
        )
    if not store.path.exists():
        return Freed(_KIND, 0, 0)
    before = (now or datetime.now(UTC)) - timedelta(days=settings.keep_mlflow_runs)
    shop = Shop.open(settings)
    tables = tables_of(build_domains(shop), shop.project)
    client, experiment = tracking_of(settings).open()
    with warehouse_of(settings).connect_read_only("clm vacuum") as connection:
        runs, versions = _named(connection, tables)
    needed = runs | _runs_of_versions(client, settings, tables, versions)
    from mlflow.entities import ViewType

    half_done = [r for r in _search(client, experiment, ViewType.DELETED_ONLY) if _VACUUM in r.data.tags]
    found = list(_search(client, experiment, ViewType.ACTIVE_ONLY))
    parents = [run for run in found if _is_old(run, before) and run.info.run_id not in needed]
    children = _children(found, parents)
    chosen = [*parents, *children]
    size = sum(_size(client, experiment, run) for run in (*chosen, *half_done))
    if not dry_run and (chosen or half_done):
        # Children first: the last thing that is gone is what leads to them.
        models = [m for run in (*children, *parents) for m in _mark(client, settings, experiment, run)]
        models += [m for run in half_done for m in run.data.tags[_VACUUM].split(",") if m]
        _collect(settings, [run.info.run_id for run in (*chosen, *half_done)], models)
        with closing(sqlite3.connect(store.path, timeout=60)) as opened:
            opened.execute("vacuum")
    kept = f"{len(needed):,} trainings that serve, are due or explain stored scores"
    return Freed(_KIND, len(chosen) + len(half_done), size, kept)


def _named(connection: Connection | None, tables: Sequence[AnyTable]) -> tuple[set[str], dict[str, set[str]]]:
    """Return the runs that tables of trainings name, and the versions of each model that stored scores name."""
    runs: set[str] = set()
    versions: dict[str, set[str]] = {}
    for table in tables if connection is not None else ():
        assert connection is not None
        if connection.relation_kind(table.relation) is None:
            continue
        if table.is_trained:
            if {"model_version", "mlflow_run_id"} <= connection.columns(
                f"select * from {table.relation}"
            ).keys():
                runs |= {row.run_id for row in stored_trainings(connection, table.relation) if row.run_id}
        elif table.model and "model_version" in connection.columns(f"select * from {table.relation}"):
            rows = connection.execute(f"select distinct model_version from {table.relation}")
            versions.setdefault(table.model.relation, set()).update(str(version) for (version,) in rows)
    return runs, versions


def _runs_of_versions(
    client: "MlflowClient", settings: Settings, tables: Sequence[AnyTable], versions: dict[str, set[str]]
) -> set[str]:
    """Return the runs of the versions that have an alias or that stored scores name."""
    found = set()
    for table in tables:
        if table.is_trained:
            name = joined(settings.asset_prefix, table.relation, ".")
            named = versions.get(table.relation, set())
            for model in client.search_registered_models(f"name = '{name}'"):
                aliased = {str(version) for version in model.aliases.values()}
                for version in client.search_model_versions(f"name = '{name}'", max_results=_PAGE):
                    if str(version.version) in named | aliased and version.run_id:
                        found.add(version.run_id)
    return found


def _search(client: "MlflowClient", experiment: str, view: int) -> Iterator["Run"]:
    token = None
    while True:
        page = client.search_runs([experiment], run_view_type=view, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_old(run: "Run", before: datetime) -> bool:
    """Whether a run is a finished training of ours from before an instant."""
    ended = run.info.end_time or run.info.start_time
    is_ours = _ASSET in run.data.tags and _PARENT not in run.data.tags
    return is_ours and run.info.status != "RUNNING" and ended < before.timestamp() * 1000


def _children(found: Sequence["Run"], parents: Sequence["Run"]) -> list["Run"]:
    chosen = {run.info.run_id for run in parents}
    return [run for run in found if run.data.tags.get(_PARENT) in chosen]


def _size(client: "MlflowClient", experiment: str, run: "Run") -> int:
    """Return the bytes of a run's files and models."""
    models = client.search_logged_models([experiment], f"source_run_id = '{run.info.run_id}'")
    places = [run.info.artifact_uri, *(model.artifact_location for model in models)]
    return sum(size_of(Path(url2pathname(urlsplit(place).path))) for place in places if place)


def _mark(client: "MlflowClient", settings: Settings, experiment: str, run: "Run") -> list[str]:
    """Mark a run, its models and their versions as deleted. Return the ids of the models."""
    run_id = run.info.run_id
    models = [m.model_id for m in client.search_logged_models([experiment], f"source_run_id = '{run_id}'")]
    client.set_tag(run_id, _VACUUM, ",".join(models))
    for version in client.search_model_versions(f"run_id = '{run_id}'"):
        client.delete_model_version(version.name, version.version)
    for model in models:
        client.delete_logged_model(model)
    client.delete_run(run_id)
    return models


def _collect(settings: Settings, runs: Sequence[str], models: Sequence[str]) -> None:
    """Remove what is marked as deleted for good, with its files."""
    from mlflow.cli import gc

    arguments = ["--backend-store-uri", settings.tracking_uri, "--tracking-uri", settings.tracking_uri]
    arguments += ["--run-ids", ",".join(runs)]
    arguments += ["--logged-model-ids", ",".join(models)] if models else []
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        gc.main(arguments, standalone_mode=False)
