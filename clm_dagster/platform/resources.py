"""The SQL project, the warehouse and the MLflow store, created from settings.

Belongs here: creating them, and their resource keys, which differ between the shops of one deployment. Does not: how
they work.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import dagster as dg

from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.lake.warehouse import lake_of
from clm_dagster.platform.naming import name_of
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings

# The parts of the SQL folder that a project is read from.
_PARTS = ("models", "macros", "seeds")
# A file, when it was written, and its size.
_Stamp = tuple[str, int, int]


def load_sql(settings: Settings) -> Project:
    """Return the SQL project with the variables from the settings. Raise ProjectError.

    It is read once per process until a file of it changes: a run, a command or a sensor asks for it several times.
    """
    folder = settings.sql_dir
    return _project(folder, tuple(settings.sql_variables().items()), tuple(_stamps(folder)))


@lru_cache(maxsize=8)
def _project(folder: Path, variables: tuple[tuple[str, Any], ...], stamps: tuple[_Stamp, ...]) -> Project:
    return load_project(folder, **dict(variables))


def _stamps(folder: Path) -> Iterator[_Stamp]:
    """Yield the state of every file that the project is read from; another state is another project."""
    listed = (file for part in _PARTS for file in sorted(folder.glob(f"{part}/**/*")))
    for file in (folder / "dbt_project.yml", *listed):
        if file.is_file():
            state = file.stat()
            yield str(file), state.st_mtime_ns, state.st_size


def warehouse_of(settings: Settings) -> Warehouse:
    """Return the warehouse resource for these settings: the lake, if there is one."""
    if settings.has_lake:
        return lake_of(settings)
    return Warehouse(
        database=str(settings.warehouse_path),
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        lock_timeout=settings.lock_timeout,
    )


def tracking_of(settings: Settings) -> Tracking:
    """Return the MLflow resource for these settings."""
    return Tracking(
        uri=settings.tracking_uri, artifact_dir=str(settings.artifact_dir), prefix=settings.asset_prefix
    )


def warehouse_key(settings: Settings) -> str:
    """Return the resource key of the warehouse."""
    return name_of(settings, "warehouse")


def tracking_key(settings: Settings) -> str:
    """Return the resource key of the MLflow store."""
    return name_of(settings, "tracking")


def resources_of(settings: Settings) -> dict[str, Warehouse | Tracking]:
    """Return all resources of a shop by key."""
    return {
        warehouse_key(settings): warehouse_of(settings),
        tracking_key(settings): tracking_of(settings),
    }


def run_warehouse(context: dg.AssetExecutionContext, settings: Settings) -> Warehouse:
    """Return the warehouse in an asset that requires it."""
    return cast(Warehouse, getattr(context.resources, warehouse_key(settings)))


def run_tracking(context: dg.AssetExecutionContext, settings: Settings) -> Tracking:
    """Return the MLflow store in an asset that requires it."""
    return cast(Tracking, getattr(context.resources, tracking_key(settings)))
