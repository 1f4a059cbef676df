"""Metrics of lists: ten recommended products against the actual purchases in the days after as_of.

Belongs here: the global time split, relevance, NDCG, recall, hit, coverage, novelty, intervals over customers.
Does not: making lists (`candidates`, `ranking`).

The split is global: every method is fitted on days before as_of and evaluated on [as_of, as_of + horizon), for all
known customers with an order in it. A leave-last-out split per customer would leak the future of other customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.statistics.evaluation import Difference, mean_intervals

Floats = NDArray[np.float64]

K = 10


class NoPurchases(ValueError):  # noqa: N818
    """No known customer bought anything in the window, so there is nothing to evaluate against."""


@dataclass(frozen=True)
class Truth:
    """The actual purchases in the window: the ground truth.

    rows: c positions of customers with a relevant product, sorted. bought: c x products, 1 where the customer bought
    the product. sizes: c, the number of relevant products. It includes products without a sale before as_of: no
    method can recommend them, but they count in recall.
    """

    rows: Ints
    bought: sparse.csr_array
    sizes: Floats


def window_truth(
    later: Interactions,
    past: Interactions,
    horizon_days: int,
    kind: str = "all",
    next_basket: bool = False,
    among: Ints | None = None,
) -> Truth:
    """Return the purchases in the `horizon_days` from past.as_of, of customers that are known in `past`.

    later: purchases up to the end of the window or longer. kind: "all", or "new" for products that the customer had
    not bought before. next_basket: only the customer's first day in the window. among: only these customers, as
    positions in `past`. Raise NoPurchases where none of them bought, ValueError where `later` ends too early.
    """
    if kind not in ("all", "new"):
        raise ValueError(f"kind of products is 'all' or 'new', not {kind!r}")
    customer, product = _pairs_after(later, past.as_of, horizon_days, next_basket)
    row = past.rows_of(later.customers)[customer]
    column = past.columns_of(later.products)[product]
    # Unknown customers are dropped. Unknown products are kept with position -1, which no list contains.
    known = row >= 0 if among is None else np.isin(row, among)
    row, column = row[known], column[known]
    if kind == "new":
        fresh = ~stored(past.latest(), row, column)
        row, column = row[fresh], column[fresh]
    if not len(row):
        raise NoPurchases(
            f"no known customer bought {'a new product' if kind == 'new' else 'anything'} in the {horizon_days} days "
            f"from {past.as_of} on"
        )
    rows, place, sizes = np.unique(row, return_inverse=True, return_counts=True)
    named = column >= 0
    bought = sparse.csr_array(
        (np.ones(named.sum()), (place[named], column[named])), shape=(len(rows), past.shape[1])
    )
    return Truth(rows, bought, sizes.astype(float))


def list_metrics(truth: Truth, products: Ints, k: int = K) -> pd.DataFrame:
    """Return ndcg, recall and hit of the c customers of `truth`.

    products: c x k, best first, -1 where a list ends early. NDCG has gain 1 and discount 1 / log2(rank + 1); the ideal
    list has min(k, relevant) hits (Järvelin, Kekäläinen 2002). Recall is hits / relevant products. Hit is whether
    there is at least one hit.
    """
    products = products[:, :k]
    count, width = products.shape
    row = np.repeat(np.arange(count), width)
    hits = stored(truth.bought, row, products.ravel()).reshape(count, width).astype(float)
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(discount)[np.minimum(truth.sizes, k).astype(int) - 1]
    return pd.DataFrame(
        {
            "ndcg": hits @ discount[:width] / ideal,
            "recall": hits.sum(axis=1) / truth.sizes,
            "hit": (hits.sum(axis=1) > 0).astype(float),
        },
        index=truth.rows,
    )


def coverage(products: Ints, catalogue: int) -> float:
    """Return the share of the catalogue that is on at least one list."""
    return len(np.unique(products[products >= 0])) / catalogue


def novelty(products: Ints, past: Interactions) -> float:
    """Return the mean over all places of -log2(share of customers who bought the product) (Zhou et al. 2010)."""
    buyers = np.bincount(past.product[past.pair_starts], minlength=past.shape[1])
    return float(-np.log2(buyers[products[products >= 0]] / past.shape[0]).mean())


def gains_over(values: Mapping[str, Floats], reference: str) -> dict[str, Difference]:
    """Return the mean of each candidate minus that of `reference`, on the same resamples. values: n per candidate."""
    differences = np.column_stack([one - values[reference] for one in values.values()])
    return dict(zip(values, mean_intervals(differences), strict=True))


def padded(rows: Ints, products: Ints, count: int, k: int = K) -> Ints:
    """Return lists as an array count x k, from rows and products of `similarity.top`; -1 where a list ends early."""
    out = np.full((count, k), -1, dtype=np.int64)
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    keep = place < k
    out[rows[keep], place[keep]] = products[keep]
    return out


def _pairs_after(later: Interactions, as_of: date, horizon_days: int, next_basket: bool) -> tuple[Ints, Ints]:
    """Return the distinct pairs of customers and products in the window, as positions in `later`."""
    start = (later.as_of - as_of).days
    if start < horizon_days:
        raise ValueError(
            f"purchases are known up to {later.as_of}; the {horizon_days} days from {as_of} on end later"
        )
    inside = (later.age <= start) & (later.age > start - horizon_days)
    customer, product, age = later.customer[inside], later.product[inside], later.age[inside]
    if next_basket:
        on_first = age == pd.Series(age).groupby(customer).transform("max").to_numpy()
        customer, product = customer[on_first], product[on_first]
    pairs = np.unique(customer.astype(np.int64) * later.shape[1] + product)
    found, named = np.divmod(pairs, later.shape[1])
    return found, named


def stored(matrix: sparse.csr_array, row: Ints, column: Ints) -> NDArray[np.bool_]:
    """Return whether the cells are stored in a sparse matrix; False for column -1."""
    width = matrix.shape[1]
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    keys = np.append(np.sort(rows * width + matrix.indices), -1)
    wanted = row * width + column
    found: NDArray[np.bool_] = (column >= 0) & (keys[np.searchsorted(keys[:-1], wanted)] == wanted)
    return found
