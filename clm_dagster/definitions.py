"""The Dagster definitions of the code location, collected from the platform and the domains.

Belongs here: assembly. Does not: anything that names a domain or one of its tables.
"""

from pathlib import Path

import dagster as dg

from clm_dagster.platform.alerts.sensor import alert_sensor
from clm_dagster.platform.assets.extras import sql_assets
from clm_dagster.platform.automation import automate
from clm_dagster.platform.domain import Shop, assets_of, build_domains, extras_of, tables_of
from clm_dagster.platform.due_runs import DueRuns
from clm_dagster.platform.executors import executor_of
from clm_dagster.platform.jobs import build_jobs
from clm_dagster.platform.publish.assets import publish_asset
from clm_dagster.platform.python_tables.assets import python_asset
from clm_dagster.platform.resources import resources_of
from clm_dagster.platform.trained_models.metrics import metric_specs
from clm_dagster.platform.trained_models.serving import serving_spec
from clm_dagster.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return the definitions of a shop that has its code location to itself."""
    return dg.Definitions.merge(shop_definitions(settings), dg.Definitions(executor=executor_of(settings)))


def shop_definitions(settings: Settings) -> dg.Definitions:
    """Return all assets, jobs, schedules, sensors and resources of one shop."""
    shop = Shop.open(settings)
    domains = build_domains(shop)
    tables = tables_of(domains, shop.project)
    assets = [
        *sql_assets(shop.project, settings, extras_of(domains, shop.project)),
        *assets_of(domains),
        *(python_asset(shop.project, settings, table) for table in tables),
        publish_asset(settings, shop.project, tables),
    ]
    specs = [*metric_specs(shop.project, settings, tables), serving_spec(shop.project, settings, tables)]
    alerts = alert_sensor(shop, tables, domains, assets)
    jobs = build_jobs(settings, assets)
    automation = automate(DueRuns.of(shop, tables, domains), assets, jobs)
    return dg.Definitions(
        assets=[*automation.assets, *specs],
        jobs=[*jobs, *(job for d in domains for job in d.jobs)],
        schedules=[*automation.schedules, *(s for d in domains for s in d.schedules)],
        sensors=[alerts, *automation.sensors, *(s for d in domains for s in d.sensors)],
        resources=resources_of(settings),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the code location in `workspace.yaml` and `dg.toml`: the shop of the settings, and those in `defs`."""
    own, folder = build_definitions(load_settings()), Path(__file__).parent / "defs"
    shops = [dg.load_from_defs_folder(path_within_project=folder)] if any(folder.glob("*/defs.yaml")) else []
    return dg.Definitions.merge(own, *shops)
