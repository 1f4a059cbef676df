"""The contest of recommenders at one as_of, and the ranker that is served afterwards. Pure: frames in, results out.

Belongs here: who takes part, what is judged when, what is fitted again. Does not: a single recommender (`candidates`,
`ranking`), the verdict (`judging`), Dagster, MLflow, SQL.

The contest is judged at as_of less the horizon, the newest instant whose window is over: everybody learns from days
before it, and is judged on at most MOST_JUDGED of the customers who came, drawn evenly. The ranker is then fitted again
with the same settings on all that is known at as_of, since what sells this season was not known two months ago. What
it learns from is known at the judged instant or is its very window.
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
from clm_dagster.domains.recommend.interactions import InteractionError, Interactions, Ints, evenly
from clm_dagster.domains.recommend.judging import Judged, judge_lists
from clm_dagster.domains.recommend.metrics import NoPurchases, window_truth
from clm_dagster.domains.recommend.ranking import Ranker, RankerSettings, Taught
from clm_dagster.statistics.evaluation import ContestError, Verdict

RANKER = "two_stages"
# Below so many customers of the window an interval over them says nothing.
MIN_JUDGED = 30
# Lists of more customers than these would make the interval narrower than anybody needs, and take hours.
MOST_JUDGED = 20_000
EXAMPLES = 1_000


@dataclass(frozen=True)
class Entrant:
    """One method of a contest: what it is made of, and the seconds that fitting and listing took."""

    name: str
    parameters: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class ContestResult:
    """Outcome of the contest of one as_of.

    judged_at: the instant whose window judged. ranker: fitted again on all that is known at as_of. left_out:
    candidate -> why it did not take part. customers: those judged, who came in the window. example: features of
    pairs as the ranker takes them.
    """

    as_of: date
    judged_at: date
    judged_days: tuple[date, ...]
    judged: Judged
    entrants: Mapping[str, Entrant]
    left_out: Mapping[str, str]
    ranker: Ranker
    customers: int
    products: int
    example: pd.DataFrame = field(repr=False)

    def verdict(self, is_newest: bool = True) -> Verdict:
        """Whether the ranker becomes champion."""
        return self.judged.verdict(RANKER, is_newest)

    def measure(self, name: str, method: str = RANKER, target: str = "window") -> pd.Series:
        """The row of the contest's table of one method, list and target."""
        table = self.judged.table
        return table[
            (table["list"] == name) & (table["method"] == method) & (table["target"] == target)
        ].iloc[0]


def contestants(products: pd.DataFrame) -> list[Recommender]:
    """Every recommender that is judged beside the ranker, the dumb rules first."""
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


def hold_contest(
    known: Interactions, products: pd.DataFrame, settings: RankerSettings, segments: pd.Series | None = None
) -> ContestResult:
    """Hold the contest of one as_of, that of `known`. products: product_id, name, category. segments: customer_id ->
    segment at the judged instant or before it.

    Raises ContestError where there is too little to learn from or to judge on.
    """
    judged_at = known.as_of - timedelta(days=settings.horizon_days)
    past, rows = _judged_customers(known, judged_at, settings)
    taught: Taught = {}
    start = time.perf_counter()
    judged_ranker = Ranker(settings).fit(past, products, taught)
    lists = {RANKER: judged_ranker.lists(past, rows)}
    entrants = {RANKER: Entrant(RANKER, asdict(settings), time.perf_counter() - start)}
    left_out: dict[str, str] = {}
    for recommender in contestants(products):
        start = time.perf_counter()
        try:
            found = candidate_lists(recommender.fit(past), past, rows, active_days=settings.active_days)
        except CandidateError as error:
            left_out[recommender.name] = str(error)
            continue
        lists[recommender.name] = found
        seconds = time.perf_counter() - start
        entrants[recommender.name] = Entrant(recommender.name, _parameters(recommender), seconds)
    try:
        judged = judge_lists(
            known, past, lists, settings.horizon_days, segments, settings.active_days, among=rows
        )
    except (NoPurchases, ValueError) as error:
        raise ContestError(f"the lists of {judged_at} cannot be judged: {error}") from error
    ranker = Ranker(settings).fit(known, products, taught)
    (first, *_), *_ = (taught[day] for day in ranker.days[::-1])
    return ContestResult(
        as_of=known.as_of,
        judged_at=judged_at,
        judged_days=judged_ranker.days,
        judged=judged,
        entrants=entrants,
        left_out=left_out,
        ranker=ranker,
        customers=len(rows),
        products=past.shape[1],
        example=first[0][ranker.columns].head(EXAMPLES).reset_index(drop=True),
    )


def _judged_customers(
    known: Interactions, judged_at: date, settings: RankerSettings
) -> tuple[Interactions, Ints]:
    """What was known at the judged instant, and the customers who came in its window, or some of very many."""
    try:
        past = known.before(judged_at)
        rows = window_truth(known, past, settings.horizon_days).rows
    except (InteractionError, NoPurchases) as error:
        raise ContestError(
            f"there is nothing to judge recommendations on in the {settings.horizon_days} days from {judged_at} on: "
            f"{error}"
        ) from error
    if len(rows) < MIN_JUDGED:
        raise ContestError(
            f"{len(rows)} known customers bought in the {settings.horizon_days} days from {judged_at} on; judging "
            f"recommendations needs {MIN_JUDGED}: wait, or load the shop's earlier orders"
        )
    return past, evenly(rows, MOST_JUDGED)


def _parameters(recommender: Recommender) -> dict[str, Any]:
    """What a recommender was told, as MLflow shows it; no fitted arrays, no tables."""
    told = {name: value for name, value in vars(recommender).items() if name in _TOLD}
    if isinstance(recommender, Hybrid):
        told |= {f"share_{name}": share for name, share in recommender.shares.items()}
    return told


_TOLD = ("window", "half_life", "weights", "count", "ridge", "own", "pool", "limit")
