"""What Dagster sees of customer value.

Belongs here: the list of what the domain offers. Does not: how any of it works.
"""

from clm_dagster.domains.value.asset_charts import decile_chart, segment_value_chart, tracking_chart
from clm_dagster.domains.value.tables import value_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """The trained model, what each customer will spend, and charts of how that turned out."""
    return Domain(
        name="value",
        tables=value_tables(shop.project, shop.settings),
        charts={
            "marts.value_by_segment": segment_value_chart,
            "marts.value_deciles": decile_chart,
            "marts.value_tracking": tracking_chart,
        },
    )
