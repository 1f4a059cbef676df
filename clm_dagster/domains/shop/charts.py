"""Chart of the shop's daily revenue."""

from typing import TYPE_CHECKING

import pandas as pd

from clm_dagster.platform.charts import ACCENT, PALE, figure_markdown, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def revenue_chart(connection: Connection) -> str | None:
    """Draw the net revenue of each day and its mean over four weeks."""
    frame = connection.frame(
        "select sales_date, net_revenue::double as net from marts.shop_daily order by sales_date"
    )
    if frame.empty:
        return None
    net = frame.set_index(pd.to_datetime(frame["sales_date"]))["net"]

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        # Draw one filled step line: a thousand bars would take ten times as long.
        axis.fill_between(net.index, net.to_numpy() / 1e3, step="mid", color=PALE, linewidth=0, label="day")
        mean = net.rolling(28, min_periods=7).mean()
        axis.plot(net.index, mean.to_numpy() / 1e3, color=ACCENT, linewidth=2, label="mean of 28 days")
        style(axis, "Net revenue by day, in thousands")
        axis.legend(
            frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2
        )

    return figure_markdown(draw, "net revenue by day", width=9)
