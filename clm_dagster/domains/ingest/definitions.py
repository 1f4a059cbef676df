"""The Dagster definitions of ingestion: landing, the raw tables, the ledger of deliveries, sensors.

Belongs here: the list of what the domain provides. Does not: implementations.
"""

import dagster as dg

from clm_dagster.domains.ingest.assets import ingest_assets
from clm_dagster.domains.ingest.checks import HEADLINES
from clm_dagster.domains.ingest.sensors import LAND, ingest_sensors
from clm_dagster.domains.ingest.source import LandedFiles, ShopSource
from clm_dagster.platform.domain import Domain, Shop
from clm_dagster.platform.jobs import asset_job
from clm_dagster.platform.naming import LANDING, with_prefix


def build(shop: Shop) -> Domain:
    """Build the domain: landing and the raw tables, loaded with the source's adapter."""
    source = ShopSource.open(shop.settings, shop.project)
    return Domain(
        name="ingest",
        assets=ingest_assets(source, shop.project),
        jobs=[
            asset_job(
                shop.settings,
                LAND,
                dg.AssetSelection.assets(with_prefix(shop.settings, LANDING)),
                "Parse new files into the landing area.",
            )
        ],
        sensors=ingest_sensors(shop.settings),
        landed=lambda: LandedFiles.read(source),
        headlines=HEADLINES,
    )
