"""The lists of every customer at one as_of, with a reason for each place. Pure: frames in, frames out.

Belongs here: the method for each customer, blocks of customers. Does not: a single list (`ranking`, `cold`), the table
(`recommendations`), SQL.

Customers with a purchase get each list from a model, or from the list's naive baseline where no model serves it:
buy_again for next_best, popularity for discover. Customers without a purchase (signed up, or only returns) get popular
products of their country and segment: `cold_start`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.recommend.candidates import (
    LISTS,
    BuyAgain,
    ItemNeighbours,
    Popularity,
    Recommender,
    candidate_lists,
)
from clm_dagster.domains.recommend.cold import ColdStart, group_lists
from clm_dagster.domains.recommend.features import PairFeatures
from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.names import BASELINES
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.reasons import Explainer, names_of
from clm_dagster.domains.recommend.table_settings import ListSettings

COLD = "cold_start"
# Customers per part of the output.
CUSTOMERS_PER_PART = 5_000
_BASELINES: dict[str, Callable[[], BuyAgain | Popularity]] = {"buy_again": BuyAgain, "popularity": Popularity}
COLUMNS = ["customer_id", "list", "rank", "product_id", "score", "reason", "method"]


def all_customer_lists(
    past: Interactions,
    customers: pd.DataFrame,
    products: pd.DataFrame,
    settings: ListSettings,
    rankers: Mapping[str, Ranker] | None = None,
    threads: int = 1,
) -> Iterator[pd.DataFrame]:
    """Yield both lists of every customer, a few thousand customers at a time, customers with purchases first.

    Each part has customer_id, list, rank, product_id, score, reason, method, sorted by customer, list and rank. All
    rows of a customer are in one part. method: the name of the ranker, of the list's naive baseline, or cold_start.
    customers: customer_id, country, segment, one row per known customer. products: product_id, name, category. rankers:
    the model of each list; a list without one is made by its naive baseline.
    """
    if not past.sold_within(settings.active_days).any():
        return
    parts = [_buyer_lists(past, names_of(products), settings, rankers or {}, threads)]
    cold = customers[past.rows_of(customers["customer_id"].astype(str).to_numpy(object)) < 0]
    if len(cold):
        parts.append(_cold_lists(past, customers, cold.sort_values("customer_id"), settings))
    for part in chain(*parts):
        yield part[COLUMNS]


def _buyer_lists(
    past: Interactions,
    names: pd.Series,
    settings: ListSettings,
    rankers: Mapping[str, Ranker],
    threads: int,
) -> Iterator[pd.DataFrame]:
    """Yield the lists of customers with a purchase."""
    methods, items = _list_methods(past, settings, rankers)
    explainer = Explainer(past, items.similarity, names)

    def lists_with_reasons(rows: Ints) -> pd.DataFrame:
        # Positions follow the order of ids, and numbers sort faster than text.
        lists = pd.concat([method(rows) for method in methods], ignore_index=True)
        lists = lists.sort_values(["customer", "list", "rank"], ignore_index=True)
        customer, product = lists["customer"].to_numpy(np.int64), lists["product"].to_numpy(np.int64)
        return pd.DataFrame(
            {
                "customer_id": past.customers[customer],
                "list": lists["list"],
                "rank": lists["rank"],
                "product_id": past.products[product],
                "score": lists["score"].astype(float),
                "reason": explainer.of(customer, product),
                "method": lists["method"],
            }
        )

    numbers = np.arange(past.shape[0], dtype=np.int64)
    blocks = [numbers[i : i + CUSTOMERS_PER_PART] for i in range(0, len(numbers), CUSTOMERS_PER_PART)]
    yield from _map_in_order(lists_with_reasons, blocks, threads)


def _map_in_order(
    work: Callable[[Ints], pd.DataFrame], blocks: Sequence[Ints], threads: int
) -> Iterator[pd.DataFrame]:
    """Yield the results in the order of `blocks`, with at most one block per thread computed ahead."""
    # One thread per block: additional threads of scikit-learn would only compete for cores.
    with ThreadPoolExecutor(threads, initializer=threadpool_limits, initargs=(1,)) as pool:
        waiting: deque[Future[pd.DataFrame]] = deque()
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


ListMethod = Callable[[Ints], pd.DataFrame]


def _list_methods(
    past: Interactions, settings: ListSettings, rankers: Mapping[str, Ranker]
) -> tuple[list[ListMethod], ItemNeighbours]:
    """Return functions that together list products for customers, and the similarity for reasons."""
    methods: list[ListMethod] = []
    items = None
    for ranker in {id(ranker): ranker for ranker in rankers.values()}.values():
        mine = [name for name, one in rankers.items() if one is ranker]
        features = ranker.pair_features(past)
        items = items or next(r for r in features.recommenders if isinstance(r, ItemNeighbours))
        methods.append(partial(_by_ranker, past, settings, ranker, features, mine))
    methods += [
        partial(_by_baseline, past, settings, _BASELINES[BASELINES[name]]().fit(past), name)
        for name in LISTS
        if name not in rankers
    ]
    return methods, items or ItemNeighbours().fit(past)


def _by_ranker(
    past: Interactions,
    settings: ListSettings,
    ranker: Ranker,
    features: PairFeatures,
    names: Sequence[str],
    rows: Ints,
) -> pd.DataFrame:
    """Return the lists `names` by a ranker."""
    found = ranker.lists(past, rows, settings.count, features)
    return found[found["list"].isin(names)].assign(method=ranker.name)


def _by_baseline(
    past: Interactions, settings: ListSettings, baseline: Recommender, name: str, rows: Ints
) -> pd.DataFrame:
    """Return one list by its naive baseline."""
    found = candidate_lists(baseline, past, rows, settings.count, settings.active_days, [name])
    return found.assign(method=baseline.name)


def _cold_lists(
    past: Interactions, customers: pd.DataFrame, cold: pd.DataFrame, settings: ListSettings
) -> Iterator[pd.DataFrame]:
    """Yield the lists of customers without a purchase: the same for all with the same country and segment."""
    known = [name for name in ("country", "segment") if cold[name].notna().any()]
    start = ColdStart(active_days=settings.active_days, groups=known).fit(past, customers)
    groups = cold[known].drop_duplicates().reset_index(drop=True) if known else pd.DataFrame(index=[0])
    lists = group_lists(past, start, groups, settings.count)
    # The reason says that the list is not based on purchases of this customer.
    lists["reason"] = "no purchase of this customer yet: " + lists["reason"]
    lists = lists.assign(method=COLD)
    for first in range(0, len(cold), CUSTOMERS_PER_PART):
        people = cold.iloc[first : first + CUSTOMERS_PER_PART][["customer_id", *known]].astype(
            {"customer_id": str}
        )
        found = people.merge(lists, on=known) if known else people.merge(lists, how="cross")
        both = pd.concat([found.assign(list=name) for name in LISTS])
        yield both.sort_values(["customer_id", "list", "rank"], ignore_index=True)
