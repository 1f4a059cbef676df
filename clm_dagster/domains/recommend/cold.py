"""Cold start: lists for customers without a purchase before as_of, and for anonymous visitors.

Belongs here: shrunken popularity by group, and the lists of groups. Does not: customers with a purchase
(`candidates`, `ranking`).
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
WINDOW = 28
GROUPS = ("country", "segment")


@dataclass
class ColdStart:
    """Popularity in the customer's country and segment in the last `window` days, shrunk towards the whole shop's.

    A group with n purchases has the weight n / (n + shrinkage), the whole shop the rest, so that three orders from
    Malta do not determine Malta's list. The score is the mean over the known groups: an expected share of purchases.
    """

    window: int = WINDOW
    active_days: int = 90
    shrinkage: float = SHRINKAGE
    groups: Sequence[str] = GROUPS
    name: str = "cold_start"

    def fit(self, past: Interactions, customers: pd.DataFrame) -> "ColdStart":
        """Compute the shares of products per group.

        customers: customer_id and the columns of the known groups, one row per customer. Raise ValueError where a
        customer has several rows.
        """
        twice = customers["customer_id"].duplicated()
        if twice.any():
            first = customers.loc[twice, "customer_id"].sort_values().iloc[0]
            raise ValueError(
                f"customer {first} has {int((customers['customer_id'] == first).sum())} rows; expected one row each"
            )
        # The window ends with the last purchase, in case there was none recently.
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
        """Return the values of a group column, such as countries, with a purchase in the window."""
        return self.shares[group].index if group in self.shares else pd.Index([])

    def score(self, customers: pd.DataFrame) -> Scores:
        """Return the scores of b customers by their groups; those of the whole shop for an unknown group or none."""
        parts = []
        for group, shares in self.shares.items():
            if group in customers:
                rows = shares.index.get_indexer(pd.Index(customers[group]))
                parts.append(np.vstack([shares.to_numpy(), self.shop])[rows])
        mean = np.mean(parts, axis=0) if parts else np.tile(self.shop, (len(customers), 1))
        return np.where(self.active, mean, 0).astype(np.float32)


def group_lists(past: Interactions, start: ColdStart, groups: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return one list for each row of `groups`: rank, product_id, score, reason, and the columns of `groups`."""
    place, product, score = top(start.score(groups), count)
    # A group without a purchase gets the list of the whole shop.
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
