"""The evaluation of recommenders at one as_of, and the ranker that serves afterwards. Pure: frames in, results out.

Belongs here: which candidates there are, what is judged when, what is fitted again. Does not: a single recommender
(`candidates`, `ranking`), the verdict (`judging`), Dagster, MLflow, SQL.

Lists are judged at as_of less the horizon, the newest instant whose window is over: every candidate learns from days
before it, and is judged on at most MOST_JUDGED of the customers with an order in the window, drawn evenly. The ranker
is then fitted again with the same settings on all that is known at as_of, since what sells this season was not known
two months ago. What it learns from is known at the judged instant or is its very window.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

import pandas as pd

from clm_dagster.domains.recommend.candidates import (
    BuyAgain,
    CandidateError,
    ContentBased,
    Ease,
    Hybrid,
    ItemNeighbours,
    Popularity,
    Recommender,
    TifuKnn,
    UserNeighbours,
    candidate_lists,
)
from clm_dagster.domains.recommend.interactions import InteractionError, Interactions, Ints, evenly_spaced
from clm_dagster.domains.recommend.list_evaluation import ListEvaluation, evaluate_lists
from clm_dagster.domains.recommend.metrics import NoPurchases, window_truth
from clm_dagster.domains.recommend.ranking import Ranker, RankerSettings, TrainingExamples
from clm_dagster.statistics.evaluation import EvaluationError, Verdict

RANKER = "two_stages"
# Below so many customers of the window an interval over them says nothing.
MIN_EVALUATED = 30
# Lists of more customers than these would make the interval narrower than anybody needs, and take hours.
MAX_EVALUATED = 20_000
EXAMPLES = 1_000
# Parameters of candidates that MLflow shows; their other attributes are fitted arrays and tables.
_SHOWN = ("window", "half_life", "weights", "count", "ridge", "own", "pool", "limit")


@dataclass(frozen=True)
class CandidateResult:
    """One candidate: its parameters, and the seconds that fitting and listing took."""

    name: str
    parameters: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class EvaluationResult:
    """Outcome of the evaluation of one as_of.

    judged_at: the instant whose window the lists are judged by; judged_days: what taught the ranker that is judged.
    candidates: those that were judged, by name; left_out: name -> why a candidate was not. ranker: fitted again on
    all that is known at as_of. customers: those judged, with an order in the window. example: features of pairs as
    the ranker takes them.
    """

    as_of: date
    evaluated_at: date
    evaluated_ranker_days: tuple[date, ...]
    evaluation: ListEvaluation
    candidates: Mapping[str, CandidateResult]
    left_out: Mapping[str, str]
    ranker: Ranker
    customers: int
    products: int
    example: pd.DataFrame = field(repr=False)

    def verdict(self, is_newest: bool = True) -> Verdict:
        """Return whether the ranker becomes champion."""
        return self.evaluation.verdict(RANKER, is_newest)

    def measure(self, name: str, method: str = RANKER, target: str = "window") -> pd.Series:
        """Return the row of one list, method and target."""
        table = self.evaluation.table
        return table[
            (table["list"] == name) & (table["method"] == method) & (table["target"] == target)
        ].iloc[0]


def all_candidates(products: pd.DataFrame) -> list[Recommender]:
    """Return every recommender that is judged beside the ranker, the naive baselines first."""
    return [
        Popularity(),
        BuyAgain(),
        ItemNeighbours("cosine", name="item_cosine"),
        ItemNeighbours("tfidf", name="item_tfidf"),
        ItemNeighbours("bm25", name="item_bm25"),
        UserNeighbours(),
        ContentBased(products),
        Ease(),
        TifuKnn(),
        Hybrid(
            {"item": ItemNeighbours("bm25"), "content": ContentBased(products)},
            {"item": 0.7, "content": 0.3},
        ),
    ]


def evaluate_candidates(
    known: Interactions, products: pd.DataFrame, settings: RankerSettings, segments: pd.Series | None = None
) -> EvaluationResult:
    """Evaluate the candidates at one as_of, that of `known`.

    products: product_id, name, category. segments: customer_id -> segment at the judged instant or before it. Raise
    EvaluationError where there is too little to learn from or to judge on.
    """
    evaluated_at = known.as_of - timedelta(days=settings.horizon_days)
    past, rows = _customers_to_evaluate(known, evaluated_at, settings)
    examples: TrainingExamples = {}
    start = time.perf_counter()
    evaluated_ranker = Ranker(settings).fit(past, products, examples)
    lists = {RANKER: evaluated_ranker.lists(past, rows)}
    results = {RANKER: CandidateResult(RANKER, asdict(settings), time.perf_counter() - start)}
    left_out: dict[str, str] = {}
    for recommender in all_candidates(products):
        start = time.perf_counter()
        name = recommender.name
        try:
            lists[name] = candidate_lists(recommender.fit(past), past, rows, active_days=settings.active_days)
        except CandidateError as error:
            left_out[name] = str(error)
            continue
        results[name] = CandidateResult(name, _parameters(recommender), time.perf_counter() - start)
    evaluation = _evaluate_lists(known, past, rows, lists, settings, segments)
    ranker = Ranker(settings).fit(known, products, examples)
    return EvaluationResult(
        as_of=known.as_of,
        evaluated_at=evaluated_at,
        evaluated_ranker_days=evaluated_ranker.days,
        evaluation=evaluation,
        candidates=results,
        left_out=left_out,
        ranker=ranker,
        customers=len(rows),
        products=past.shape[1],
        example=_example(ranker, examples),
    )


def _customers_to_evaluate(
    known: Interactions, evaluated_at: date, settings: RankerSettings
) -> tuple[Interactions, Ints]:
    """Return what was known at the judged instant, and the customers of its window, or some of very many."""
    try:
        past = known.before(evaluated_at)
        rows = window_truth(known, past, settings.horizon_days).rows
    except (InteractionError, NoPurchases) as error:
        raise EvaluationError(
            f"there is nothing to judge recommendations on in the {settings.horizon_days} days from {evaluated_at} on: "
            f"{error}"
        ) from error
    if len(rows) < MIN_EVALUATED:
        raise EvaluationError(
            f"{len(rows)} known customers bought in the {settings.horizon_days} days from {evaluated_at} on; judging "
            f"recommendations needs {MIN_EVALUATED}: wait, or load the shop's earlier orders"
        )
    return past, evenly_spaced(rows, MAX_EVALUATED)


def _evaluate_lists(
    known: Interactions,
    past: Interactions,
    rows: Ints,
    lists: Mapping[str, pd.DataFrame],
    settings: RankerSettings,
    segments: pd.Series | None,
) -> ListEvaluation:
    """Return how good the lists are. Raise EvaluationError where they cannot be judged."""
    try:
        return evaluate_lists(
            known, past, lists, settings.horizon_days, segments, settings.active_days, among=rows
        )
    except (NoPurchases, ValueError) as error:
        raise EvaluationError(f"the lists of {past.as_of} cannot be judged: {error}") from error


def _example(ranker: Ranker, examples: TrainingExamples) -> pd.DataFrame:
    """Return pairs of the newest instant that taught the ranker."""
    features, *_ = examples[ranker.days[-1]][0]
    return features[ranker.columns].head(EXAMPLES).reset_index(drop=True)


def _parameters(recommender: Recommender) -> dict[str, Any]:
    """Return the parameters of a recommender, as MLflow shows them."""
    found = {name: value for name, value in vars(recommender).items() if name in _SHOWN}
    if isinstance(recommender, Hybrid):
        found |= {f"share_{name}": share for name, share in recommender.shares.items()}
    return found
