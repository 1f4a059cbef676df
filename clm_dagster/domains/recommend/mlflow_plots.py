"""Figures of an evaluation of recommenders.

Belongs here: drawing. Does not: computing the numbers (`list_evaluation`, `evaluate`), tables (`markdown_tables`).
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.candidates import LISTS
from clm_dagster.domains.recommend.evaluate import RANKER
from clm_dagster.domains.recommend.metrics import K
from clm_dagster.domains.recommend.names import BASELINES, LIST_METRICS
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, Draw, label, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {"next_best": "all products", "discover": "products not bought before"}
_SEGMENTS_SHOWN = 10


def evaluation_figure(table: pd.DataFrame) -> Draw:
    """Draw NDCG of every method with its 95% interval, one panel per list. table: as `ListEvaluation.table`."""
    window = table[table["target"] == "window"]

    def draw(figure: "Figure") -> None:
        for axes, name in zip(figure.subplots(1, len(LISTS)), LISTS, strict=True):
            rows = window[window["list"] == name].sort_values(["ndcg", "method"])
            places = np.arange(len(rows))
            colors = [WARM if m == RANKER else INK if m == BASELINES[name] else PALE for m in rows["method"]]
            errors = [rows["ndcg"] - rows["ndcg_low"], rows["ndcg_high"] - rows["ndcg"]]
            axes.barh(places, rows["ndcg"], color=colors, height=0.65)
            axes.errorbar(rows["ndcg"], places, xerr=errors, fmt="none", ecolor="#7f8c96", elinewidth=1)
            axes.set_yticks(places, [_readable(m) for m in rows["method"]])
            style(axes, f"{name} ({_TITLES[name]}), NDCG@{K}", size=10)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", labelsize=8)

    return draw


def segment_figure(by_segment: pd.DataFrame) -> Draw:
    """Draw NDCG of the ranker and the baseline in each segment. by_segment: as `ListEvaluation.by_segment`."""

    def draw(figure: "Figure") -> None:
        for axes, name in zip(figure.subplots(1, len(LISTS)), LISTS, strict=True):
            rows = by_segment[by_segment["list"] == name].set_index("segment")
            model, baseline = rows[rows["method"] == RANKER], rows[rows["method"] == BASELINES[name]]
            model = model.sort_values("customers", ascending=False).head(_SEGMENTS_SHOWN).iloc[::-1]
            places = np.arange(len(model))
            axes.scatter(
                baseline["ndcg"].reindex(model.index),
                places,
                color=INK,
                s=24,
                label=f"{_readable(BASELINES[name])} (baseline)",
            )
            axes.scatter(model["ndcg"], places, color=ACCENT, s=30, label=_readable(RANKER))
            axes.set_yticks(
                places,
                [f"{_readable(s)} ({n:,.0f})" for s, n in zip(model.index, model["customers"], strict=True)],
            )
            _legend_below(axes)
            style(axes, f"{name}: NDCG@{K} by segment", size=10)
            axes.tick_params(axis="y", labelsize=8)

    return draw


def method_figure(table: pd.DataFrame, method: str) -> Draw:
    """Draw every metric of one method next to the baseline of the list. table: as `ListEvaluation.table`.

    The margins are fixed, because there is one figure per candidate and a fitted layout is slow.
    """
    window = table[table["target"] == "window"]

    def measured(name: str, who: str, what: str) -> float:
        rows = window[(window["list"] == name) & (window["method"] == who)]
        return float(rows[what].iloc[0])

    def draw(figure: "Figure") -> None:
        figure.subplots_adjust(left=0.06, right=0.98, top=0.88, bottom=0.1, wspace=0.16)
        for axes, name in zip(figure.subplots(1, len(LISTS)), LISTS, strict=True):
            places = np.arange(len(LIST_METRICS))
            bars = [(0.18, method, ACCENT, _readable(method))]
            if method != BASELINES[name]:
                bars.insert(0, (-0.18, BASELINES[name], PALE, f"{_readable(BASELINES[name])} (baseline)"))
            for shift, who, color, shown in bars:
                value, low, high = (
                    np.array([measured(name, who, f"{m}{end}") for m in LIST_METRICS])
                    for end in ("", "_low", "_high")
                )
                axes.bar(places + shift, value, 0.34, color=color, label=shown)
                errors = [value - low, high - value]
                axes.errorbar(places + shift, value, yerr=errors, fmt="none", ecolor=INK, elinewidth=1)
            axes.set_xticks(places, [_readable(metric) for metric in LIST_METRICS])
            axes.legend(frameon=False, fontsize=8)
            axes.margins(y=0.25)
            style(axes, f"{name}, first {K} places")

    return draw


def _readable(name: str) -> str:
    return label(name.replace("_", " "))


def _legend_below(axes: "Axes") -> None:
    """Put the legend below the panel, where it hides no point."""
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.07))
