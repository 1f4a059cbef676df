"""The Dagster definitions of connectors. Without any, there are none.

Belongs here: the list of what the domain provides. Does not: implementations.
"""

from clm_dagster.domains.connect.assets import pull_assets, pull_job, pull_schedule, pulled_key
from clm_dagster.domains.connect.config import read_connectors
from clm_dagster.domains.connect.settings import ConnectSettings
from clm_dagster.platform.domain import Domain, Shop
from clm_dagster.platform.naming import LANDING, with_prefix


def build(shop: Shop) -> Domain:
    """Build the domain from the file of connectors. Raise ConnectorError, ProjectError."""
    connectors = read_connectors(shop.settings.of(ConnectSettings).connectors, shop.settings)
    if not connectors:
        return Domain(name="connect")
    keys = [pulled_key(shop.settings, table) for connector in connectors for table in connector.tables]
    return Domain(
        name="connect",
        assets=pull_assets(connectors, shop.settings),
        upstream={with_prefix(shop.settings, LANDING): keys},
        jobs=[pull_job(connectors, shop.settings)],
        schedules=[pull_schedule(shop.settings)],
    )
