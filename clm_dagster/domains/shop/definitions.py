"""Dagster definitions of the shop domain.

Belongs here: the list of charts. Does not belong here: their implementation.
"""

from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the revenue chart."""
    return Domain(name="shop", charts={"marts.shop_daily": revenue_chart})
