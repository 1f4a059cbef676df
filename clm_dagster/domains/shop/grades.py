"""Grades of all models: what a test promised, what forecasts achieved, what the naive baseline achieved.

Belongs here: reading marts.model_scorecard, its check and its chart, the table in the terminal. Does not belong here:
the metrics (SQL), the check of churn against its test (the churn domain).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from rich.table import Table
from rich.text import Text

from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.charts import ACCENT, PALE, WARM, figure_markdown, style
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.warehouse import Connection

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORECARD, FEATURES = "marts.model_scorecard", "core.customer_features"
# The metrics that decide about a model -> whether a lower value is better.
DECISIVE = {
    "roc_auc": False,
    "mae": True,
    "day_mase": True,
    "week_mase": True,
    "ndcg_next_best": False,
    "ndcg_discover": False,
    "share_kept": False,
}
_TITLES = {
    "roc_auc": "ranking (AUC)",
    "mae": "mean absolute error",
    "day_mase": "error of days (MASE)",
    "week_mase": "error of weeks (MASE)",
    "ndcg_next_best": "next best (NDCG)",
    "ndcg_discover": "discover (NDCG)",
    "share_kept": "persona kept",
}
# Grades of the last year; the newest of a model is never older than two of its horizons.
_DAYS = 366


@dataclass(frozen=True)
class Grade:
    """The newest grade of a model by one metric. promised and baseline are None where there is none."""

    model: str
    metric: str
    snapshot: str
    as_of: str
    model_name: str
    promised: float | None
    actual: float
    baseline: float | None

    @property
    def is_worse_than_baseline(self) -> bool:
        """Whether the naive baseline would have been better. Never for the baseline itself."""
        if self.baseline is None or self.model_name.endswith("_baseline"):
            return False
        return self.actual > self.baseline if DECISIVE[self.metric] else self.actual < self.baseline


def read_history(connection: Connection) -> pd.DataFrame:
    """Return the graded snapshots of the last year by the decisive metrics, oldest first; empty without a scorecard."""
    columns = ["model", "metric", "as_of", "model_name", "promised", "value", "baseline"]
    if any(connection.relation_kind(name) is None for name in (SCORECARD, FEATURES)):
        return pd.DataFrame(columns=columns)
    # A constant, because the filter then reaches the tables of the view.
    first = connection.scalar(f"select max(as_of) - interval {_DAYS} day from {FEATURES}")
    return connection.frame(
        f"select {', '.join(columns)} from {SCORECARD} where as_of >= ? and value is not null "
        "and metric in (select unnest(?::varchar[])) order by model, metric, as_of",
        [first, list(DECISIVE)],
    )


def newest_grades(history: pd.DataFrame) -> list[Grade]:
    """Return the newest grade of each model and metric. history: result of `read_history`."""
    newest = history.groupby(["model", "metric"], as_index=False).tail(1)
    return [
        Grade(
            model=row["model"],
            metric=row["metric"],
            snapshot=key_of_as_of(row["as_of"]),
            as_of=f"{row['as_of']:%Y-%m-%d}",
            model_name=row["model_name"],
            promised=row["promised"],
            actual=row["value"],
            baseline=row["baseline"],
        )
        for row in newest.astype(object).where(newest.notna(), None).to_dict("records")
    ]


def worse_than_baseline(connection: Connection) -> Finding:
    """No model was worse than its naive baseline at its newest graded snapshot."""
    return Finding(
        [
            f"{grade.model} of {grade.snapshot} (as_of {grade.as_of}): {grade.metric} is {grade.actual:.3f}, "
            f"of the naive baseline {grade.baseline:.3f}"
            for grade in newest_grades(read_history(connection))
            if grade.is_worse_than_baseline
        ]
    )


def grades_chart(connection: Connection) -> str | None:
    """Draw what was promised, achieved, and achieved by the naive baseline, for each model over time."""
    history = read_history(connection)
    if history.empty:
        return None
    shown = [metric for metric in DECISIVE if (history["metric"] == metric).any()]
    columns = min(len(shown), 4)

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(-(-len(shown) // columns), columns, squeeze=False).ravel()
        for axes, metric in zip(panels, shown, strict=False):
            rows = history[history["metric"] == metric]
            for column, colour, name in (
                ("promised", PALE, "promised"),
                ("baseline", WARM, "naive baseline"),
                ("value", ACCENT, "actual"),
            ):
                axes.plot(
                    rows["as_of"],
                    rows[column].astype(float),
                    color=colour,
                    marker="o",
                    markersize=4,
                    label=name,
                )
            better = "lower" if DECISIVE[metric] else "higher"
            style(axes, f"{rows['model'].iloc[0]}\n{_TITLES[metric]}", f"{better} is better")
            axes.margins(y=0.4)
            axes.tick_params(axis="x", rotation=60, labelsize=7)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        panels[0].legend(frameon=False, fontsize=8)

    return figure_markdown(draw, "grades of all models", width=12, height=3.4 * -(-len(shown) // columns))


def render_grades(grades: list[Grade]) -> list[Table | Text]:
    """Return the table of the newest grades; nothing without one."""
    if not grades:
        return []
    table = Table(
        "Grades",
        "snapshot",
        "as_of",
        "metric",
        "promised",
        "actual",
        "naive baseline",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for one in grades:
        figures = [_figure(value) for value in (one.promised, one.actual, one.baseline)]
        style_of = "bold red" if one.is_worse_than_baseline else ""
        table.add_row(one.model, one.snapshot, one.as_of, one.metric, *figures, style=style_of)
    return [Text(), table]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}"
