"""The Dagster definitions of the code location, collected from the platform and the domains.

Belongs here: assembly. Does not: anything that names a domain or one of its tables.
"""

import dagster as dg

from clm_dagster.platform.assets.extras import sql_assets
from clm_dagster.platform.change_sensors import change_sensors
from clm_dagster.platform.domain import Shop, assets_of, build_domains, extras_of, tables_of
from clm_dagster.platform.failures import failure_sensor
from clm_dagster.platform.jobs import build_jobs
from clm_dagster.platform.publish.assets import publish_asset
from clm_dagster.platform.python_tables.assets import python_asset
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.schedules import build_schedules
from clm_dagster.platform.trained_models.metrics import metric_specs
from clm_dagster.platform.trained_models.serving import serving_spec
from clm_dagster.settings import Settings, load_settings


def build_definitions(settings: Settings) -> dg.Definitions:
    """Return all assets, jobs, schedules, sensors and resources for these settings."""
    shop = Shop.open(settings)
    domains = build_domains(shop)
    tables = tables_of(domains, shop.project)
    return dg.Definitions(
        assets=[
            *sql_assets(shop.project, settings, extras_of(domains, shop.project)),
            *assets_of(domains),
            *(python_asset(shop.project, settings, table) for table in tables),
            *metric_specs(shop.project, settings, tables),
            serving_spec(shop.project, settings, tables),
            publish_asset(settings, shop.project, tables),
        ],
        jobs=[*build_jobs(), *(job for domain in domains for job in domain.jobs)],
        schedules=[*build_schedules(settings), *(s for domain in domains for s in domain.schedules)],
        sensors=[
            failure_sensor(settings),
            *change_sensors(settings, shop.project),
            *(s for domain in domains for s in domain.sensors),
        ],
        resources={"warehouse": warehouse_of(settings), "tracking": tracking_of(settings)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the code location named in `workspace.yaml` and `dg.toml`."""
    return build_definitions(load_settings())
