"""The evaluation of recommenders at one as_of, and the ranker that is served afterwards. Pure: frames in, results out.

Belongs here: the candidates, the evaluation instant, and refitting the ranker. Does not: a single recommender
(`candidates`, `ranking`), measures and verdict (`list_evaluation`), Dagster, MLflow, SQL.

Lists are evaluated at as_of minus the horizon, the newest instant whose window has ended. Every candidate is fitted on
days before it, and evaluated on customers with an order in the window, at most MAX_EVALUATED of them. The ranker is
then refitted with the same settings on all purchases before as_of, because products of the current season may be new.
The training examples of both fits are shared where their instants coincide.
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
# With fewer customers in the window, an interval over them is meaningless.
MIN_EVALUATED = 30
# More customers would make the interval narrower than needed, and take hours.
MAX_EVALUATED = 20_000
EXAMPLES = 1_000
# Attributes of candidates that MLflow shows as parameters; the others are fitted arrays and tables.
_SHOWN = ("window", "half_life", "weights", "count", "ridge", "own", "pool", "limit")


@dataclass(frozen=True)
class CandidateResult:
    """One candidate: its parameters, and the seconds for fitting it and making its lists."""

    name: str
    parameters: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class EvaluationResult:
    """The result of the evaluation at one as_of.

    evaluated_at: the instant at which lists are evaluated. evaluated_ranker_days: training instants of the evaluated
    ranker. evaluation: measures of the lists. candidates: the evaluated ones, by name. left_out: name -> reason.
    ranker: refitted on all purchases before as_of. customers, products: their number in the evaluation. example:
    features of pairs, as input of the ranker.
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
    """Return every recommender that is evaluated next to the ranker, naive baselines first."""
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

    products: product_id, name, category. segments: customer_id -> segment at the evaluation instant or earlier. Raise
    EvaluationError where there is too little data to fit or to evaluate.
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
    """Return the purchases before the evaluation instant, and customers with an order in its window."""
    try:
        past = known.before(evaluated_at)
        rows = window_truth(known, past, settings.horizon_days).rows
    except (InteractionError, NoPurchases) as error:
        raise EvaluationError(
            f"recommendations cannot be evaluated on the {settings.horizon_days} days from {evaluated_at}: "
            f"{error}"
        ) from error
    if len(rows) < MIN_EVALUATED:
        raise EvaluationError(
            f"{len(rows)} known customers bought in the {settings.horizon_days} days from {evaluated_at}; an "
            f"evaluation needs {MIN_EVALUATED}: wait, or load the shop's earlier orders"
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
    """Return the measures of the lists. Raise EvaluationError where they cannot be evaluated."""
    try:
        return evaluate_lists(
            known, past, lists, settings.horizon_days, segments, settings.active_days, among=rows
        )
    except (NoPurchases, ValueError) as error:
        raise EvaluationError(f"the lists at {past.as_of} cannot be evaluated: {error}") from error


def _example(ranker: Ranker, examples: TrainingExamples) -> pd.DataFrame:
    """Return pairs of the newest training instant of the ranker."""
    features, *_ = examples[ranker.days[-1]][0]
    return features[ranker.columns].head(EXAMPLES).reset_index(drop=True)


def _parameters(recommender: Recommender) -> dict[str, Any]:
    """Return the parameters of a recommender, as MLflow shows them."""
    found = {name: value for name, value in vars(recommender).items() if name in _SHOWN}
    if isinstance(recommender, Hybrid):
        found |= {f"share_{name}": share for name, share in recommender.shares.items()}
    return found
