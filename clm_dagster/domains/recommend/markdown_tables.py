"""Markdown tables of lists and of an evaluation, for Dagster.

Belongs here: Markdown. Does not: figures (`mlflow_plots`), computing the numbers (`list_evaluation`, `evaluate`).
"""

from collections.abc import Sequence

import pandas as pd

from clm_dagster.domains.recommend.evaluate import RANKER, EvaluationResult
from clm_dagster.domains.recommend.metrics import K
from clm_dagster.domains.recommend.reasons import display_names
from clm_dagster.platform.markdown import bold, markdown_table

_METRIC_COLUMNS = (
    "NDCG all",
    "recall all",
    "hit all",
    "NDCG new",
    "recall new",
    "hit new",
    "coverage",
    "novelty",
    "seconds",
)


def top_ranks(lists: pd.DataFrame, names: pd.Series, by: Sequence[str], places: int = 3) -> str:
    """Return the top places of some lists.

    lists: the columns `by`, rank, product_id and reason. names: product_id -> name; a product without a name is shown
    by its id.
    """
    shown = lists[lists["rank"] <= places].sort_values([*by, "rank"])
    shown = shown.assign(product=display_names(shown["product_id"].to_numpy(object), names))
    columns = [*by, "rank", "product", "reason"]
    rows = shown[columns].itertuples(index=False)
    return markdown_table(columns, rows)


def candidates_table(result: EvaluationResult) -> str:
    """Return the candidates with their metrics, best NDCG of next_best first."""
    rows = []
    everything = {name: result.measure("next_best", name) for name in result.candidates}
    for name in sorted(everything, key=lambda name: (-everything[name]["ndcg"], name)):
        found, new = everything[name], result.measure("discover", name)
        shown = bold(name) if name == RANKER else name
        rows.append(
            (
                shown,
                f"{found['ndcg']:.4f} ({found['ndcg_low']:.3f}-{found['ndcg_high']:.3f})",
                f"{found['recall']:.3f}",
                f"{found['hit']:.3f}",
                f"{new['ndcg']:.4f} ({new['ndcg_low']:.3f}-{new['ndcg_high']:.3f})",
                f"{new['recall']:.3f}",
                f"{new['hit']:.3f}",
                f"{found['coverage']:.3f}",
                f"{found['novelty']:.1f}",
                f"{result.candidates[name].seconds:.1f}",
            )
        )
    return markdown_table((f"method, at {K}", *_METRIC_COLUMNS), rows)
