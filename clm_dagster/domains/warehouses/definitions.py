"""The Dagster definitions of publishing to warehouses. Without destinations, there are none.

Belongs here: the list of what the domain provides. Does not: implementations.
"""

from clm_dagster.domains.warehouses.assets import CHECK, destination_asset, destination_jobs
from clm_dagster.domains.warehouses.destinations import split_destinations
from clm_dagster.domains.warehouses.settings import WarehouseSettings
from clm_dagster.platform.alerts.headlines import Headline
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Build the domain from the destinations of the settings."""
    destinations = split_destinations(shop.settings.of(WarehouseSettings).publish_to)
    return Domain(
        name="warehouses",
        assets=[destination_asset(shop.settings, each) for each in destinations],
        jobs=destination_jobs(shop.settings, destinations),
        headlines={
            CHECK: Headline(
                "A warehouse of the team was not published to",
                "see why at the check, and run `clm publish` when the destination can be reached; the next "
                "publication sends what is missing.",
            )
        },
    )
