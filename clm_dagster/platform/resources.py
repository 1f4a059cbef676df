"""What the settings name: the SQL project, the warehouse, MLflow's store.

Belongs here: making each from settings. Does not: how any of them works.
"""

from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings


def load_sql(settings: Settings) -> Project:
    """The SQL project, with the variables that settings decide. Raise ProjectError."""
    return load_project(settings.sql_dir, **settings.sql_variables())


def warehouse_of(settings: Settings) -> Warehouse:
    """The warehouse that the settings name."""
    return Warehouse(
        path=str(settings.warehouse_path),
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        lock_timeout=settings.lock_timeout,
    )


def tracking_of(settings: Settings) -> Tracking:
    """MLflow's store as the settings name it."""
    return Tracking(uri=settings.tracking_uri, artifact_dir=str(settings.artifact_dir))
