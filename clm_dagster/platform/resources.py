"""The SQL project, the warehouse and the MLflow store, created from settings.

Belongs here: creating them. Does not: how they work.
"""

from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings


def load_sql(settings: Settings) -> Project:
    """Load the SQL project with the variables from the settings. Raise ProjectError."""
    return load_project(settings.sql_dir, **settings.sql_variables())


def warehouse_of(settings: Settings) -> Warehouse:
    """Return the warehouse resource for these settings."""
    return Warehouse(
        database=str(settings.warehouse_path),
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        lock_timeout=settings.lock_timeout,
    )


def tracking_of(settings: Settings) -> Tracking:
    """Return the MLflow resource for these settings."""
    return Tracking(uri=settings.tracking_uri, artifact_dir=str(settings.artifact_dir))
