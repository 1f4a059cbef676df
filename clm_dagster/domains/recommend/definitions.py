"""What Dagster sees of recommendations.

Belongs here: the list of what the domain offers. Does not: how any of it works.
"""

from clm_dagster.domains.recommend.tables import recommend_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """The trained ranker, everyone's lists, similar products, what goes with what."""
    return Domain(
        name="recommend",
        tables=recommend_tables(shop.project, shop.settings),
    )
