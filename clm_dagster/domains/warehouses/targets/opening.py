"""Connecting to a destination.

Belongs here: which class is for which kind, packages that are missing. Does not: the classes. Drivers are imported
late: they are optional, and some take seconds.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from clm_dagster.domains.warehouses.destinations import BIGQUERY, POSTGRESQL, SNOWFLAKE, Destination
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.targets.target import Target

# The module that a kind needs, and what installs it.
_NEEDS = {
    POSTGRESQL: ("psycopg2", "pip install 'clm-dagster[postgres]'"),
    SNOWFLAKE: ("snowflake.connector", "pip install 'clm-dagster[snowflake]'"),
    BIGQUERY: ("google.cloud.bigquery", "pip install 'clm-dagster[bigquery]'"),
}


@contextmanager
def connected(destination: Destination, schema: str) -> Iterator[Target]:
    """Connect to a destination for the duration of the block. Raise PublishError if its package is missing."""
    url = destination.url()
    kind = url.drivername
    module, command = _NEEDS[kind]
    if not _is_installed(module):
        raise PublishError(
            f"CLM_PUBLISH_TO ({destination.name}) needs the package {module}; run\n  {command}"
        )
    target: Target
    if kind == POSTGRESQL:
        from clm_dagster.domains.warehouses.targets.postgres import PostgresTarget

        target = PostgresTarget(url, schema)
    elif kind == SNOWFLAKE:
        from clm_dagster.domains.warehouses.targets.snowflake import SnowflakeTarget

        target = SnowflakeTarget(url, schema)
    else:
        from clm_dagster.domains.warehouses.targets.bigquery import BigQueryTarget

        target = BigQueryTarget(url, schema)
    try:
        yield target
    finally:
        target.close()


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
