"""What Dagster sees of the shop's own totals.

Belongs here: the list of what the domain offers. Does not: how any of it works.
"""

from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """The chart of the shop's revenue."""
    return Domain(name="shop", charts={"marts.shop_daily": revenue_chart})
