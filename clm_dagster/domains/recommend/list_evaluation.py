"""The evaluation of the lists of every method at one instant: metrics with intervals, and a verdict.

Belongs here: which lists are compared with which baseline. Does not: making lists (`ranking`, `candidates`), the
formulas (`metrics`).

    later = interactions(lines, as_of + timedelta(days=60))
    past = later.before(as_of)
    rows = window_truth(later, past, 60).rows
    lists = {r.name: candidate_lists(r.fit(past), past, rows) for r in recommenders}
    lists[ranker.name] = ranker.lists(past, rows)
    result = evaluate_lists(later, past, lists, horizon_days=60)
    result.table, result.verdict("two_stages")

The metrics cover all customers with an order in the window, or a sample of them; for `discover`, customers who bought
a product that was new to them. Missing places of a short or missing list count as misses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.metrics import (
    K,
    Truth,
    coverage,
    gains_over,
    list_metrics,
    novelty,
    padded,
    window_truth,
)
from clm_dagster.domains.recommend.names import BASELINES, LIST_METRICS
from clm_dagster.statistics.evaluation import Difference, EvaluationError, Verdict, mean_intervals

# For each list, the purchases that count as relevant.
KINDS = {"next_best": "all", "discover": "new"}
TARGETS = {"window": False, "next_basket": True}


@dataclass(frozen=True)
class ListEvaluation:
    """The metrics of lists.

    table: one row for each method, list and target (window, next_basket): customers; ndcg, recall and hit with _low
    and _high, a 95% bootstrap interval over customers; coverage and novelty of the lists. by_segment: method, list,
    segment, customers and the three metrics in the window. gains: (list, method) -> NDCG in the window minus that of
    the list's baseline.
    """

    table: pd.DataFrame
    by_segment: pd.DataFrame
    gains: Mapping[tuple[str, str], Difference]

    def verdict(self, method: str, is_newest: bool = True) -> Verdict:
        """Return whether `method` becomes champion, each list for itself: it must beat the list's baseline."""
        findings = {}
        for name, baseline in BASELINES.items():
            gain = self.gains[(name, method)]
            what = "beats" if gain.above_zero else "does not clearly beat"
            findings[name] = (gain.above_zero, f"{method} {what} {baseline} for {name}: NDCG@{K} {gain}.")
        return Verdict.by_parts(method, findings, is_newest)


def evaluate_lists(
    later: Interactions,
    past: Interactions,
    lists: Mapping[str, pd.DataFrame],
    horizon_days: int,
    segments: pd.Series | None = None,
    active_days: int = 90,
    among: Ints | None = None,
) -> ListEvaluation:
    """Evaluate lists against the purchases in `later` during the `horizon_days` from past.as_of.

    lists: method -> columns list, customer, rank, product (positions in past), as returned by `Ranker.lists` and
    `candidate_lists`; they must include both baselines. segments: customer_id -> segment at as_of, each customer once;
    a customer without one has the segment "unknown". among: restricts the evaluation to these customers. Coverage
    refers to the products sold in `active_days`. Raise EvaluationError where a baseline is missing, NoPurchases where
    nothing was bought in the window.
    """
    absent = sorted(set(BASELINES.values()) - set(lists))
    if absent:
        raise EvaluationError(f"lists of {', '.join(absent)} are missing: an evaluation needs both baselines")
    rows: list[dict[str, float | str]] = []
    parts = []
    gains: dict[tuple[str, str], Difference] = {}
    for name, kind in KINDS.items():
        for target, first_only in TARGETS.items():
            truth = window_truth(later, past, horizon_days, kind, first_only, among)
            measured = {
                method: list_metrics(truth, _array(frame, name, truth)) for method, frame in lists.items()
            }
            rows += [{**means, "list": name, "target": target} for means in _means(measured)]
            if target == "window":
                parts += [
                    _by_segment(v, past, segments).assign(method=m, list=name) for m, v in measured.items()
                ]
                ndcg = {m: v["ndcg"].to_numpy() for m, v in measured.items()}
                gains |= {(name, m): d for m, d in gains_over(ndcg, BASELINES[name]).items()}
    spread = _spread(lists, past, int(past.sold_within(active_days).sum()))
    return ListEvaluation(
        pd.DataFrame(rows).merge(spread, on=["method", "list"], how="left"),
        pd.concat(parts, ignore_index=True),
        gains,
    )


def _spread(lists: Mapping[str, pd.DataFrame], past: Interactions, active: int) -> pd.DataFrame:
    """Return coverage and novelty of all lists, including those of customers without a purchase in the window."""
    found = []
    for method, frame in lists.items():
        for name, mine in frame[frame["rank"] <= K].groupby("list"):
            products = mine["product"].to_numpy()
            spread = {"coverage": coverage(products, active), "novelty": novelty(products, past)}
            found.append({"method": method, "list": name} | spread)
    return pd.DataFrame(found, columns=["method", "list", "coverage", "novelty"])


def _array(frame: pd.DataFrame, name: str, truth: Truth) -> np.ndarray:
    """Return the lists of the customers of `truth` as c x K products, -1 where a list ends early."""
    mine = frame[frame["list"] == name].sort_values(["customer", "rank"])
    place = pd.Index(truth.rows).get_indexer(pd.Index(mine["customer"]))
    return padded(place[place >= 0], mine["product"].to_numpy()[place >= 0], len(truth.rows))


def _means(measured: Mapping[str, pd.DataFrame]) -> list[dict[str, float | str]]:
    """Return the mean metrics of each method with their intervals. measured: method -> metrics of each customer."""
    columns = [(method, metric) for method in measured for metric in LIST_METRICS]
    values = np.column_stack([measured[method][metric].to_numpy() for method, metric in columns])
    found: dict[str, dict[str, float | str]] = {m: {"method": m, "customers": len(values)} for m in measured}
    for (method, metric), interval in zip(columns, mean_intervals(values), strict=True):
        found[method] |= {
            metric: interval.value,
            f"{metric}_low": interval.low,
            f"{metric}_high": interval.high,
        }
    return list(found.values())


def _by_segment(measured: pd.DataFrame, past: Interactions, segments: pd.Series | None) -> pd.DataFrame:
    ids = past.customers[measured.index]
    names = "unknown" if segments is None else segments.reindex(ids).fillna("unknown").to_numpy()
    grouped = measured.assign(segment=names).groupby("segment")
    return grouped.mean().join(grouped.size().rename("customers")).reset_index()
