"""Charts of customer value assets: expected against actual revenue over time, by tenths and by segment.

Belongs here: charts in asset metadata. Does not belong here: plots of an evaluation (`mlflow_plots`).
"""

from typing import TYPE_CHECKING

from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, figure_markdown, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 6


def tracking_chart(connection: Connection) -> str | None:
    """Draw cumulative expected and actual revenue by week after as_of, for a selection of scored snapshots."""
    frame = connection.frame(
        """
        select as_of, week, expected_revenue, actual_revenue::double as actual_revenue from marts.value_tracking
        where as_of in (select as_of from marts.value_tracking where actual_revenue is not null)
        order by as_of, week
        """
    )
    days = sorted(frame["as_of"].unique())
    if not days:
        return None
    step = max(1, -(-len(days) // _SHOWN))
    chosen = days[::-1][::step][::-1]

    def draw(figure: "Figure") -> None:
        for axes, day in zip(
            figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0], chosen, strict=True
        ):
            rows = frame[frame["as_of"] == day]
            axes.plot(
                rows["week"], rows["expected_revenue"], color=PALE, marker="o", markersize=3, label="expected"
            )
            axes.plot(
                rows["week"], rows["actual_revenue"], color=ACCENT, marker="o", markersize=3, label="actual"
            )
            style(axes, f"as_of {day:%Y-%m-%d}")
            axes.set_ylim(bottom=0)
            axes.locator_params(axis="x", integer=True, nbins=5)
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.set_xlabel("weeks after as_of", fontsize=8, color=INK)
        figure.axes[0].legend(frameon=False, fontsize=8)
        figure.axes[0].set_ylabel("cumulative revenue", fontsize=9, color=INK)

    return figure_markdown(
        draw, "expected against actual revenue", width=max(4.5, 2.2 * len(chosen) + 1), height=3.2
    )


def decile_chart(connection: Connection) -> str | None:
    """Draw expected and actual revenue by tenths, at the newest snapshot whose horizon has ended."""
    frame = connection.frame(
        """
        select as_of, decile, expected_revenue, actual_revenue from marts.value_deciles
        where as_of = (select max(as_of) from marts.value_deciles) order by decile
        """
    )
    if frame.empty:
        return None

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.bar(frame["decile"] - 0.2, frame["actual_revenue"], 0.4, color=PALE, label="actual")
        axes.bar(frame["decile"] + 0.2, frame["expected_revenue"], 0.4, color=ACCENT, label="expected")
        axes.legend(frameon=False, fontsize=8)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        style(
            axes,
            f"Revenue by tenth of customers, as_of {frame['as_of'].iloc[0]:%Y-%m-%d}",
        )
        axes.set_xticks(frame["decile"])
        axes.set_xlabel("tenth of customers, highest expected revenue first", fontsize=9, color=INK)

    return figure_markdown(draw, "revenue by tenths", width=7, height=3.2)


def segment_value_chart(connection: Connection) -> str | None:
    """Draw expected revenue and number of customers of each segment at the newest snapshot."""
    frame = connection.frame(
        """
        select as_of, segment, customers, expected_revenue, expected_share from marts.value_by_segment
        where as_of = (select max(as_of) from marts.value_by_segment) order by expected_revenue
        """
    )
    if frame.empty:
        return None

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.barh(
            [name.replace("_", " ") for name in frame["segment"]],
            frame["expected_revenue"],
            color=WARM,
            height=0.65,
        )
        rows = zip(frame["expected_revenue"], frame["expected_share"], frame["customers"], strict=True)
        for place, (revenue, share, customers) in enumerate(rows):
            text = f" {share:.0%}, {customers:,} customers"
            axes.text(revenue, place, text, va="center", fontsize=8, color=INK)
        axes.margins(x=0.25)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        style(axes, f"Expected revenue by segment, as_of {frame['as_of'].iloc[0]:%Y-%m-%d}")

    return figure_markdown(draw, "expected revenue by segment", width=8, height=1.2 + 0.28 * len(frame))
