"""Pictures of a contest of recommenders. Pure drawing.

Belongs here: figures. Does not: the numbers in them (`judging`, `model`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.candidates import LISTS
from clm_dagster.domains.recommend.judging import BASELINES
from clm_dagster.domains.recommend.metrics import METRICS, K
from clm_dagster.domains.recommend.model import RANKER
from clm_dagster.domains.recommend.reasons import called
from clm_dagster.platform.charts import ACCENT, INK, PALE, WARM, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[["Figure"], None]
_TITLES = {"next_best": "anything", "discover": "not bought before"}
_SEGMENTS_SHOWN = 10


def lists_page(lists: pd.DataFrame, names: pd.Series, by: Sequence[str], places: int = 3) -> str:
    """The first places of some lists as a markdown table. lists: the columns `by`, rank, product_id and reason; names:
    product_id -> name, a product without one is called by its id."""
    shown = lists[lists["rank"] <= places].sort_values([*by, "rank"])
    shown = shown.assign(product=called(shown["product_id"].to_numpy(object), names))
    columns = [*by, "rank", "product", "reason"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in shown[columns].itertuples(index=False):
        lines.append("| " + " | ".join(str(value).replace("|", "/") for value in row) + " |")
    return "\n".join(lines)


def contest_page(table: pd.DataFrame) -> Draw:
    """NDCG of every method with its 95% interval, a panel for each list. table: as `Judged.table`."""
    window = table[table["target"] == "window"]

    def draw(figure: "Figure") -> None:
        for axes, name in zip(figure.subplots(1, len(LISTS)), LISTS, strict=True):
            rows = window[window["list"] == name].sort_values(["ndcg", "method"])
            places = np.arange(len(rows))
            colors = [WARM if m == RANKER else INK if m == BASELINES[name] else PALE for m in rows["method"]]
            errors = [rows["ndcg"] - rows["ndcg_low"], rows["ndcg_high"] - rows["ndcg"]]
            axes.barh(places, rows["ndcg"], color=colors, height=0.65)
            axes.errorbar(rows["ndcg"], places, xerr=errors, fmt="none", ecolor="#7f8c96", elinewidth=1)
            axes.set_yticks(places, [m.replace("_", " ") for m in rows["method"]])
            style(axes, f"{name}: {_TITLES[name]}, NDCG@{K}")
            axes.tick_params(axis="y", labelsize=8)

    return draw


def segment_page(by_segment: pd.DataFrame) -> Draw:
    """NDCG of the ranker and of the baseline in each segment of customers. by_segment: as `Judged.by_segment`."""

    def draw(figure: "Figure") -> None:
        for axes, name in zip(figure.subplots(1, len(LISTS)), LISTS, strict=True):
            rows = by_segment[by_segment["list"] == name].set_index("segment")
            model, rule = rows[rows["method"] == RANKER], rows[rows["method"] == BASELINES[name]]
            model = model.sort_values("customers", ascending=False).head(_SEGMENTS_SHOWN).iloc[::-1]
            places = np.arange(len(model))
            axes.scatter(rule["ndcg"].reindex(model.index), places, color=INK, s=24, label=BASELINES[name])
            axes.scatter(model["ndcg"], places, color=ACCENT, s=30, label=RANKER)
            axes.set_yticks(
                places, [f"{s} ({n:,.0f})" for s, n in zip(model.index, model["customers"], strict=True)]
            )
            axes.legend(frameon=False, fontsize=8)
            style(axes, f"{name}: NDCG@{K} by segment")
            axes.tick_params(axis="y", labelsize=8)

    return draw


def method_page(table: pd.DataFrame, method: str) -> Draw:
    """Every metric of one method beside the list's baseline. table: as `Judged.table`."""
    window = table[table["target"] == "window"]

    def measured(name: str, who: str, what: str) -> float:
        rows = window[(window["list"] == name) & (window["method"] == who)]
        return float(rows[what].iloc[0])

    def draw(figure: "Figure") -> None:
        for axes, name in zip(figure.subplots(1, len(LISTS)), LISTS, strict=True):
            places = np.arange(len(METRICS))
            for shift, who, color in ((-0.18, BASELINES[name], PALE), (0.18, method, ACCENT)):
                value, low, high = (
                    np.array([measured(name, who, f"{m}{end}") for m in METRICS])
                    for end in ("", "_low", "_high")
                )
                axes.bar(places + shift, value, 0.34, color=color, label=who)
                errors = [value - low, high - value]
                axes.errorbar(places + shift, value, yerr=errors, fmt="none", ecolor=INK, elinewidth=1)
            axes.set_xticks(places, list(METRICS))
            axes.legend(frameon=False, fontsize=8)
            style(axes, f"{name}, at {K}")

    return draw
