"""Charts of lifecycle stages: sizes, the survival curve behind the cut-offs, transitions and their causes.

Belongs here: charts in asset metadata. Does not belong here: charts of cohorts and of the funnel (`cohort_charts`).
"""

from typing import TYPE_CHECKING

import pandas as pd

from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, figure_markdown, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Ordered from before the first order to lost; darker blue is better.
STAGE_COLORS = {
    "prospect": "#c9d3da",
    "new": "#a9c9dd",
    "growing": "#5f9fc4",
    "loyal": "#1f4e79",
    "reactivated": "#7fb8a4",
    "at_risk": "#eeb98a",
    "lost": "#d1603d",
}


def stage_chart(connection: Connection) -> str | None:
    """Draw the number of known customers by stage over all stored snapshots, stacked."""
    frame = connection.frame(
        "select as_of, stage, count(*) as customers from core.stage_states group by all order by as_of"
    )
    if frame.empty:
        return None
    table = frame.pivot(index="as_of", columns="stage", values="customers").fillna(0)
    table = table.reindex(columns=list(STAGE_COLORS), fill_value=0)
    newest = table.index[-1]
    if len(table) == 1:  # an area needs at least two points
        table = pd.concat([table, table.rename(lambda at: at + pd.Timedelta(days=7))])

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        axis.stackplot(
            table.index, table.T.to_numpy(), colors=list(STAGE_COLORS.values()), labels=list(table.columns)
        )
        style(axis, f"Known customers by stage; numbers at as_of {newest:%Y-%m-%d}")
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.margins(x=0)
        handles, labels = axis.get_legend_handles_labels()
        last = [f"{name.replace('_', ' ')}  {int(table[name].iloc[-1]):,}" for name in labels]
        axis.legend(
            handles[::-1], last[::-1], frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5)
        )

    return figure_markdown(draw, "customers by stage", width=9, height=3.8)


def survival_chart(connection: Connection) -> str | None:
    """Draw the share of customers who have ordered again by days since the order, with the cut-offs."""
    frame = connection.frame("""
        select gap_days, 1 - survival as returned, as_of from core.repurchase_survival
        where as_of = (select max(as_of) from core.repurchase_survival) order by gap_days
    """)
    if frame.empty:
        return None
    as_of = pd.Timestamp(frame["as_of"].iloc[0])
    # The view does not exist yet when the curve is built for the first time.
    known = connection.relation_kind("core.lifecycle_cutoffs") is not None
    cutoffs = (
        connection.frame("from core.lifecycle_cutoffs where as_of = ?", [as_of.to_pydatetime()])
        if known
        else pd.DataFrame()
    )

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        axis.step(frame["gap_days"], 100 * frame["returned"], where="post", color=ACCENT, linewidth=2)
        style(
            axis,
            f"Orders that are followed by another order, % (estimate, as_of {as_of:%Y-%m-%d})",
        )
        axis.set_xlabel("days since the order", fontsize=9, color=INK)
        axis.set_xlim(0, max(400, 1.02 * frame["gap_days"].max()))
        axis.set_ylim(0, 100)
        axis.axvline(365, color=PALE, linewidth=1)
        axis.annotate(" one year", (365, 3), fontsize=9, color=INK)
        for row in cutoffs.to_dict("records"):
            for name, column in (("at risk", "active_days"), ("lost", "lost_days")):
                days = row[column]
                axis.axvline(days, color=WARM, linewidth=1, linestyle="--")
                axis.annotate(f" {name} after {days} days", (days, 12), fontsize=9, color=WARM)

    return figure_markdown(draw, "share of order days followed by another order", width=9)


# Few customers change their stage within a week, so the chart compares the ends of a quarter of a year.
_WEEKS_SHOWN = 13


def stages_then_and_now(connection: Connection) -> pd.DataFrame:
    """Return the numbers of customers by stage a quarter of a year ago and now: from_state, to_state, customers.

    Each customer counts once; `absent` is who was not known at one of the two. first, last: the two as_ofs. With a
    shorter history the oldest stored snapshot is compared; with one snapshot there are no rows.
    """
    return connection.frame(
        """
        with newest as (select max(as_of) as last from core.stage_states),
        ends as (
            select newest.last, min(states.as_of) as first
            from newest inner join core.stage_states as states on states.as_of >= newest.last - to_weeks(?)
            group by newest.last
        ),
        before as (select states.* from core.stage_states as states inner join ends on states.as_of = ends.first),
        newer as (select states.* from core.stage_states as states inner join ends on states.as_of = ends.last)
        select coalesce(before.stage, 'absent') as from_state, coalesce(newer.stage, 'absent') as to_state,
            count(*) as customers, any_value(ends.first) as first, any_value(ends.last) as last
        from before full outer join newer on before.customer_id = newer.customer_id cross join ends
        where ends.first < ends.last
        group by all
        """,
        [_WEEKS_SHOWN],
    )


def transition_chart(connection: Connection) -> str | None:
    """Draw a heat map of the stages of customers now, by their stage a quarter of a year ago."""
    frame = stages_then_and_now(connection)
    if frame.empty:
        return None
    names = ["absent", *STAGE_COLORS]
    table = frame.pivot(index="from_state", columns="to_state", values="customers")
    table = table.reindex(index=names, columns=names).fillna(0)
    table = table.loc[table.any(axis=1), table.any(axis=0)]
    moved = table.copy()
    for name in set(moved.index) & set(moved.columns):
        moved.loc[name, name] = float("nan")  # staying is not a transition

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        axis.imshow(
            moved.to_numpy(), cmap="Blues", aspect="auto", vmin=0, vmax=max(1, 1.15 * moved.max().max())
        )
        dark = 0.6 * moved.max().max()
        for y, source in enumerate(table.index):
            for x, target in enumerate(table.columns):
                value = table.loc[source, target]
                color = "#9aa5ad" if source == target else "white" if value > dark else INK
                if value:
                    axis.text(x, y, f"{value:,.0f}", ha="center", va="center", fontsize=9, color=color)
        first, last = frame["first"].iloc[0], frame["last"].iloc[0]
        style(axis, f"Customers by stage, as_of {first:%Y-%m-%d} (rows) and {last:%Y-%m-%d} (columns)")
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        axis.set_xticks(range(len(table.columns)), [name.replace("_", " ") for name in table.columns])
        axis.set_yticks(range(len(table.index)), [name.replace("_", " ") for name in table.index])
        axis.set_xlabel("grey: no change", fontsize=9, color="#9aa5ad", loc="right")

    return figure_markdown(draw, "transitions between stages", width=9, height=3.8)


def move_chart(connection: Connection) -> str | None:
    """Draw the moves between RFM segments at each snapshot, by cause."""
    frame = connection.frame("""
        select as_of, sum(purchases_share) as purchases, sum(time_share) as time, sum(cutoffs_share) as cutoffs,
            sum(late_share) as late
        from marts.segment_moves group by as_of order by as_of
    """)
    if frame.empty:
        return None
    causes = {
        "purchases": ("own purchases", ACCENT),
        "time": ("time passing", PALE),
        "cutoffs": ("cut-offs of the scores moved", "#eeb98a"),
        "late": ("late data", WARM),
    }

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        below = pd.Series(0.0, index=frame.index)
        for column, (label, color) in causes.items():
            axis.bar(frame["as_of"], frame[column], bottom=below, width=6, color=color, label=label)
            below += frame[column]
        style(axis, "Moves between RFM segments from snapshot to snapshot, by cause")
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.set_ylim(0, max(1.0, 1.05 * below.max()))
        axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))

    return figure_markdown(draw, "moves between segments by cause", width=9)
