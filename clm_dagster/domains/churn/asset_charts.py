"""Charts of churn over time: grades beside promises, drift of features, groups of customers."""

from typing import TYPE_CHECKING

import pandas as pd

from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, figure_markdown, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = {
    "roc_auc": "AUC",
    "calibration_error": "Calibration error",
    "base_rate": "Churn rate",
    "lift_at_10": "Lift at 10%",
}
_SNAPSHOTS_SHOWN, _GROUPS_SHOWN = 26, 8


def scorecard_chart(connection: Connection) -> str | None:
    """Grades of every mature score run over time, and what was promised."""
    frame = connection.frame(
        "select as_of, metric, value, promised from marts.model_scorecard where value is not null order by as_of"
    )
    if frame.empty:
        return None

    def draw(figure: "Figure") -> None:
        for axes, (metric, title) in zip(
            figure.subplots(1, len(_SHOWN)).ravel(), _SHOWN.items(), strict=True
        ):
            rows = frame[frame["metric"] == metric]
            axes.plot(
                rows["as_of"],
                rows["promised"],
                color=PALE,
                marker="o",
                markersize=3,
                label="promised by the test",
            )
            axes.plot(rows["as_of"], rows["value"], color=ACCENT, marker="o", markersize=4, label="came true")
            style(axes, title)
            axes.margins(y=0.4)
            axes.tick_params(axis="x", rotation=60, labelsize=7)
        figure.axes[0].legend(frameon=False, fontsize=8)

    return figure_markdown(draw, "grades of past scores", width=12, height=3.4)


def drift_chart(frame: pd.DataFrame) -> str | None:
    """Stability index of every feature at each of the newest snapshots. frame: as_of, feature, population_stability."""
    if frame.empty:
        return None
    table = frame.pivot(index="feature", columns="as_of", values="population_stability")
    table = table[table.columns[-_SNAPSHOTS_SHOWN:]]
    table = table.loc[table.iloc[:, -1].sort_values(ascending=False).index]

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        image = axes.imshow(table.to_numpy(float), cmap="OrRd", aspect="auto", vmin=0, vmax=0.5)
        axes.set_yticks(range(len(table)), list(table.index))
        every = max(1, len(table.columns) // 8)
        shown = list(range(len(table.columns)))[::-every][::-1]
        axes.set_xticks(shown, [f"{table.columns[place]:%Y-%m-%d}" for place in shown])
        style(axes, "Population stability index since training: .1 warns, .25 has moved")
        axes.grid(visible=False)
        axes.tick_params(labelsize=7)
        figure.colorbar(image, ax=axes, shrink=0.6)

    return figure_markdown(draw, "drift of features", width=9, height=1.4 + 0.2 * len(table))


def fairness_chart(connection: Connection) -> str | None:
    """Calibration gap of every group under the newest model, with its interval."""
    frame = connection.frame(
        """
        select attribute || ': ' || customer_group as name, customers, calibration_gap, calibration_gap_low,
            calibration_gap_high
        from marts.churn_fairness
        where calibration_gap is not null and as_of = (select max(as_of) from marts.churn_fairness)
        qualify row_number() over (partition by attribute order by customers desc, customer_group) <= ?
        order by attribute, customers desc, customer_group
        """,
        [_GROUPS_SHOWN],
    )
    if frame.empty:
        return None
    rows = frame.iloc[::-1].reset_index(drop=True)

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        gap = rows["calibration_gap"]
        errors = [gap - rows["calibration_gap_low"], rows["calibration_gap_high"] - gap]
        unfair = (rows["calibration_gap_low"] > 0) | (rows["calibration_gap_high"] < 0)
        axes.axvline(0, color="#c9d3da", linewidth=1)
        axes.errorbar(gap, rows.index, xerr=errors, fmt="none", ecolor=INK, elinewidth=1)
        axes.scatter(gap, rows.index, c=[WARM if found else ACCENT for found in unfair], s=28, zorder=3)
        names = [
            f"{row.name_} ({row.customers:,})" for row in rows.rename(columns={"name": "name_"}).itertuples()
        ]
        axes.set_yticks(rows.index, names)
        axes.margins(y=0.15)
        style(axes, "Churn probability said less share that came, by group")
        axes.tick_params(axis="y", labelsize=8)

    return figure_markdown(draw, "fairness of churn scores", width=8, height=1.4 + 0.25 * len(rows))
