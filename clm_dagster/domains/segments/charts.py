"""Chart of segment sizes and revenue."""

from typing import TYPE_CHECKING

import pandas as pd

from clm_dagster.platform.charts import ACCENT, INK, WARM, figure_markdown, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def segment_chart(connection: Connection) -> str | None:
    """Draw customers and net revenue of each segment in the newest snapshot."""
    frame = connection.frame("""
        select names.segment, count(scores.customer_id) as customers, sum(scores.monetary)::double as revenue,
            max(scores.as_of) as as_of
        from staging.rfm_segment_names as names
        left join core.rfm_scores as scores
            on names.segment = scores.segment and scores.as_of = (select max(as_of) from core.rfm_scores)
        group by names.segment, names.position order by names.position
    """)
    if not frame["customers"].sum():
        return None
    as_of = pd.Timestamp(frame["as_of"].max())

    def draw(figure: "Figure") -> None:
        axes = figure.subplots(1, 2, sharey=True)
        places = range(len(frame))
        for axis, column, unit, color in (
            (axes[0], "customers", "Customers", ACCENT),
            (axes[1], "revenue", "Net revenue in millions", WARM),
        ):
            values = frame[column].fillna(0) / (1e6 if column == "revenue" else 1)
            axis.barh(places, values, color=color)
            style(axis, f"{unit} at {as_of:%Y-%m-%d}")
            axis.grid(axis="x", color="#e6e9ec", linewidth=0.8)
            axis.grid(axis="y", visible=False)
            for place, value in zip(places, values, strict=True):
                text = f" {value:,.2f}" if column == "revenue" else f" {value:,.0f}"
                axis.text(value, place, text, va="center", fontsize=8, color=INK)
            axis.margins(x=0.18)
            axis.locator_params(axis="x", nbins=5)
        axes[0].set_yticks(list(places), [name.replace("_", " ") for name in frame["segment"]])
        axes[0].invert_yaxis()

    return figure_markdown(draw, "segments by customers and revenue", width=9, height=3.8)
