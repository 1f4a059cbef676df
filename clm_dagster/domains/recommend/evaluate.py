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

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.candidates import (
    CandidateError,
    Ease,
    Hybrid,
    ItemNeighbours,
    Popularity,
    Recommender,
    TifuKnn,
    block_lists,
    sorted_lists,
)
from clm_dagster.domains.recommend.features import PairFeatures
from clm_dagster.domains.recommend.interactions import InteractionError, Interactions, Ints, evenly_spaced
from clm_dagster.domains.recommend.list_evaluation import ListEvaluation, evaluate_lists
from clm_dagster.domains.recommend.metrics import NoPurchases, Truth, window_truth
from clm_dagster.domains.recommend.ranking import (
    Examples,
    Ranker,
    TrainingExamples,
    default_recommenders,
    labelled,
)
from clm_dagster.domains.recommend.shared_scores import SharedRecommender, share
from clm_dagster.domains.recommend.similarity import blocks
from clm_dagster.domains.recommend.table_settings import RankerSettings
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


def all_candidates(first_stage: Mapping[str, SharedRecommender]) -> list[Recommender]:
    """Return every recommender that is evaluated next to the ranker, naive baselines first.

    first_stage: those of the ranker, by name; four of them are candidates as well.
    """
    items, content = first_stage["item_bm25"], first_stage["content"]
    return [
        Popularity(),
        first_stage["buy_again"],
        ItemNeighbours("cosine", name="item_cosine"),
        ItemNeighbours("tfidf", name="item_tfidf"),
        items,
        first_stage["user_neighbours"],
        content,
        Ease(),
        TifuKnn(),
        Hybrid({"item": items, "content": content}, {"item": 0.7, "content": 0.3}),
    ]


def evaluate_candidates(
    known: Interactions, products: pd.DataFrame, settings: RankerSettings, segments: pd.Series | None = None
) -> EvaluationResult:
    """Evaluate the candidates at one as_of, that of `known`.

    products: product_id, name, category. segments: customer_id -> segment at the evaluation instant or earlier. Raise
    EvaluationError where there is too little data to fit or to evaluate.
    """
    evaluated_at = known.as_of - timedelta(days=settings.horizon_days)
    past, truth = _window_to_evaluate(known, evaluated_at, settings)
    rows = evenly_spaced(truth.rows, MAX_EVALUATED)
    examples: TrainingExamples = {}
    start = time.perf_counter()
    evaluated_ranker = Ranker(settings).fit(past, products, examples)
    contest = _Contest.of(evaluated_ranker, past, time.perf_counter() - start)
    examples[evaluated_at] = contest.run(rows, truth)
    lists = {name: sorted_lists(parts) for name, parts in contest.lists.items()}
    evaluation = _evaluate_lists(known, past, rows, lists, settings, segments)
    ranker = Ranker(settings).fit(known, products, examples)
    return EvaluationResult(
        as_of=known.as_of,
        evaluated_at=evaluated_at,
        evaluated_ranker_days=evaluated_ranker.days,
        evaluation=evaluation,
        candidates=contest.results(),
        left_out=contest.left_out,
        ranker=ranker,
        customers=len(rows),
        products=past.shape[1],
        example=_example(ranker, examples),
    )


@dataclass
class _Contest:
    """The lists of all candidates for blocks of customers, where each shared score is computed once.

    ranker: the fitted one. first_stage: the recommenders of its features. others: the other fitted candidates. lists:
    name -> parts of the lists. seconds: of each candidate, without what the first stage took for it.
    """

    ranker: Ranker
    past: Interactions
    features: PairFeatures
    first_stage: Mapping[str, SharedRecommender]
    others: list[Recommender]
    left_out: dict[str, str]
    seconds: dict[str, float]
    lists: dict[str, list[pd.DataFrame]]

    @classmethod
    def of(cls, ranker: Ranker, past: Interactions, fit_seconds: float) -> "_Contest":
        """Return the contest with all candidates fitted. fit_seconds: of the ranker."""
        first_stage = share(default_recommenders(ranker.products))
        start = time.perf_counter()
        features = ranker.pair_features(past, list(first_stage.values()))
        seconds = {RANKER: fit_seconds + time.perf_counter() - start}
        others: list[Recommender] = []
        left_out: dict[str, str] = {}
        for recommender in all_candidates(first_stage):
            start = time.perf_counter()
            try:
                others.append(recommender.fit(past))
            except CandidateError as error:
                left_out[recommender.name] = str(error)
            seconds[recommender.name] = time.perf_counter() - start
        lists: dict[str, list[pd.DataFrame]] = {name: [] for name in (RANKER, *(r.name for r in others))}
        return cls(ranker, past, features, first_stage, others, left_out, seconds, lists)

    def run(self, rows: Ints, truth: Truth) -> list[Examples]:
        """Make the lists of the customers `rows`, and return training examples of a sample of them.

        The examples are those of the ranker's training instant past.as_of: their features are at hand.
        """
        settings = self.ranker.settings
        active = self.past.sold_within(settings.active_days)
        is_example = np.isin(rows, evenly_spaced(rows, settings.customers))
        examples = []
        for block in blocks(len(rows), self.past.shape[1]):
            some = rows[block]
            start = time.perf_counter()
            pairs = self.features.block(some)
            self.lists[RANKER].append(self.ranker.ranked(some, pairs))
            self.seconds[RANKER] += time.perf_counter() - start
            examples.append(labelled(some[is_example[block]], pairs.of_customers(is_example[block]), truth))
            for recommender in self.others:
                start = time.perf_counter()
                self.lists[recommender.name] += block_lists(recommender, self.past, active, some)
                self.seconds[recommender.name] += time.perf_counter() - start
        return [found for found in examples if found]

    def results(self) -> dict[str, CandidateResult]:
        """Return the evaluated candidates by name. The time of a shared score counts for each that needs it."""
        found = {RANKER: CandidateResult(RANKER, asdict(self.ranker.settings), self.seconds[RANKER])}
        for one in self.others:
            # The ranker is the first to need a shared score, so the others were measured without it.
            members = one.members.values() if isinstance(one, Hybrid) else [one]
            shared = sum(member.seconds for member in members if isinstance(member, SharedRecommender))
            found[one.name] = CandidateResult(one.name, _parameters(one), self.seconds[one.name] + shared)
        return found


def _window_to_evaluate(
    known: Interactions, evaluated_at: date, settings: RankerSettings
) -> tuple[Interactions, Truth]:
    """Return the purchases before the evaluation instant, and those of known customers in its window."""
    try:
        past = known.before(evaluated_at)
        truth = window_truth(known, past, settings.horizon_days)
    except (InteractionError, NoPurchases) as error:
        raise EvaluationError(
            f"recommendations cannot be evaluated on the {settings.horizon_days} days from {evaluated_at}: "
            f"{error}"
        ) from error
    if len(truth.rows) < MIN_EVALUATED:
        raise EvaluationError(
            f"{len(truth.rows)} known customers bought in the {settings.horizon_days} days from {evaluated_at}; an "
            f"evaluation needs {MIN_EVALUATED}: wait, or load the shop's earlier orders"
        )
    return past, truth


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
    if isinstance(recommender, SharedRecommender):
        return _parameters(recommender.recommender)
    found = {name: value for name, value in vars(recommender).items() if name in _SHOWN}
    if isinstance(recommender, Hybrid):
        found |= {f"share_{name}": share for name, share in recommender.shares.items()}
    return found
