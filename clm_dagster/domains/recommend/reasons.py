"""Why a product stands on a list, in words that a customer's adviser can repeat.

Belongs here: sentences about pairs. Does not: which products stand on the list (`ranking`, `cold`).

A reason tells what is known of the pair, not how a model weighs it: own purchases first, else the product of his
that it goes with best, else how many buy it now.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.similarity import best_stored, cells

Texts = NDArray[np.object_]

WINDOW = 28
# Pairs that are looked up together: with their hundred similar products each takes four kilobytes.
_PAIRS_PER_CHUNK = 20_000


class Explainer:
    """Sentences on pairs of customers and products; what all of them look up is computed once.

    similarity: products x products, as `ItemNeighbours.similarity`; without it nothing is said of what goes with
    what. names: product_id -> name; a product without one is called by its id. window: days of "now".
    """

    def __init__(
        self,
        past: Interactions,
        similarity: sparse.csr_array | None = None,
        names: pd.Series | None = None,
        window: int = WINDOW,
    ) -> None:
        everything = np.arange(past.shape[1], dtype=np.int64)
        self.past, self.similarity = past, similarity
        self.popular = popularity_reasons(past, everything, window)
        self.display_names = display_names(past.products, names)

    def of(self, rows: Ints, products: Ints) -> Texts:
        """One sentence for each of n pairs of a customer's and a product's number."""
        slices = [slice(start, start + _PAIRS_PER_CHUNK) for start in range(0, len(rows), _PAIRS_PER_CHUNK)]
        parts = [self._some(rows[some], products[some]) for some in slices]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=object)

    def _some(self, rows: Ints, products: Ints) -> Texts:
        out = self.popular[products]
        people, place = np.unique(rows, return_inverse=True)
        some = self.past.of(people)
        own = cells(some.decayed(), place, products)
        new = np.flatnonzero(own == 0)
        if self.similarity is not None and len(new):
            like, recent = self.similarity[products[new]], some.decayed(180.0)[place[new]]
            source, strength = best_stored(like.multiply(recent).tocsr())
            display_names = self.display_names[source[strength > 0]]
            out[new[strength > 0]] = (
                "often bought by those who bought " + display_names + ", as this customer did"
            )
        bought = own > 0
        first, last = (cells(t, place[bought], products[bought]) for t in (some.earliest(), some.latest()))
        out[bought] = repeat_reasons(own[bought], first, last)
        return out


def repeat_reasons(
    times: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> Texts:
    """Sentences on n products that were bought on `times` days, the first and the last so many days ago.

    "bought 4 times, about every 31 days, last 40 days ago": the gap is the mean over the customer's own
    purchases of this product; once bought there is none.
    """
    gap = (first - last) / np.maximum(times - 1, 1)
    ago = _days(last)
    often = (
        "bought "
        + _whole(times)
        + " times, about every "
        + _days(np.maximum(gap, 1), "day")
        + ", last "
        + ago
    )
    return np.where(times > 1, often + " ago", "bought once, " + ago + " ago").astype(object)


def popularity_reasons(past: Interactions, products: Ints, window: int = WINDOW, where: str = "") -> Texts:
    """Sentences on n products that no purchase of the customer's own speaks for.

    where: whose customers are counted, as a part of the sentence; `past` must hold just those.
    """
    recent = past.age <= window
    pairs = pd.DataFrame({"c": past.customer[recent], "p": past.product[recent]}).drop_duplicates()
    buyers = np.bincount(pairs["p"], minlength=past.shape[1])[products]
    one = np.where(buyers == 1, " customer", " customers").astype(object)
    text = "bought by " + _whole(buyers) + one + f"{where} in the last {window} days"
    return np.where(buyers > 0, text, f"sold before, but not in the last {window} days").astype(object)


def names_of(products: pd.DataFrame) -> pd.Series:
    """product_id -> name, of those that have one."""
    return pd.Series(
        products["name"].to_numpy(dtype=object), index=products["product_id"].astype(str)
    ).dropna()


def display_names(ids: Texts, names: pd.Series | None) -> Texts:
    """The names of products, of `names_of`; one without a name is called by its id."""
    if names is None:
        return ids
    found = names.reindex(ids)
    return found.where(found.notna(), pd.Series(ids, index=found.index)).to_numpy(dtype=object)


def _days(values: NDArray[np.float64], one: str = "1 day") -> Texts:
    whole = np.rint(values)
    return np.where(whole == 1, one, _whole(whole) + " days").astype(object)


def _whole(values: NDArray[np.float64] | Ints) -> Texts:
    """Whole numbers as people write them; each distinct number is written once."""
    codes, distinct = pd.factorize(np.rint(values))
    return np.array([f"{value:,.0f}" for value in distinct], dtype=object)[codes]
