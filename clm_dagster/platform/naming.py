"""Names in Dagster, which differ between the shops of one deployment.

Belongs here: adding the setting CLM_ASSET_PREFIX to keys and names, and recognising runs by it. Does not: names in SQL,
which are the same in every warehouse; names in MLflow (`tracking`). Without a prefix, nothing is added.
"""

import dagster as dg

from clm_dagster.settings import Settings

# Tag of the runs of a shop with a prefix; the UI can filter by it.
SHOP_TAG = "clm/shop"
# The landing area, which one domain writes and another one has assets upstream of.
LANDING = dg.AssetKey(["landing", "files"])


def asset_key(settings: Settings, relation: str) -> dg.AssetKey:
    """Return the asset key of a relation: `[marts, shop_daily]` of `marts.shop_daily`, after the prefix."""
    return with_prefix(settings, dg.AssetKey(relation.split(".")))


def with_prefix(settings: Settings, key: dg.AssetKey) -> dg.AssetKey:
    """Return the key that an asset has in this shop."""
    return key.with_prefix(settings.asset_prefix) if settings.asset_prefix else key


def name_of(settings: Settings, name: str) -> str:
    """Return the name that a job, schedule, sensor, group or resource has in this shop: `my_shop_daily`."""
    return f"{settings.asset_prefix}_{name}" if settings.asset_prefix else name


def run_tags(settings: Settings) -> dict[str, str]:
    """Return the tags of the runs of this shop's jobs."""
    return {SHOP_TAG: settings.asset_prefix} if settings.asset_prefix else {}


def is_own_run(settings: Settings, run: dg.DagsterRun) -> bool:
    """Whether a run belongs to this shop: it is a run of one of its jobs, or materializes some of its assets.

    All runs belong to a shop without a prefix, which has its deployment to itself.
    """
    prefix = settings.asset_prefix
    if not prefix or run.tags.get(SHOP_TAG) == prefix:
        return True
    return any(key.path[0] == prefix for key in run.asset_selection or ())
