"""Charts of cohorts and of the funnel.

Belongs here: charts in asset metadata. Does not belong here: charts of lifecycle stages (`charts`).
"""

from typing import TYPE_CHECKING

from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, figure_markdown, label, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

_COHORTS_SHOWN = 17
CHANNEL_COLORS = (ACCENT, PALE, WARM, "#7fb8a4", "#eeb98a", "#c9d3da")


def cohort_chart(connection: Connection) -> str | None:
    """Draw a heat map of the retention of the newest cohorts by months since the first order.

    The newest month is hatched while days of it are still to come: it would look like a collapse.
    """
    frame = connection.frame(
        """
        select strftime(cohort_month, '%Y-%m') as cohort, months_since, retention, customers,
            last_day(month) > (select max(activity_date) from core.customer_daily) as is_unfinished
        from marts.cohort_retention where cohort_month in (
            select distinct cohort_month from marts.cohort_retention order by cohort_month desc limit ?
        )
        order by cohort, months_since
        """,
        [_COHORTS_SHOWN],
    )
    if frame.empty or frame["months_since"].max() == 0:
        return None
    table = 100 * frame.pivot(index="cohort", columns="months_since", values="retention")
    sizes = frame.groupby("cohort")["customers"].first()
    unfinished = frame.pivot(index="cohort", columns="months_since", values="is_unfinished")
    # Month 0 is 100% by definition and would dominate the colour scale.
    shown = table.drop(columns=[0])

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        top = max(1.0, shown.max().max())
        axis.imshow(shown.to_numpy(), cmap="Blues", aspect="auto", vmin=0, vmax=1.15 * top)
        for y, cohort in enumerate(table.index):
            for x, month in enumerate(shown.columns):
                value = shown.loc[cohort, month]
                if value == value:  # the lower triangle is in the future
                    if unfinished.loc[cohort, month]:
                        axis.add_patch(_hatched(x, y))
                    color = "white" if value > 0.6 * top else INK
                    axis.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=7, color=color)
        style(axis, "Customers with an order, % of the cohort, by months since the first order")
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labelsize=8)
        axis.set_xticks(range(len(shown.columns)), list(shown.columns))
        axis.set_xlabel("months since; hatched: the month is not over yet", fontsize=9, color=INK)
        axis.set_yticks(range(len(table.index)), [f"{name}  ({sizes[name]:,})" for name in table.index])

    return figure_markdown(draw, "retention of cohorts", width=9, height=1.2 + 0.18 * len(table))


def _hatched(x: int, y: int) -> "Rectangle":
    """Return a hatched cell of a heat map."""
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor="white", linewidth=0)


def funnel_chart(connection: Connection) -> str | None:
    """Draw sessions, views, carts and orders of the last four weeks by channel."""
    frame = connection.frame("""
        select channel, sum(sessions)::bigint as sessions, sum(views)::bigint as views, sum(carts)::bigint as carts,
            sum(orders)::bigint as orders
        from marts.funnel_daily
        where activity_date > (select max(activity_date) from marts.funnel_daily) - 28
        group by channel order by sum(sessions) desc, channel limit 6
    """).set_index("channel")
    if frame.empty:
        return None

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        left = [0.0] * frame.shape[1]
        for channel, color in zip(frame.index, CHANNEL_COLORS, strict=False):
            values = frame.loc[channel].to_list()
            axis.barh(range(4), values, left=left, color=color, label=label(channel))
            left = [a + b for a, b in zip(left, values, strict=True)]
        for place, value in enumerate(left):
            axis.text(value, place, f" {value:,.0f}", va="center", fontsize=9, color=INK)
        style(axis, "From session to order, last 28 days")
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(axis="y", visible=False)
        axis.set_yticks(range(4), list(frame.columns))
        axis.invert_yaxis()
        axis.margins(x=0.1)
        axis.legend(frameon=False, fontsize=9, loc="lower right")

    return figure_markdown(draw, "funnel by channel", width=9)
