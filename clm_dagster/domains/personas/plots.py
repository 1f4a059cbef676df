"""Plots of the persona model and of the persona profiles.

Belongs here: pure drawing. Does not belong here: the plotted numbers (`model`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.platform.charts import ACCENT, INK, WARM, label, style
from clm_dagster.statistics.clustering import STABLE, Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[["Figure"], None]


def choice_chart(choice: Choice) -> Draw:
    """Draw silhouette and stability by number of personas, with the chosen one marked."""

    def draw(figure: "Figure") -> None:
        left, right = figure.subplots(1, 2, sharex=True)
        for axis, curve, title, color in (
            (left, choice.silhouette, "How clearly personas differ (silhouette)", ACCENT),
            (right, choice.stability, "Same personas in samples of customers", WARM),
        ):
            axis.plot(choice.ks, curve, color=color, marker="o", markersize=4, linewidth=2)
            axis.axvline(choice.k, color=INK, linewidth=1, linestyle=":")
            style(axis, title)
            axis.set_xlabel("number of personas (dotted: chosen)", fontsize=9, color=INK)
            # One persona means that no split is clear enough; it has no silhouette.
            axis.set_xticks(sorted({choice.k, *choice.ks}))
            axis.set_ylim(0, max(1.1 if axis is right else 0.0, max(curve) * 1.15, 0.05))
        right.axhline(STABLE, color=INK, linewidth=0.8, alpha=0.5)
        right.text(choice.ks[-1], 1.02, f"line: stable from {STABLE:g}", fontsize=8, color=INK, ha="right")

    return draw


def loadings_chart(loadings: np.ndarray, habits: Sequence[str]) -> Draw:
    """Draw factor loadings as a heat map of correlated habits."""

    def draw(figure: "Figure") -> None:
        axis = figure.subplots()
        columns = [f"factor {number + 1}" for number in range(loadings.shape[1])]
        _heat(axis, loadings, [_readable(h) for h in habits], columns, 1.0)
        style(axis, "Habits that go together (factor loadings)")
        axis.grid(visible=False)

    return draw


def profile_chart(profiles: pd.DataFrame) -> Draw:
    """Draw personas by size and revenue, and their habits in standard deviations from the shop's mean."""

    def draw(figure: "Figure") -> None:
        sizes = profiles.drop_duplicates("persona_id").sort_values("customers", ascending=False)
        order = sizes["persona_id"].tolist()
        z = profiles.pivot(index="persona_id", columns="measure", values="z")
        z = z.loc[order, profiles["measure"].drop_duplicates()]
        left, right = figure.subplots(1, 2, width_ratios=[1, 2.4])
        places = np.arange(len(order))
        left.barh(places - 0.2, sizes["customer_share"], 0.38, color=ACCENT, label="customers")
        left.barh(places + 0.2, sizes["revenue_share"].fillna(0), 0.38, color=WARM, label="net revenue")
        style(left, "Share of the shop")
        left.grid(axis="y", visible=False)
        left.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        left.set_yticks(places, [label(name).replace(", ", ",\n") for name in sizes["persona"]])
        left.set_ylim(len(order) - 0.5, -0.5)
        figure.legend(
            *left.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=2, loc="outside lower left"
        )
        _heat(right, z.to_numpy(), None, [_readable(h) for h in z.columns], 1.5)
        right.set_ylim(len(order) - 0.5, -0.5)
        style(right, "Above (red) or below (blue) the mean, in standard deviations")
        right.grid(visible=False)

    return draw


def _heat(
    axis: "Axes", values: np.ndarray, rows: Sequence[str] | None, columns: Sequence[str], most: float
) -> None:
    axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
    for row, column in np.ndindex(values.shape):
        strong = abs(values[row, column]) > 0.65 * most
        axis.text(
            column,
            row,
            f"{values[row, column].round(1) + 0.0:+.1f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if strong else INK,
        )
    axis.set_yticks(range(len(rows)) if rows else [], rows or [])
    slanted = len(columns) > 4
    axis.set_xticks(
        range(len(columns)), columns, rotation=35 if slanted else 0, ha="right" if slanted else "center"
    )


def _readable(habit: str) -> str:
    return label(habit.removeprefix("category: ").replace("_", " "))
