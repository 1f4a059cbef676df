"""One Definitions: the sum of the rooms.

Belongs here: wiring. Does not: anything that could be in a room.
"""

import warnings

import dagster as dg

from clm_dagster.ingest.assets import ingest_assets
from clm_dagster.ingest.source import ShopSource
from clm_dagster.jobs import build_jobs, build_schedules, build_sensors
from clm_dagster.publish.assets import publish_asset
from clm_dagster.segments.charts import segment_chart
from clm_dagster.segments.checks import segment_map_check
from clm_dagster.settings import Settings, load_settings
from clm_dagster.shop.charts import revenue_chart
from clm_dagster.sql_models.assets import Extras, sql_assets
from clm_dagster.sql_models.parts import asset_key
from clm_dagster.sql_models.project import Project, load_project
from clm_dagster.warehouse import Warehouse

# Partition backfill policies and owners are beta in Dagster; it would say so once for each asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


def load_sql(settings: Settings) -> Project:
    """The SQL project, with the variables that settings decide."""
    return load_project(
        settings.sql_dir,
        start_date=str(settings.start_date),
        churn_horizon_days=settings.churn_horizon_days,
        churn_active_days=settings.churn_active_days,
    )


def warehouse_of(settings: Settings) -> Warehouse:
    """The warehouse that the settings name."""
    return Warehouse(
        path=str(settings.warehouse_path),
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        lock_timeout=settings.lock_timeout,
    )


def build_definitions(settings: Settings) -> dg.Definitions:
    """Everything Dagster is to know, for these settings."""
    project = load_sql(settings)
    source = ShopSource.open(settings, project)
    extras = Extras(
        charts={
            "core.rfm_scores": segment_chart,
            "marts.rfm_segments": segment_chart,
            "marts.shop_daily": revenue_chart,
        },
        seed_checks={"rfm_segment_map": {"map_is_a_partition": segment_map_check(settings)}},
    )
    tables = sql_assets(project, settings, extras)
    raw = ingest_assets(source, project)
    read_by_people = [asset_key(m) for m in project.models.values() if m.schema in ("core", "marts")]
    assets = [*raw, *tables, publish_asset(settings, read_by_people)]
    return dg.Definitions(
        assets=assets,
        jobs=build_jobs(settings, assets),
        schedules=build_schedules(settings),
        sensors=build_sensors(settings),
        resources={"warehouse": warehouse_of(settings)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The code location, as `workspace.yaml` and `dg.toml` name it."""
    return build_definitions(load_settings())
