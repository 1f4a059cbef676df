"""Lists for people of whom nothing is known but where they are: no order before as_of, or no id at all.

Belongs here: popularity by group, shrunk, and the lists of groups. Does not: customers with a purchase; they have
candidates of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.reasons import popularity_reasons
from clm_dagster.domains.recommend.similarity import Scores, top

SHRINKAGE = 200.0
GROUPS = ("country", "segment")


@dataclass
class ColdStart:
    """Popularity in the customer's country and segment in the last `window` days, drawn to the whole shop's.

    A group of n purchases counts n / (n + shrinkage) for itself and the rest for the whole shop, so that three
    orders from Malta do not make Malta's list. The mean over the groups that are known is the score: an
    expected share of purchases.
    """

    window: int = 28
    active_days: int = 90
    shrinkage: float = SHRINKAGE
    groups: Sequence[str] = GROUPS
    name: str = "cold_start"

    def fit(self, past: Interactions, customers: pd.DataFrame) -> "ColdStart":
        """Shares per group. customers: customer_id and those of the groups that the shop knows, one row for each.

        Raises ValueError where a customer has two rows.
        """
        twice = customers["customer_id"].duplicated()
        if twice.any():
            first = customers.loc[twice, "customer_id"].sort_values().iloc[0]
            raise ValueError(
                f"customer {first} has {int((customers['customer_id'] == first).sum())} rows; expected one"
            )
        # Where the shop was silent in the window, its last days stand for it.
        recent = past.age <= past.age.min() - 1 + self.window
        product, customer = past.product[recent], past.customer[recent]
        counts = np.bincount(product, minlength=past.shape[1]).astype(float)
        self.shop = counts / counts.sum()
        self.active = past.sold_within(self.active_days)
        known = customers.assign(customer_id=customers["customer_id"].astype(str)).set_index("customer_id")
        self.shares: dict[str, pd.DataFrame] = {}
        for group in self.groups:
            if group not in known:
                continue
            code, names = pd.factorize(known[group].reindex(past.customers), sort=True)
            of_line = code[customer]
            table = sparse.coo_array(
                (np.ones((of_line >= 0).sum()), (of_line[of_line >= 0], product[of_line >= 0])),
                shape=(len(names), past.shape[1]),
            ).toarray()
            total = table.sum(axis=1)
            shares = (table + self.shrinkage * self.shop) / (total[:, None] + self.shrinkage)
            self.shares[group] = pd.DataFrame(shares, index=pd.Index(names))[total > 0]
        return self

    def groups_with_sales(self, group: str) -> pd.Index:
        """The names of a group's members in which somebody bought in the window."""
        return self.shares[group].index if group in self.shares else pd.Index([])

    def score(self, customers: pd.DataFrame) -> Scores:
        """Scores of b customers by their groups' columns; unknown groups, or none, have the whole shop's."""
        parts = []
        for group, shares in self.shares.items():
            if group in customers:
                rows = shares.index.get_indexer(pd.Index(customers[group]))
                parts.append(np.vstack([shares.to_numpy(), self.shop])[rows])
        mean = np.mean(parts, axis=0) if parts else np.tile(self.shop, (len(customers), 1))
        return np.where(self.active, mean, 0).astype(np.float32)


def group_lists(past: Interactions, start: ColdStart, groups: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return one list for each of the groups: rank, product_id, score, reason, and the groups' columns."""
    place, product, score = top(start.score(groups), count)
    # Of a group that nobody has bought in, nothing is known but the whole shop's list.
    known = groups.apply(lambda column: column.where(column.isin(start.groups_with_sales(str(column.name)))))
    where = np.array([_group_text(known.iloc[i]) for i in range(len(groups))], dtype=object)
    buyers = popularity_reasons(past, product, where=" of the whole shop")
    lists = pd.DataFrame(
        {
            "rank": np.arange(len(place)) - np.searchsorted(place, place) + 1,
            "product_id": past.products[product],
            "score": score.astype(float),
            "reason": "popular" + where[place] + "; " + buyers,
        }
    )
    return lists.join(groups.iloc[place].reset_index(drop=True))


def _group_text(group: pd.Series) -> str:
    parts = []
    if isinstance(group.get("country"), str):
        parts.append(f"in {group['country']}")
    if isinstance(group.get("segment"), str):
        parts.append(f"with {group['segment']} customers")
    return (" " + " ".join(parts)) if parts else ""
