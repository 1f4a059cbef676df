"""The recommendation domain, as Dagster loads it.

Belongs here: the list of the domain's tables. Does not: how they are computed.
"""

from clm_dagster.domains.recommend.tables import recommend_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the domain: the trained ranker, lists, similar products, and products bought together."""
    return Domain(
        name="recommend",
        tables=recommend_tables(shop.project, shop.settings),
    )
