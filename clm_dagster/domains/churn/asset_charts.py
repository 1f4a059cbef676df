"""Charts of churn assets: metrics of past scores, drift, fairness across groups.

Belongs here: charts in asset metadata. Does not belong here: plots of an evaluation (`mlflow_plots`).
"""

from typing import TYPE_CHECKING

import pandas as pd

from clm_dagster.domains.churn.names import ALL_FEATURES
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, figure_markdown, label, style
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = {
    "roc_auc": "Ranking (AUC)",
    "calibration_error": "Calibration error",
    "base_rate": "Churn rate",
    "lift_at_10": "Churn of the riskiest 10%,\ntimes the mean",
}
_SNAPSHOTS_SHOWN, _GROUPS_SHOWN = 26, 8


def scorecard_chart(connection: Connection) -> str | None:
    """Draw the metrics of all mature scores over time, those of their model's test, and those of recency alone."""
    frame = connection.frame(
        "select as_of, metric, value, promised, baseline from marts.churn_scorecard where value is not null "
        "order by as_of"
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
                label="in the model's test",
            )
            axes.plot(
                rows["as_of"],
                rows["baseline"],
                color=WARM,
                marker="o",
                markersize=3,
                label="days since last order alone",
            )
            axes.plot(rows["as_of"], rows["value"], color=ACCENT, marker="o", markersize=4, label="actual")
            style(axes, title)
            axes.margins(y=0.4)
            axes.tick_params(axis="x", rotation=60, labelsize=7)
        figure.axes[0].legend(frameon=False, fontsize=8)

    return figure_markdown(draw, "grades of past scores", width=12, height=3.4)


def drift_chart(frame: pd.DataFrame, warn: float, fail: float) -> str | None:
    """Draw the effect of drift on scores since the model's test, by topic, at the newest snapshots.

    frame: as_of, feature, topic, score_effect, score_effect_at_test. warn, fail: the thresholds, as probabilities.
    """
    if frame.empty:
        return None
    # Rows for all features together are named after what they measure.
    names = frame["topic"].where(frame["topic"] != ALL_FEATURES, frame["feature"])
    points = 100 * (frame["score_effect"] - frame["score_effect_at_test"]).clip(lower=0)
    table = frame.assign(name=names, points=points).pivot_table(
        index="name", columns="as_of", values="points", aggfunc="max"
    )
    table = table[table.columns[-_SNAPSHOTS_SHOWN:]]
    table = table.loc[table.iloc[:, -1].sort_values(ascending=False, kind="stable").index]

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        image = axes.imshow(table.to_numpy(float), cmap="OrRd", aspect="auto", vmin=0, vmax=100 * fail)
        axes.set_yticks(range(len(table)), [name.replace("_", " ") for name in table.index])
        every = max(1, len(table.columns) // 8)
        shown = list(range(len(table.columns)))[::-every][::-1]
        axes.set_xticks(shown, [f"{table.columns[place]:%Y-%m-%d}" for place in shown])
        style(
            axes,
            "Change of churn probabilities by drift since the model's test, in points",
        )
        axes.set_xlabel(
            f"as_of; a check warns from {100 * warn:g} points and fails from {100 * fail:g}",
            fontsize=8,
            color=INK,
        )
        axes.grid(visible=False)
        axes.tick_params(labelsize=7)
        figure.colorbar(image, ax=axes, shrink=0.6).ax.tick_params(labelsize=8, colors=INK)

    return figure_markdown(draw, "feature drift", width=9, height=1.4 + 0.2 * len(table))


def fairness_chart(connection: Connection) -> str | None:
    """Draw the calibration gap of every group under the newest model, with its interval."""
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
        axes.scatter(
            gap, rows.index, c=[WARM if is_unfair else ACCENT for is_unfair in unfair], s=28, zorder=3
        )
        names = [
            f"{label(row.name_)} ({row.customers:,})"
            for row in rows.rename(columns={"name": "name_"}).itertuples()
        ]
        axes.set_yticks(rows.index, names)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        style(axes, "Mean churn probability less actual churn rate (red: clearly not 0)")
        axes.tick_params(axis="y", labelsize=8)

    return figure_markdown(draw, "fairness of churn scores", width=8, height=1.4 + 0.25 * len(rows))
