"""Candidate pairs of customers and products, with the tables of their features.

Belongs here: how pairs share the features of a customer, a product or a purchase. Does not: computing features
(`features`), the models (`ranking`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.recommend.interactions import Ints

RATIOS = (
    "own_gap",
    "own_overdue",
    "own_share",
    "own_since_last",
    "customer_overdue",
    "product_share",
)


@dataclass(frozen=True)
class FeatureTable:
    """Features that pairs share. x: m rows. row: the row of each of n pairs; None where each pair has its own row."""

    x: pd.DataFrame
    row: Ints | None = None

    def frame(self) -> pd.DataFrame:
        """Return the features of each pair: n rows."""
        return self.x if self.row is None else self.x.iloc[self.row].reset_index(drop=True)


@dataclass(frozen=True)
class Pairs:
    """n candidate pairs of b customers, sorted by customer and product.

    place: positions among the b customers. product: positions among the products. is_new: whether the customer has not
    bought the product before. tables: of features; no feature is in two of them.
    """

    place: Ints
    product: Ints
    is_new: NDArray[np.bool_]
    tables: Sequence[FeatureTable]

    def __len__(self) -> int:
        return len(self.place)

    @property
    def names(self) -> list[str]:
        """The names of all features, in the order of `frame`."""
        # A fit draws features by number, so the order is fixed: features, their ratios, ranks.
        return sorted(self._names(), key=lambda name: (name in RATIOS) + 2 * name.startswith("rank_"))

    def frame(self) -> pd.DataFrame:
        """Return all features of each pair: n rows."""
        return pd.concat([table.frame() for table in self.tables], axis=1)[self.names]

    def of(self, kept: NDArray[np.bool_]) -> "Pairs":
        """Return some of the pairs, with the same numbers of customers. kept: which of the n pairs."""
        tables = [
            FeatureTable(table.x[kept].reset_index(drop=True))
            if table.row is None
            else FeatureTable(table.x, table.row[kept])
            for table in self.tables
        ]
        return Pairs(self.place[kept], self.product[kept], self.is_new[kept], tables)

    def of_customers(self, chosen: NDArray[np.bool_]) -> "Pairs":
        """Return the pairs of some customers, which are numbered anew. chosen: which of the b customers."""
        found = self.of(chosen[self.place])
        return replace(found, place=(np.cumsum(chosen) - 1)[found.place])

    def _names(self) -> Iterator[str]:
        for table in self.tables:
            yield from map(str, table.x)
