"""The lists of every customer at one as_of, with a reason for each place. Pure: frames in, frames out.

Belongs here: who gets whose lists, blocks of customers. Does not: a single list (`ranking`, `cold`), SQL.

Customers who have bought are ranked by the model; where there is none, by the dumb rule `buy_again`. Those who have
not (signed up, or only ever returned) get what is popular where they are: `cold_start`. So do visitors whom nobody
knows, by their country.
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
from clm_dagster.domains.recommend.cold import ColdStart
from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.reasons import Explainer, names_of, popular_reasons
from clm_dagster.domains.recommend.similarity import top

FALLBACK, COLD = "buy_again", "cold_start"
ANYWHERE = "all"
# Customers of a part.
PEOPLE = 5_000
COLUMNS = ["customer_id", "list", "rank", "product_id", "score", "reason", "method"]


@dataclass(frozen=True)
class Ways:
    """How lists are made: the model (None where there is none), places in a list, days until discontinued, threads."""

    ranker: Ranker | None
    count: int = 10
    active_days: int = 90
    threads: int = 1


def everyones_lists(
    past: Interactions, customers: pd.DataFrame, products: pd.DataFrame, ways: Ways
) -> Iterator[pd.DataFrame]:
    """Both lists of every customer, a few thousand customers at a time, those who have bought first.

    Each part has customer_id, list, rank, product_id, score, reason, method, sorted by customer, list and rank; what
    a customer has is in one part. customers: customer_id, country, segment, one row for each known customer.
    products: product_id, name, category. method: the ranker's name, buy_again or cold_start.
    """
    if not past.sold_within(ways.active_days).any():
        return
    parts = [_buyers(past, names_of(products), ways)]
    cold = customers[past.rows_of(customers["customer_id"].astype(str).to_numpy(object)) < 0]
    if len(cold):
        parts.append(_cold(past, customers, cold.sort_values("customer_id"), ways))
    for part in chain(*parts):
        yield part[COLUMNS]


def _buyers(past: Interactions, names: pd.Series, ways: Ways) -> Iterator[pd.DataFrame]:
    """Lists of those who have bought."""
    list_some, items, method = _way(past, ways)
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
    yield from _in_turn(
        listed, [numbers[i : i + PEOPLE] for i in range(0, len(numbers), PEOPLE)], ways.threads
    )


def _in_turn(
    work: Callable[[Ints], pd.DataFrame], blocks: Sequence[Ints], threads: int
) -> Iterator[pd.DataFrame]:
    """The results of some threads in the order of `blocks`; they run ahead by no more blocks than there are threads."""
    # Each block in one thread: what scikit-learn would start beside it only waits.
    with ThreadPoolExecutor(threads, initializer=threadpool_limits, initargs=(1,)) as pool:
        waiting: deque[Future[pd.DataFrame]] = deque()
        for block in blocks:
            waiting.append(pool.submit(work, block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _way(past: Interactions, ways: Ways) -> tuple[Callable[[Ints], pd.DataFrame], ItemNeighbours, str]:
    """What lists some buyers, the similar products that explain the lists, and the method's name."""
    ranker = ways.ranker
    if ranker is None:
        rule = BuyAgain().fit(past)
        return (
            lambda rows: candidate_lists(rule, past, rows, ways.count, ways.active_days),
            ItemNeighbours().fit(past),
            FALLBACK,
        )
    prepared = ranker.prepared(past)
    items = next(r for r in prepared.recommenders if isinstance(r, ItemNeighbours))
    return lambda rows: ranker.lists(past, rows, ways.count, prepared), items, ranker.name


def _cold(
    past: Interactions, customers: pd.DataFrame, cold: pd.DataFrame, ways: Ways
) -> Iterator[pd.DataFrame]:
    """Lists of customers without a purchase: one for each country and segment, the same for all who share them."""
    known = [name for name in ("country", "segment") if cold[name].notna().any()]
    start = ColdStart(active_days=ways.active_days, groups=known).fit(past, customers)
    groups = cold[known].drop_duplicates().reset_index(drop=True) if known else pd.DataFrame(index=[0])
    lists = _of_groups(past, start, groups, ways.count)
    # Marked, since nothing of this customer's own stands behind it.
    lists["reason"] = "no purchase of this customer yet: " + lists["reason"]
    lists = lists.assign(method=COLD)
    for first in range(0, len(cold), PEOPLE):
        people = cold.iloc[first : first + PEOPLE][["customer_id", *known]].astype({"customer_id": str})
        found = people.merge(lists, on=known) if known else people.merge(lists, how="cross")
        both = pd.concat([found.assign(list=name) for name in LISTS])
        yield both.sort_values(["customer_id", "list", "rank"], ignore_index=True)


def visitors_lists(past: Interactions, customers: pd.DataFrame, count: int, active_days: int) -> pd.DataFrame:
    """What to show to people of whom no more is known than a country: country, rank, product_id, score, reason.

    One list for each country of customers, and one for ANYWHERE, which holds for all others. Sorted by both.
    """
    if not past.sold_within(active_days).any():
        return pd.DataFrame(columns=["country", "rank", "product_id", "score", "reason"])
    start = ColdStart(active_days=active_days, groups=["country"]).fit(past, customers)
    countries = [None, *sorted(set(customers["country"].dropna()) - {ANYWHERE})]
    lists = _of_groups(past, start, pd.DataFrame({"country": pd.Series(countries, dtype=object)}), count)
    lists["country"] = lists["country"].fillna(ANYWHERE)
    return lists.sort_values(["country", "rank"], ignore_index=True)


def _of_groups(past: Interactions, start: ColdStart, groups: pd.DataFrame, count: int) -> pd.DataFrame:
    """One list for each of the groups: their columns, rank, product_id, score, reason."""
    place, product, score = top(start.score(groups), count)
    # Of a group that nobody has bought in, nothing is known but the whole shop's list.
    told = groups.apply(lambda column: column.where(column.isin(start.bought_in(str(column.name)))))
    where = np.array([_place(told.iloc[i]) for i in range(len(groups))], dtype=object)
    lists = pd.DataFrame(
        {
            "rank": np.arange(len(place)) - np.searchsorted(place, place) + 1,
            "product_id": past.products[product],
            "score": score.astype(float),
            "reason": "popular"
            + where[place]
            + "; "
            + popular_reasons(past, product, where=" of the whole shop"),
        }
    )
    return lists.join(groups.iloc[place].reset_index(drop=True))


def _place(group: pd.Series) -> str:
    told = []
    if isinstance(group.get("country"), str):
        told.append(f"in {group['country']}")
    if isinstance(group.get("segment"), str):
        told.append(f"with {group['segment']} customers")
    return (" " + " ".join(told)) if told else ""
