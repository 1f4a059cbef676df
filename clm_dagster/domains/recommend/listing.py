"""The lists of every customer at one as_of, with a reason for each place. Pure: frames in, frames out.

Belongs here: which method lists for whom, blocks of customers. Does not: a single list (`ranking`, `cold`), the table
(`recommendations`), SQL.

Customers who have bought are ranked by the model; where there is none, by the naive baseline `buy_again`. Those who
have not (signed up, or only ever returned) get what is popular where they are: `cold_start`.
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
# The version of the model behind a list that no model made.
NO_VERSION = "none"
# Customers of a part.
CUSTOMERS_PER_PART = 5_000
COLUMNS = ["customer_id", "list", "rank", "product_id", "score", "reason", "method"]


@dataclass(frozen=True)
class ListSettings:
    """What a user may choose of lists.

    count: places in a list. active_days: a product without a sale for longer is on none. horizon_days: of the model.
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
    """Yield both lists of every customer, a few thousand customers at a time, those who have bought first.

    Each part has customer_id, list, rank, product_id, score, reason, method, sorted by customer, list and rank; what
    a customer has is in one part. customers: customer_id, country, segment, one row for each known customer.
    products: product_id, name, category. ranker: the model, None where there is none. method: the ranker's name,
    buy_again or cold_start.
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
    """Yield the lists of those who have bought."""
    list_some, items, method = _list_method(past, settings, ranker)
    explainer = Explainer(past, items.similarity, names)

    def listed(rows: Ints) -> pd.DataFrame:
        # Numbers follow the order of ids, and are sorted in a moment.
        lists = list_some(rows).sort_values(["customer", "list", "rank"], ignore_index=True)
        who, what = lists["customer"].to_numpy(np.int64), lists["product"].to_numpy(np.int64)
        return pd.DataFrame(
            {
                "customer_id": past.customers[who],
                "list": lists["list"],
                "rank": lists["rank"],
                "product_id": past.products[what],
                "score": lists["score"].astype(float),
                "reason": explainer.of(who, what),
                "method": method,
            }
        )

    numbers = np.arange(past.shape[0], dtype=np.int64)
    blocks = [numbers[i : i + CUSTOMERS_PER_PART] for i in range(0, len(numbers), CUSTOMERS_PER_PART)]
    yield from _map_in_order(listed, blocks, threads)


def _map_in_order(
    work: Callable[[Ints], pd.DataFrame], blocks: Sequence[Ints], threads: int
) -> Iterator[pd.DataFrame]:
    """Yield the results in the order of `blocks`; threads run ahead by no more blocks than there are threads."""
    # Each block in one thread: what scikit-learn would start beside it only waits.
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
    """Return what lists some buyers, the similar products that explain the lists, and the method's name."""
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
    """Yield lists of customers without a purchase: the same for all who share a country and a segment."""
    known = [name for name in ("country", "segment") if cold[name].notna().any()]
    start = ColdStart(active_days=settings.active_days, groups=known).fit(past, customers)
    groups = cold[known].drop_duplicates().reset_index(drop=True) if known else pd.DataFrame(index=[0])
    lists = group_lists(past, start, groups, settings.count)
    # Marked, since nothing of this customer's own stands behind it.
    lists["reason"] = "no purchase of this customer yet: " + lists["reason"]
    lists = lists.assign(method=COLD)
    for first in range(0, len(cold), CUSTOMERS_PER_PART):
        people = cold.iloc[first : first + CUSTOMERS_PER_PART][["customer_id", *known]].astype(
            {"customer_id": str}
        )
        found = people.merge(lists, on=known) if known else people.merge(lists, how="cross")
        both = pd.concat([found.assign(list=name) for name in LISTS])
        yield both.sort_values(["customer_id", "list", "rank"], ignore_index=True)
