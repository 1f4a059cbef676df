"""The demand domain, as Dagster loads it.

Belongs here: the list of the domain's tables and charts. Does not: how they are computed.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.demand.tables import demand_tables
from clm_dagster.platform.domain import Domain, Shop
from clm_dagster.platform.late_functions import late_functions

if TYPE_CHECKING:
    from clm_dagster.domains.demand.asset_charts import evaluation_chart
else:
    (evaluation_chart,) = late_functions("clm_dagster.domains.demand.asset_charts", "evaluation_chart")


def build(shop: Shop) -> Domain:
    """Return the domain: the trained model, forecasts, their accuracy, reorder points and the calendar."""
    return Domain(
        name="demand",
        tables=demand_tables(shop.project, shop.settings),
        charts={"marts.demand_contest": evaluation_chart},
    )
