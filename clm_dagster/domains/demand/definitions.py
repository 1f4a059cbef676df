"""What Dagster sees of demand.

Belongs here: the list of what the domain offers. Does not: how any of it works.
"""

from clm_dagster.domains.demand.asset_charts import evaluation_chart
from clm_dagster.domains.demand.tables import demand_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """The trained rules, forecasts, their accuracy, reorder points, the calendar."""
    return Domain(
        name="demand",
        tables=demand_tables(shop.project, shop.settings),
        charts={"marts.demand_contest": evaluation_chart},
    )
