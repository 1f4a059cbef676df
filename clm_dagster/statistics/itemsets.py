"""Which sets of products are often in the same basket.

Belongs here: baskets as numbers and bits, the search for frequent itemsets. Does not: rules (`association`), their
p-values (`independence`).

The search is Eclat (Zaki 2000) on bits: the support of a set is the number of ones in the conjunction of its products'
rows. Each product has bits for its own baskets only, and only for the products that are often with it (the occurrence
delivery of Uno et al. 2004). So the cost grows with the pairs inside baskets, not with products times baskets.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.independence import RuleError

Bits = NDArray[np.uint64]
Ints = NDArray[np.int64]
Itemset = tuple[int, ...]


@dataclass(frozen=True)
class Baskets:
    """Distinct lines of baskets, sorted by basket and rank. Product 0 has rank `ranks[0]`; rare products rank first.

    basket, rank: numbers, one per line. products: sorted ids. counts: baskets of each product. ranks: of each product.
    total: of all baskets.
    """

    basket: Ints
    rank: Ints
    products: NDArray[np.object_]
    counts: Ints
    ranks: Ints
    total: int

    @property
    def by_rank(self) -> Ints:
        """Return the products, rare ones first."""
        return np.argsort(self.ranks)

    @property
    def product(self) -> Ints:
        """Return the product of each line."""
        return self.by_rank[self.rank]


def number_baskets(lines: pd.DataFrame) -> Baskets:
    """Return the baskets of lines (order_id, product_id); a product counts once per basket.

    Raises:
        RuleError: there are no lines.
    """
    lines = lines[["order_id", "product_id"]].dropna()
    if lines.empty:
        raise RuleError("no purchase line has both an order_id and a product_id; rules need baskets")
    basket, orders = pd.factorize(lines["order_id"].astype(str))
    product, products = pd.factorize(lines["product_id"].astype(str), sort=True)
    line = np.sort(basket * len(products) + product)
    line = line[np.concatenate([[True], line[1:] != line[:-1]])]
    product = line % len(products)
    counts = np.bincount(product, minlength=len(products))
    ranks = np.empty(len(products), dtype=np.int64)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(products))
    line = np.sort(line - product + ranks[product])
    ids = np.asarray(products, dtype=object)
    return Baskets(line // len(products), line % len(products), ids, counts, ranks, len(orders))


def frequent_itemsets(baskets: Baskets, minimum: int, longest: int) -> Iterator[tuple[Itemset, int]]:
    """Yield itemsets of at most `longest` products in at least `minimum` baskets, with counts, ascending inside.

    Single products come first.
    """
    often = np.flatnonzero(baskets.counts >= minimum)
    yield from (
        ((i,), count) for i, count in zip(often.tolist(), baskets.counts[often].tolist(), strict=True)
    )
    if longest < 2:
        return
    # A product is extended by more frequent ones only, so popular products stay cheap.
    number = len(baskets.products)
    follows, products = _Followers.of(baskets), baskets.by_rank.tolist()
    for rank in range(number - len(often), number - 1):
        for items, count in _of_product(follows, rank, minimum, longest):
            yield tuple(sorted([products[i] for i in items])), count


@dataclass(frozen=True)
class _Followers:
    """Lines of baskets. end: of each line's basket. lines, starts: the lines of each rank."""

    rank: Ints
    end: Ints
    lines: Ints
    starts: Ints

    @classmethod
    def of(cls, baskets: Baskets) -> "_Followers":
        ends = np.cumsum(np.bincount(baskets.basket, minlength=baskets.total))
        sizes = np.bincount(baskets.rank, minlength=len(baskets.products))
        return cls(
            baskets.rank,
            ends[baskets.basket],
            np.argsort(baskets.rank, kind="stable"),
            np.concatenate([[0], np.cumsum(sizes)]),
        )

    def after(self, rank: int) -> tuple[Ints, Ints, int]:
        """Return the more frequent products in the baskets of a product: basket number, rank; and number of baskets."""
        at = self.lines[self.starts[rank] : self.starts[rank + 1]]
        lengths = self.end[at] - at - 1
        basket = np.repeat(np.arange(len(at)), lengths)
        first = np.repeat(at + 1 - (np.cumsum(lengths) - lengths), lengths)
        return basket, self.rank[first + np.arange(len(basket))], len(at)


def _of_product(follows: _Followers, rank: int, minimum: int, longest: int) -> Iterator[tuple[Itemset, int]]:
    """Yield the itemsets of a product and more frequent ones, as ranks."""
    basket, other, total = follows.after(rank)
    if len(other) < minimum:
        return
    first = rank + 1
    counts = np.bincount(other - first)
    often = counts >= minimum
    partners = np.flatnonzero(often) + first
    yield from (((rank, i), c) for i, c in zip(partners.tolist(), counts[often].tolist(), strict=True))
    if longest < 3 or len(partners) < 2:
        return
    inside = often[other - first]
    rows = (np.cumsum(often) - 1)[other[inside] - first]
    words = as_bits(rows, basket[inside], len(partners), total)
    yield from _extend((rank,), partners, words, minimum, longest)


def as_bits(row: Ints, column: Ints, rows: int, columns: int) -> Bits:
    """Return rows x ceil(columns / 64) words with a one for each pair of row and column."""
    words = np.zeros((rows, max(-(-columns // 64), 1)), dtype=np.uint64)
    np.bitwise_or.at(words, (row, column // 64), np.uint64(1) << (column % 64).astype(np.uint64))
    return words


def _extend(
    prefix: Itemset, items: Ints, words: Bits, minimum: int, longest: int
) -> Iterator[tuple[Itemset, int]]:
    if len(prefix) + 1 >= longest:
        return
    for place in range(len(items) - 1):
        common = words[place] & words[place + 1 :]
        counts = np.bitwise_count(common).sum(axis=1, dtype=np.int64)
        often = np.flatnonzero(counts >= minimum)
        longer = (*prefix, int(items[place]))
        rest = items[place + 1 :][often]
        found = zip(rest.tolist(), counts[often].tolist(), strict=True)
        yield from (((*longer, i), count) for i, count in found)
        yield from _extend(longer, rest, common[often], minimum, longest)
