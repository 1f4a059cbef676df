"""Dagster definitions of the shop domain.

Belongs here: the lists of charts and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.shop.charts import revenue_chart
from clm_dagster.domains.shop.checks import shared_order_ids
from clm_dagster.domains.shop.grades import SCORECARD, grades_chart, worse_than_baseline
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the charts of revenue and of grades, and the checks of order ids and of grades."""
    return Domain(
        name="shop",
        charts={"marts.shop_daily": revenue_chart, SCORECARD: grades_chart},
        checks={
            "core.order_days": {"one_customer_per_order_id": shared_order_ids},
            SCORECARD: {"models_beat_their_baselines": worse_than_baseline},
        },
    )
