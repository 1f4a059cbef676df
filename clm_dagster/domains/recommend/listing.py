"""The lists of every customer at one as_of, with a reason for each place. Pure: frames in, frames out.

Belongs here: the method for each customer, blocks of customers. Does not: a single list (`ranking`, `cold`), the table
(`recommendations`), SQL.

Customers with a purchase get lists from the model, or from the naive baseline `buy_again` where there is no model.
Customers without a purchase (signed up, or only returns) get popular products of their country and segment:
`cold_start`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from clm_dagster.domains.recommend.candidates import LISTS, BuyAgain, ItemNeighbours, candidate_lists
from clm_dagster.domains.recommend.cold import ColdStart, group_lists
from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.reasons import Explainer, names_of

FALLBACK, COLD = "buy_again", "cold_start"
# The model version of a list that was made without a model.
NO_VERSION = "none"
# Customers per part of the output.
CUSTOMERS_PER_PART = 5_000
COLUMNS = ["customer_id", "list", "rank", "product_id", "score", "reason", "method"]


@dataclass(frozen=True)
class ListSettings:
    """Settings of lists.

    count: places on a list. active_days: a product without a sale for longer is not recommended. horizon_days: of the
    model.
    """

    count: int = 10
    active_days: int = 90
    horizon_days: int = 60


def all_customer_lists(
    past: Interactions,
    customers: pd.DataFrame,
    products: pd.DataFrame,
    settings: ListSettings,
    ranker: Ranker | None = None,
    threads: int = 1,
) -> Iterator[pd.DataFrame]:
    """Yield both lists of every customer, a few thousand customers at a time, customers with purchases first.

    Each part has customer_id, list, rank, product_id, score, reason, method, sorted by customer, list and rank. All
    rows of a customer are in one part. method: the name of the ranker, buy_again or cold_start. customers:
    customer_id, country, segment, one row per known customer. products: product_id, name, category. ranker: the
    model, None where there is none.
    """
    if not past.sold_within(settings.active_days).any():
        return
    parts = [_buyer_lists(past, names_of(products), settings, ranker, threads)]
    cold = customers[past.rows_of(customers["customer_id"].astype(str).to_numpy(object)) < 0]
    if len(cold):
        parts.append(_cold_lists(past, customers, cold.sort_values("customer_id"), settings))
    for part in chain(*parts):
        yield part[COLUMNS]


def _buyer_lists(
    past: Interactions, names: pd.Series, settings: ListSettings, ranker: Ranker | None, threads: int
) -> Iterator[pd.DataFrame]:
    """Yield the lists of customers with a purchase."""
    list_products, items, method = _list_method(past, settings, ranker)
    explainer = Explainer(past, items.similarity, names)

    def lists_with_reasons(rows: Ints) -> pd.DataFrame:
        # Positions follow the order of ids, and numbers sort faster than text.
        lists = list_products(rows).sort_values(["customer", "list", "rank"], ignore_index=True)
        customer, product = lists["customer"].to_numpy(np.int64), lists["product"].to_numpy(np.int64)
        return pd.DataFrame(
            {
                "customer_id": past.customers[customer],
                "list": lists["list"],
                "rank": lists["rank"],
                "product_id": past.products[product],
                "score": lists["score"].astype(float),
                "reason": explainer.of(customer, product),
                "method": method,
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


def _list_method(
    past: Interactions, settings: ListSettings, ranker: Ranker | None
) -> tuple[Callable[[Ints], pd.DataFrame], ItemNeighbours, str]:
    """Return a function that lists products for customers, the similarity for reasons, and the method's name."""
    if ranker is None:
        baseline = BuyAgain().fit(past)
        return (
            lambda rows: candidate_lists(baseline, past, rows, settings.count, settings.active_days),
            ItemNeighbours().fit(past),
            FALLBACK,
        )
    pair_features = ranker.pair_features(past)
    items = next(r for r in pair_features.recommenders if isinstance(r, ItemNeighbours))
    return lambda rows: ranker.lists(past, rows, settings.count, pair_features), items, ranker.name


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
