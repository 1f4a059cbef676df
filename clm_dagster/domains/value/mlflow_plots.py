"""Plots of an evaluation: one page for each candidate, one for all candidates, one for the level.

Belongs here: pure drawing. Does not belong here: the plotted numbers (`metrics`, `evaluate`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clm_dagster.domains.value.metrics import deciles
from clm_dagster.domains.value.names import BASELINES
from clm_dagster.platform.charts import ACCENT, BEHIND, INK, PALE, WARM, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clm_dagster.domains.value.evaluate import EvaluationResult

Draw = Callable[["Figure"], None]


def candidate_page(name: str, actual: np.ndarray, predicted: np.ndarray) -> Draw:
    """Draw means by tenths of the prediction, the cumulative revenue share, and actual against predicted amounts."""
    table = deciles(actual, predicted)

    def draw(figure: "Figure") -> None:
        left, middle, right = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.06, right=0.98, top=0.82, bottom=0.17, wspace=0.25)
        left.bar(table["decile"] - 0.2, table["actual_mean"], 0.4, color=PALE, label="actual")
        left.bar(table["decile"] + 0.2, table["predicted_mean"], 0.4, color=ACCENT, label="predicted")
        left.legend(frameon=False, fontsize=8)
        style(left, "Mean revenue by decile")
        left.set_xlabel("decile of the prediction, highest first", fontsize=9, color=INK)
        shares = np.linspace(0, 1, len(actual) + 1)
        for order, color, label in (
            (np.argsort(-actual, kind="stable"), PALE, "by actual amount"),
            (np.argsort(-predicted, kind="stable"), ACCENT, "by predicted amount"),
        ):
            middle.plot(
                shares,
                np.concatenate([[0], np.cumsum(actual[order]) / actual.sum()]),
                color=color,
                label=label,
            )
        middle.legend(frameon=False, fontsize=8)
        style(middle, "Cumulative share of revenue")
        middle.set_xlabel("share of customers, highest amounts first", fontsize=9, color=INK)
        sample = np.sort(np.random.default_rng(0).permutation(len(actual))[:3000])
        right.scatter(
            np.log1p(predicted[sample]), np.log1p(np.maximum(actual[sample], 0)), s=4, color=ACCENT, alpha=0.3
        )
        top = max(np.log1p(predicted).max(), 1)
        right.plot([0, top], [0, top], color="#c9d3da", linewidth=1)
        style(right, "Actual by predicted spend, ln(1 + x)")
        right.set_xlabel("predicted", fontsize=9, color=INK)
        right.set_ylabel("actual", fontsize=9, color=INK)
        figure.suptitle(f"{name}, on the test snapshot", color=INK, fontsize=12)

    return draw


def evaluation_page(result: "EvaluationResult") -> Draw:
    """Draw MAE, bias and revenue capture of all candidates."""
    results = sorted(result.results.values(), key=lambda one: one.score, reverse=True)
    places = np.arange(len(results))
    colors = [
        WARM if one.name == result.winner else INK if one.name in BASELINES else ACCENT for one in results
    ]

    def draw(figure: "Figure") -> None:
        left, middle, right = figure.subplots(1, 3, sharey=True)
        left.scatter([one.test["mae"] for one in results], places, c=colors, s=28)
        left.set_yticks(places, [one.name.replace("_", " ") for one in results])
        style(left, "Mean absolute error", size=10)
        left.set_xlabel("per customer; lower is better", fontsize=8, color=INK)
        middle.axvline(0, color="#c9d3da", linewidth=1)
        middle.scatter(
            [one.unscaled["bias"] for one in results], places, c=PALE, s=28, label="constant purchase rate"
        )
        middle.scatter(
            [one.test["bias"] for one in results],
            places,
            c=colors,
            s=28,
            label="scaled to the forecast level",
        )
        middle.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.06))
        style(middle, "Error of the sum, 0 is best", size=10)
        right.axvline(results[0].test["best_catch"], color="#c9d3da", linewidth=1)
        right.scatter([one.test["catch"] for one in results], places, c=colors, s=28)
        style(right, "Share of revenue found", size=10)
        right.set_xlabel("line: the largest share possible", fontsize=8, color=INK)
        for axes in (left, middle, right):
            axes.tick_params(axis="y", labelsize=8)

    return draw


def level_page(result: "EvaluationResult") -> Draw:
    """Draw the level that each method forecasts at the test snapshot, and the actual level."""
    level = result.level
    methods = list(level.factors)
    winner = result.results[result.winner]
    # The bias relates the prediction at the forecast level to the actual sum.
    actual = level.factor / (1 + winner.test["bias"])

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        colors = [WARM if method == level.method else PALE for method in methods]
        axes.barh(methods, [level.factors[method] for method in methods], color=colors, height=0.6)
        axes.axvline(actual, color=INK, linewidth=1)
        style(
            axes, f"Factor on all spend by method; chosen: {level.method}; line: actual, about {actual:.2f}"
        )
        for place, method in enumerate(methods):
            axes.text(
                level.factors[method],
                place,
                f" {level.factors[method]:.2f}",
                va="center",
                fontsize=8,
                bbox=BEHIND,
            )

    return draw
