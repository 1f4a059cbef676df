"""Pictures of a value contest: one page for each candidate, one for the contest, one for the level. Pure drawing.

Belongs here: figures. Does not: the numbers in them (`metrics`, `model`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clm_dagster.domains.value.gates import BASELINES
from clm_dagster.domains.value.metrics import deciles
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clm_dagster.domains.value.evaluate import EvaluationResult

Draw = Callable[["Figure"], None]


def candidate_page(name: str, actual: np.ndarray, said: np.ndarray) -> Draw:
    """Sums by tenths of the prediction, the share of revenue that the best of them bring, said against came."""
    table = deciles(actual, said)

    def draw(figure: "Figure") -> None:
        left, middle, right = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.06, right=0.98, top=0.84, bottom=0.13, wspace=0.25)
        left.bar(table["decile"] - 0.2, table["actual_mean"], 0.4, color=PALE, label="came")
        left.bar(table["decile"] + 0.2, table["predicted_mean"], 0.4, color=ACCENT, label="said")
        left.legend(frameon=False, fontsize=8)
        style(left, "Mean revenue by tenths of the prediction")
        shares = np.linspace(0, 1, len(actual) + 1)
        for order, color, label in (
            (np.argsort(-actual, kind="stable"), PALE, "in its own order"),
            (np.argsort(-said, kind="stable"), ACCENT, "in the order said"),
        ):
            middle.plot(
                shares,
                np.concatenate([[0], np.cumsum(actual[order]) / actual.sum()]),
                color=color,
                label=label,
            )
        middle.legend(frameon=False, fontsize=8)
        style(middle, "Share of revenue, best customers first")
        some = np.sort(np.random.default_rng(0).permutation(len(actual))[:3000])
        right.scatter(
            np.log1p(said[some]), np.log1p(np.maximum(actual[some], 0)), s=4, color=ACCENT, alpha=0.3
        )
        top = max(np.log1p(said).max(), 1)
        right.plot([0, top], [0, top], color="#c9d3da", linewidth=1)
        style(right, "Came against said, ln(1 + amount)")
        figure.suptitle(f"{name}, on the test snapshot", color=INK, fontsize=12)

    return draw


def evaluation_page(result: "EvaluationResult") -> Draw:
    """All candidates: MAE, bias before and after the level, and the catch of the best tenth."""
    results = sorted(result.results.values(), key=lambda s: s.score, reverse=True)
    places = np.arange(len(results))
    colors = [WARM if s.name == result.winner else INK if s.name in BASELINES else ACCENT for s in results]

    def draw(figure: "Figure") -> None:
        left, middle, right = figure.subplots(1, 3, sharey=True)
        left.scatter([s.test["mae"] for s in results], places, c=colors, s=28)
        left.set_yticks(places, [s.name.replace("_", " ") for s in results])
        style(left, "Mean absolute error")
        middle.axvline(0, color="#c9d3da", linewidth=1)
        middle.scatter([s.before["bias"] for s in results], places, c=PALE, s=28, label="constant pace")
        middle.scatter([s.test["bias"] for s in results], places, c=colors, s=28, label="at the level")
        middle.legend(frameon=False, fontsize=8)
        style(middle, "Bias")
        right.axvline(results[0].test["best_catch"], color="#c9d3da", linewidth=1)
        right.scatter([s.test["catch"] for s in results], places, c=colors, s=28)
        style(right, "Catch; the line is possible")
        for axes in (left, middle, right):
            axes.tick_params(axis="y", labelsize=8)

    return draw


def level_page(result: "EvaluationResult") -> Draw:
    """The factor on BG/NBD's total that each way would have forecast, beside what came."""
    level = result.level
    ways = list(level.factors)
    winner = result.results[result.winner]
    # What came over what was said, times the factor that was used.
    actual = level.factor / (1 + winner.test["bias"])

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        colors = [WARM if way == level.method else PALE for way in ways]
        axes.barh(ways, [level.factors[way] for way in ways], color=colors, height=0.6)
        axes.axvline(actual, color=INK, linewidth=1)
        style(axes, f"Level as each way forecasts it; chosen {level.method}; came about {actual:.2f}")
        for place, way in enumerate(ways):
            axes.text(level.factors[way], place, f" {level.factors[way]:.2f}", va="center", fontsize=8)

    return draw
