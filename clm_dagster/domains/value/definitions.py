"""Dagster definitions of the customer value domain.

Belongs here: the list of tables and charts. Does not belong here: their implementation.
"""

from clm_dagster.domains.value.asset_charts import decile_chart, segment_value_chart, tracking_chart
from clm_dagster.domains.value.tables import value_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the tables (trained model, expected spend) and the charts of expected against actual spend."""
    return Domain(
        name="value",
        tables=value_tables(shop.project, shop.settings),
        charts={
            "marts.value_by_segment": segment_value_chart,
            "marts.value_deciles": decile_chart,
            "marts.value_tracking": tracking_chart,
        },
    )
