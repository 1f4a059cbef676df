"""Plots of an evaluation: one page for each candidate, one for all candidates, one for the base rate.

Belongs here: pure drawing. Does not belong here: the plotted numbers (`evaluate`, `diagnostics`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from clm_dagster.platform.charts import ACCENT, BEHIND, INK, PALE, WARM, style
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
    """The content of a candidate's page.

    labels: n values of 0 or 1 on the test snapshot. uncalibrated, calibrated: the candidate's probabilities.
    importance, curve: tables of `diagnostics`; None if the candidate has none.
    """

    name: str
    labels: np.ndarray
    uncalibrated: np.ndarray
    calibrated: np.ndarray
    threshold: float
    importance: pd.DataFrame | None = None
    curve: pd.DataFrame | None = None


def candidate_page(diagnostics: CandidateDiagnostics) -> Draw:
    """Draw reliability, ROC, precision-recall, lift, confusion, importance and learning curve on one page."""

    def draw(figure: "Figure") -> None:
        axes = figure.subplots(2, 4).ravel()
        # Fixed margins: a layout engine would draw everything several times.
        figure.subplots_adjust(left=0.06, right=0.985, top=0.87, bottom=0.07, wspace=0.48, hspace=0.42)
        _reliability(axes[0], diagnostics)
        _curves(axes[1], axes[2], diagnostics)
        _lift(axes[3], diagnostics)
        _confusion(axes[4], diagnostics)
        _importance(axes[5], diagnostics.importance)
        _learning(axes[6], axes[7], diagnostics.curve)
        figure.suptitle(f"{diagnostics.name}, on the test snapshot", color=INK, fontsize=12)

    return draw


def _reliability(axes: "Axes", diagnostics: CandidateDiagnostics) -> None:
    axes.plot([0, 1], [0, 1], color="#c9d3da", linewidth=1)
    for label, probabilities, color in (
        ("as fitted", diagnostics.uncalibrated, PALE),
        ("calibrated", diagnostics.calibrated, ACCENT),
    ):
        table = reliability(diagnostics.labels, probabilities)
        axes.plot(table.predicted, table.observed, marker="o", markersize=4, color=color, label=label)
    axes.legend(frameon=False, fontsize=8)
    style(axes, "Calibration", "actual churn rate")
    axes.set_xlabel("predicted churn rate", fontsize=9, color=INK)


def _curves(roc: "Axes", recall: "Axes", diagnostics: CandidateDiagnostics) -> None:
    false, true, _ = roc_curve(diagnostics.labels, diagnostics.calibrated)
    roc.plot([0, 1], [0, 1], color="#c9d3da", linewidth=1)
    roc.plot(false, true, color=ACCENT)
    style(roc, "ROC", "true positive rate")
    precision, recalled, _ = precision_recall_curve(diagnostics.labels, diagnostics.calibrated)
    recall.axhline(diagnostics.labels.mean(), color="#c9d3da", linewidth=1)
    recall.plot(recalled, precision, color=ACCENT)
    style(recall, "Precision by recall", "precision")


def _lift(axes: "Axes", diagnostics: CandidateDiagnostics) -> None:
    axes.axhline(1, color="#c9d3da", linewidth=1)
    axes.plot(
        _SHARES,
        [lift_at(diagnostics.labels, diagnostics.calibrated, share) for share in _SHARES],
        color=ACCENT,
    )
    style(axes, "Lift", "multiple of the base rate")
    axes.set_xlabel("share of customers, riskiest first", fontsize=9, color=INK)


def _confusion(axes: "Axes", diagnostics: CandidateDiagnostics) -> None:
    table = confusion_matrix(
        diagnostics.labels, diagnostics.calibrated >= diagnostics.threshold, labels=[0, 1]
    )
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1.4 * table.max())
    for (row, column), count in np.ndenumerate(table):
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=INK, fontsize=11)
    style(axes, f"Forecast by outcome, from {diagnostics.threshold:.2f}", size=10)
    axes.grid(visible=False)
    axes.set_xticks([0, 1], ["will stay", "will churn"])
    axes.set_yticks([0, 1], ["stayed", "churned"], rotation=90, va="center")


def _importance(axes: "Axes", table: pd.DataFrame | None) -> None:
    if table is None:
        axes.set_axis_off()
        return
    style(axes, "AUC lost by shuffling")
    top = table.head(_FEATURES_SHOWN).iloc[::-1]
    errors = [top["importance"] - top["low"], top["high"] - top["importance"]]
    axes.barh(top["feature"], top["importance"], xerr=errors, color=PALE, ecolor=INK)
    axes.tick_params(axis="y", labelsize=6)
    axes.locator_params(axis="x", nbins=4)


def _learning(auc: "Axes", loss: "Axes", table: pd.DataFrame | None) -> None:
    for axes, column, title in ((auc, "roc_auc", "AUC"), (loss, "log_loss", "Log loss")):
        if table is None:
            axes.set_axis_off()
        else:
            style(axes, f"{title} by snapshots", size=10)
            axes.locator_params(axis="x", integer=True, nbins=5)
            axes.plot(table["snapshots"], table[column], marker="o", markersize=4, color=ACCENT)


def level_gap(result: "EvaluationResult") -> float:
    """Return the mean calibrated probability less the actual churn rate on the test snapshot."""
    best = result.results[result.winner]
    return best.test["mean_probability"] - best.test["base_rate"]


def calibration_note(result: "EvaluationResult") -> str:
    """Return why calibrated probabilities are off, and for how many candidates those as fitted are nearer."""
    best, gap = result.results[result.winner], level_gap(result)
    worse = [
        one.name
        for one in result.results.values()
        if one.test["calibration_error"] > one.uncalibrated["calibration_error"]
    ]
    text = (
        "Calibration sets the mean probability of every candidate to the churn rate that was forecast before the test: "
        f"{best.test['mean_probability']:.1%}; the actual rate was {best.test['base_rate']:.1%}. This difference of "
        f"{100 * abs(gap):.1f} points is in the calibration error (ECE) of every candidate."
    )
    if not worse:
        return text
    return (
        f"{text} For {len(worse)} of {len(result.results)} candidates the ECE is larger than before calibration, "
        "because the rate of their training snapshots happened to be nearer than the forecast."
    )


def evaluation_page(result: "EvaluationResult") -> Draw:
    """Draw AUC and calibration error of all candidates on the test snapshot, uncalibrated and calibrated.

    A line marks the error of the forecast churn rate: no calibrated candidate can be below it.
    """
    results = sorted(result.results.values(), key=lambda one: one.validation["log_loss"], reverse=True)
    names = [one.name.replace("_", " ") for one in results]
    places = np.arange(len(names))
    level_error = abs(level_gap(result))

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        colors = [WARM if one.name == result.winner else ACCENT for one in results]
        base = result.results["recency"].test["roc_auc"] if "recency" in result.results else np.nan
        left.axvline(base, color="#c9d3da", linewidth=1)
        left.scatter([one.test["roc_auc"] for one in results], places, c=colors, s=28, zorder=3)
        left.set_yticks(places, names)
        style(left, "Ranking: AUC, higher is better")
        left.set_xlabel("line: days since the last order alone", fontsize=8, color=INK)
        right.scatter(
            [one.uncalibrated["calibration_error"] for one in results],
            places,
            c=PALE,
            s=28,
            label="as fitted",
            zorder=3,
        )
        right.scatter(
            [one.test["calibration_error"] for one in results],
            places,
            c=colors,
            s=28,
            label="calibrated",
            zorder=4,
        )
        right.axvline(level_error, color="#c9d3da", linewidth=1)
        right.set_xlabel("line: error of the forecast churn rate, part of each", fontsize=8, color=INK)
        right.set_xlim(left=0)
        right.legend(frameon=False, fontsize=8)
        style(right, "Calibration error, lower is better")
        for axes in (left, right):
            axes.tick_params(axis="y", labelsize=8)

    return draw


def base_rate_page(result: "EvaluationResult") -> Draw:
    """Draw the churn rate that each method forecasts at the test snapshot, and the actual rate."""
    base_rate = result.base_rate
    actual = float(result.test_probabilities["churned"].mean())
    methods = list(base_rate.rates)

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        colors = [WARM if method == base_rate.method else PALE for method in methods]
        axes.barh(methods, [base_rate.rates[method] for method in methods], color=colors, height=0.6)
        axes.axvline(actual, color=INK, linewidth=1)
        style(axes, f"Forecast churn rate by method, error in brackets; chosen: {base_rate.method}")
        axes.set_xlabel(f"line: actual rate {actual:.3f}; errors in log-odds", fontsize=8, color=INK)
        for place, method in enumerate(methods):
            error = abs(logit(base_rate.rates[method]) - logit(actual))
            axes.text(
                base_rate.rates[method],
                place,
                f" {base_rate.rates[method]:.3f} ({error:.2f})",
                va="center",
                fontsize=8,
                bbox=BEHIND,
            )
        axes.set_xlim(0, 1)

    return draw
