"""Pictures of a contest: one page for each candidate, one for the contest, one for the level. Pure drawing.

Belongs here: figures. Does not: the numbers in them (`contest`, `diagnostics`, `model`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, style
from clm_dagster.statistics.evaluation import lift_at, reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from clm_dagster.domains.churn.evaluate import EvaluationResult


Draw = Callable[["Figure"], None]
_SHARES = np.linspace(0.05, 1.0, 20)
_FEATURES_SHOWN = 12


@dataclass(frozen=True)
class CandidateDiagnostics:
    """What a candidate's page shows.

    labels: n of 0 or 1 on the test snapshot; before, after: its probabilities without and with calibration;
    importance, curve: tables of `diagnostics`, None where a candidate has none of its own.
    """

    name: str
    labels: np.ndarray
    before: np.ndarray
    after: np.ndarray
    threshold: float
    importance: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None


def candidate_page(looks: CandidateDiagnostics) -> Draw:
    """Reliability, ROC, precision-recall, lift, confusion, importance and learning curve on one page."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots(2, 4).ravel()
        figure.subplots_adjust(left=0.05, right=0.98, top=0.9, bottom=0.08, wspace=0.32, hspace=0.36)
        _reliability(axes[0], looks)
        _curves(axes[1], axes[2], looks)
        _lift(axes[3], looks)
        _confusion(axes[4], looks)
        _importance(axes[5], looks.importance)
        _learning(axes[6], axes[7], looks.curve)
        figure.suptitle(f"{looks.name}, on the test snapshot", color=INK, fontsize=12)

    return draw


def _reliability(axes: "Axes", looks: CandidateDiagnostics) -> None:
    axes.plot([0, 1], [0, 1], color="#c9d3da", linewidth=1)
    for label, probabilities, color in (
        ("as fitted", looks.before, PALE),
        ("calibrated", looks.after, ACCENT),
    ):
        table = reliability(looks.labels, probabilities)
        axes.plot(table.predicted, table.observed, marker="o", markersize=4, color=color, label=label)
    axes.legend(frameon=False, fontsize=8)
    style(axes, "Reliability", "share that churned")
    axes.set_xlabel("said", fontsize=9, color=INK)


def _curves(roc: "Axes", recall: "Axes", looks: CandidateDiagnostics) -> None:
    false, true, _ = roc_curve(looks.labels, looks.after)
    roc.plot([0, 1], [0, 1], color="#c9d3da", linewidth=1)
    roc.plot(false, true, color=ACCENT)
    style(roc, "ROC", "true positive rate")
    precision, recalled, _ = precision_recall_curve(looks.labels, looks.after)
    recall.axhline(looks.labels.mean(), color="#c9d3da", linewidth=1)
    recall.plot(recalled, precision, color=ACCENT)
    style(recall, "Precision and recall", "precision")


def _lift(axes: "Axes", looks: CandidateDiagnostics) -> None:
    axes.axhline(1, color="#c9d3da", linewidth=1)
    axes.plot(_SHARES, [lift_at(looks.labels, looks.after, share) for share in _SHARES], color=ACCENT)
    style(axes, "Lift", "times the shop's rate")
    axes.set_xlabel("share of customers, riskiest first", fontsize=9, color=INK)


def _confusion(axes: "Axes", looks: CandidateDiagnostics) -> None:
    table = confusion_matrix(looks.labels, looks.after >= looks.threshold, labels=[0, 1])
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1.4 * table.max())
    for (row, column), count in np.ndenumerate(table):
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=INK, fontsize=11)
    style(axes, f"Confusion at {looks.threshold:.2f}")
    axes.grid(visible=False)
    axes.set_xticks([0, 1], ["said: stays", "said: churns"])
    axes.set_yticks([0, 1], ["stayed", "churned"])


def _importance(axes: "Axes", table: pd.DataFrame | None) -> None:
    style(axes, "Loss of AUC when shuffled")
    if table is None:
        axes.set_axis_off()
        return
    top = table.head(_FEATURES_SHOWN).iloc[::-1]
    errors = [top["importance"] - top["low"], top["high"] - top["importance"]]
    axes.barh(top["feature"], top["importance"], xerr=errors, color=PALE, ecolor=INK)
    axes.tick_params(axis="y", labelsize=7)


def _learning(auc: "Axes", loss: "Axes", table: pd.DataFrame | None) -> None:
    for axes, column, title in ((auc, "roc_auc", "AUC"), (loss, "log_loss", "Log loss")):
        style(axes, f"{title} by training snapshots")
        if table is None:
            axes.set_axis_off()
        else:
            axes.plot(table["snapshots"], table[column], marker="o", markersize=4, color=ACCENT)


def evaluation_page(result: "EvaluationResult") -> Draw:
    """All candidates: AUC and calibration error on the test snapshot, before and after calibration."""
    results = sorted(result.results.values(), key=lambda s: s.validation["log_loss"], reverse=True)
    names = [s.name.replace("_", " ") for s in results]
    places = np.arange(len(names))

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        colors = [WARM if s.name == result.winner else ACCENT for s in results]
        base = result.results["recency"].test["roc_auc"] if "recency" in result.results else np.nan
        left.axvline(base, color="#c9d3da", linewidth=1)
        left.scatter([s.test["roc_auc"] for s in results], places, c=colors, s=28, zorder=3)
        left.set_yticks(places, names)
        style(left, "AUC; the line is recency alone")
        right.scatter(
            [s.before["calibration_error"] for s in results],
            places,
            c=PALE,
            s=28,
            label="as fitted",
            zorder=3,
        )
        right.scatter(
            [s.test["calibration_error"] for s in results],
            places,
            c=colors,
            s=28,
            label="calibrated",
            zorder=4,
        )
        right.set_xlim(left=0)
        right.legend(frameon=False, fontsize=8)
        style(right, "Calibration error")
        for axes in (left, right):
            axes.tick_params(axis="y", labelsize=8)

    return draw


def level_page(result: "EvaluationResult") -> Draw:
    """The churn rate that each way would have forecast at the test snapshot, beside what came."""
    level = result.level
    actual = float(result.test_probabilities["churned"].mean())
    ways = list(level.rates)

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        colors = [WARM if way == level.method else PALE for way in ways]
        axes.barh(ways, [level.rates[way] for way in ways], color=colors, height=0.6)
        axes.axvline(actual, color=INK, linewidth=1)
        style(axes, f"Churn rate as each way forecasts it; chosen {level.method}; came {actual:.3f}")
        for place, way in enumerate(ways):
            error = abs(logit(level.rates[way]) - logit(actual))
            axes.text(
                level.rates[way], place, f" {level.rates[way]:.3f} ({error:.2f})", va="center", fontsize=8
            )
        axes.set_xlim(0, 1)

    return draw
