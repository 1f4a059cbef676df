"""The sales calendar: the year before a snapshot as trend, season, holidays and anomalies.

Belongs here: the rows of `marts.demand_calendar`. Does not: the decomposition (`components`), SQL (`queries`).
"""

from datetime import timedelta

import dagster as dg
import pandas as pd

from clm_dagster.domains.demand import asset_charts
from clm_dagster.domains.demand.components import components
from clm_dagster.domains.demand.series import daily_panel
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Work

# Days before as_of in the calendar; older days are in the calendars of earlier snapshots.
CALENDAR_DAYS = 365
# Days that are decomposed: beyond them, a longer history changes the last year little and costs as much as it is long.
DECOMPOSED_DAYS = 3 * CALENDAR_DAYS
MAX_ANOMALIES = 20


def decompose_calendar(work: Work[None], series: pd.DataFrame) -> TableOutput:
    """Decompose the series of the last year into trend, season, holidays and remainder."""
    if series.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    days = components(daily_panel(series, work.day).latest(DECOMPOSED_DAYS))
    recent = days[days["date"] >= work.partition.as_of - timedelta(days=CALENDAR_DAYS)]
    anomalies = recent[recent["is_anomaly"] & (recent["level"] == "shop")]
    return TableOutput(
        recent,
        work.pictures({"calendar": (asset_charts.calendar_plot(recent), 11.0, 5.0)})
        | {"shop_anomalies": dg.MetadataValue.md(_table(anomalies))},
    )


def _table(anomalies: pd.DataFrame) -> str:
    """Return the anomalies as a Markdown table, newest first."""
    if anomalies.empty:
        return "none"
    newest = anomalies.sort_values(["date", "measure"], ascending=[False, True]).head(MAX_ANOMALIES)
    return markdown_table(
        ("day", "measure", "sold", "difference from expected"),
        (
            (
                f"{row['date']:%Y-%m-%d}",
                row["measure"],
                f"{row['value']:,.0f}",
                f"{row['anomaly_size']:+,.0f}",
            )
            for row in newest.to_dict("records")
        ),
    )
