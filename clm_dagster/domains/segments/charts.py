"""Charts of segment sizes and of their turnover, and the turnover as metadata.

Belongs here: charts and facts in asset metadata. Does not belong here: scores and turnover (SQL).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from clm_dagster.platform.charts import ACCENT, INK, WARM, figure_markdown, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def score_chart(connection: Connection) -> str | None:
    """Draw customers and net revenue of each segment by the exact scores of the newest snapshot."""
    return _segment_chart(connection, "core.rfm_scores")


def segment_chart(connection: Connection) -> str | None:
    """Draw customers and net revenue of each segment in the newest snapshot, by the setting CLM_RFM_CUTOFFS."""
    return _segment_chart(connection, "marts.rfm_segments")


def _segment_chart(connection: Connection, relation: str) -> str | None:
    frame = connection.frame(f"""
        select names.segment, count(scores.customer_id) as customers, sum(scores.monetary)::double as revenue,
            max(scores.as_of) as as_of
        from staging.rfm_segment_names as names
        left join {relation} as scores
            on names.segment = scores.segment and scores.as_of = (select max(as_of) from {relation})
        group by names.segment, names.position order by names.position
    """)
    if not frame["customers"].sum():
        return None
    # Only a snapshot in which all customers tie has this one.
    frame = frame[(frame["segment"] != "undetermined") | (frame["customers"] > 0)].reset_index(drop=True)
    unit, of_unit = (1e6, "millions") if frame["revenue"].max() >= 1e6 else (1e3, "thousands")
    as_of = pd.Timestamp(frame["as_of"].max())

    def draw(figure: "Figure") -> None:
        axes = figure.subplots(1, 2, sharey=True)
        places = range(len(frame))
        for axis, column, named, color in (
            (axes[0], "customers", "Customers", ACCENT),
            (axes[1], "revenue", f"Net revenue in {of_unit}", WARM),
        ):
            values = frame[column].fillna(0) / (unit if column == "revenue" else 1)
            axis.barh(places, values, color=color)
            style(axis, f"{named}, as_of {as_of:%Y-%m-%d}")
            axis.grid(axis="x", color="#e6e9ec", linewidth=0.8)
            axis.grid(axis="y", visible=False)
            for place, value in zip(places, values, strict=True):
                text = f" {value:,.{2 if unit == 1e6 else 1}f}" if column == "revenue" else f" {value:,.0f}"
                axis.text(value, place, text, va="center", fontsize=8, color=INK)
            axis.margins(x=0.18)
            axis.locator_params(axis="x", nbins=5)
        axes[0].set_yticks(list(places), [name.replace("_", " ") for name in frame["segment"]])
        axes[0].invert_yaxis()

    return figure_markdown(draw, "segments by customers and revenue", width=9, height=3.8)


def turnover_chart(connection: Connection) -> str | None:
    """Draw the share of customers who change their segment in each snapshot, by weekly and by held cut-offs."""
    frame = connection.frame(
        "select as_of, weekly_turnover, held_turnover, is_new_held from marts.segment_turnover order by as_of"
    )
    if frame.empty:
        return None

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        for column, name, color in (
            ("weekly_turnover", "cut-offs of each week", WARM),
            ("held_turnover", "cut-offs that hold between trainings", ACCENT),
        ):
            axis.plot(frame["as_of"], 100 * frame[column], color=color, marker="o", markersize=3, label=name)
        new = frame[frame["is_new_held"]]
        axis.scatter(
            new["as_of"],
            100 * new["held_turnover"],
            s=60,
            facecolors="none",
            edgecolors=INK,
            label="new cut-offs begin to hold",
        )
        style(axis, "Customers with another RFM segment than in the previous snapshot, %")
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))

    return figure_markdown(draw, "turnover of segments", width=9)


def turnover_facts(connection: Connection) -> Mapping[str, Any]:
    """Return the median and the largest turnover by both kinds of cut-offs; nothing before the second snapshot."""
    # The view does not exist yet when segments are built for the first time.
    if connection.relation_kind("marts.segment_turnover") is None:
        return {}
    (row,) = connection.frame("""
        select count(*) as snapshots, median(weekly_turnover) as weekly, max(weekly_turnover) as weekly_max,
            max_by(as_of, weekly_turnover) as weekly_at, median(held_turnover) as held,
            max(held_turnover) as held_max, max_by(as_of, held_turnover) as held_at, max(held_as_of) as since
        from marts.segment_turnover
    """).to_dict("records")
    if not row["snapshots"]:
        return {}
    return {
        f"turnover_{kind}": f"median {row[kind]:.1%}, largest {row[f'{kind}_max']:.1%} at {row[f'{kind}_at']:%Y-%m-%d}"
        for kind in ("weekly", "held")
    } | {"cutoffs_hold_since": f"{row['since']:%Y-%m-%d}"}
