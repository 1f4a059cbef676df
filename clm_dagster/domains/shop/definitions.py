"""Dagster definitions of the shop domain.

Belongs here: the lists of charts and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.domains.shop.checks import shared_order_ids
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the revenue chart, and the check on order ids."""
    return Domain(
        name="shop",
        charts={"marts.shop_daily": revenue_chart},
        checks={"core.order_days": {"one_customer_per_order_id": shared_order_ids}},
    )
