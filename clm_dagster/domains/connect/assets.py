"""The pulled tables as Dagster assets, upstream of the landing area.

Belongs here: assets, the job and its schedule. Does not: pulling (`pulling`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.domains.connect.config import ALL_FILES, FILES, SQL, Connector, PulledTable
from clm_dagster.domains.connect.pulling import place_of, pull
from clm_dagster.platform.jobs import asset_job
from clm_dagster.platform.naming import name_of, with_prefix
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.platform.jobs import AssetJob

PULL = "pull"
_GROUP, _OWNERS = "ingest", ["team:data"]
_MINUTES_BEFORE_DAILY = 30


def pulled_key(settings: Settings, table: PulledTable) -> dg.AssetKey:
    """Return the key of a pulled table."""
    return with_prefix(settings, dg.AssetKey([PULL, table.connector, table.name]))


def pull_assets(connectors: Sequence[Connector], settings: Settings) -> list[dg.AssetsDefinition]:
    """Return one asset for each table of each connector."""
    return [_asset(connector, table, settings) for connector in connectors for table in connector.tables]


def pull_job(connectors: Sequence[Connector], settings: Settings) -> "AssetJob":
    """Return the job that pulls all tables."""
    keys = [pulled_key(settings, table) for connector in connectors for table in connector.tables]
    return asset_job(
        settings,
        PULL,
        dg.AssetSelection.assets(*keys),
        "Pull what is new of all connectors into the inbox.",
    )


def pull_definitions(connectors: Sequence[Connector], settings: Settings) -> dg.Definitions:
    """Return what a pull alone needs; the whole code location takes seconds to make."""
    return dg.Definitions(
        assets=pull_assets(connectors, settings),
        jobs=[pull_job(connectors, settings)],
        executor=dg.in_process_executor,
    )


def pull_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Return the daily schedule of the job. It is stopped until a user starts it, as all schedules are.

    A code location that is loaded for the first time must not read other systems by itself.
    """
    minutes = (settings.daily_hour * 60 - _MINUTES_BEFORE_DAILY) % (24 * 60)
    return dg.ScheduleDefinition(
        name=name_of(settings, "pull_schedule"),
        job_name=name_of(settings, PULL),
        cron_schedule=f"{minutes % 60} {minutes // 60} * * *",
        execution_timezone=settings.timezone,
        description="Pulls what is new of all connectors, half an hour before the daily schedule loads it.",
    )


def _asset(connector: Connector, table: PulledTable, settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        key=pulled_key(settings, table),
        group_name=name_of(settings, _GROUP),
        owners=_OWNERS,
        kinds={"dlt", "file"} if connector.kind == FILES else {"dlt", "parquet"},
        tags={"layer": PULL, "job": PULL, "connector": connector.name},
        description=_description(connector, table),
        metadata={"dagster/uri": str(place_of(settings, table).folder)},
        pool=name_of(settings, f"{PULL}_{connector.name}"),
    )
    def pulled(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=pull(context, settings, connector, table))

    return pulled


def _description(connector: Connector, table: PulledTable) -> str:
    if table.name == ALL_FILES and connector.kind == FILES:
        return f"New and changed files of the connector {connector.name}, copied into the inbox as they are."
    what = f"of the database {connector.name}" if connector.kind == SQL else f"of {connector.name}"
    if table.cursor:
        how = f"Rows whose `{table.cursor}` has grown since the last pull"
    elif connector.kind == SQL:
        how = "A full copy each time, of which rows that are new or changed"
    else:
        how = "What is new or changed since the last pull"
    return (
        f"The table {table.table} {what}. {how} go into the inbox as one file, {table.file}-(time).parquet."
    )
