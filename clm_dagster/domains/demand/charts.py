"""The chart of the contests of demand, for the view over them."""

from clm_dagster.domains.demand.pictures import contest_page
from clm_dagster.platform.charts import figure_markdown
from clm_dagster.platform.warehouse import Connection


def contest_chart(connection: Connection) -> str | None:
    """Everyone's mean MASE in the newest contest."""
    contest = connection.frame(
        "select period, level, method, series, mase from marts.demand_contest "
        "where as_of = (select max(as_of) from marts.demand_contest) order by all"
    )
    if contest.empty:
        return None
    return figure_markdown(contest_page(contest), "the contest of forecasts", width=11, height=3.2)
