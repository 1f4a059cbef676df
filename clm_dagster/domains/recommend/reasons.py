"""The reason for each place on a list, as a sentence for customer-facing staff.

Belongs here: sentences about pairs of customer and product. Does not: which products are on a list (`ranking`, `cold`).

A reason states facts about the pair, not the model's weights: the customer's purchases of the product; else the most
similar product that the customer bought; else the number of recent buyers.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clm_dagster.domains.recommend.interactions import Interactions, Ints
from clm_dagster.domains.recommend.similarity import best_stored, cells

Texts = NDArray[np.object_]

WINDOW = 28
# Each pair takes four kilobytes, because of its hundred similar products.
_PAIRS_PER_CHUNK = 20_000


class Explainer:
    """Sentences about pairs of customers and products; shared lookups are computed once.

    similarity: products x products, as `ItemNeighbours.similarity`; without it no reason refers to similar products.
    names: product_id -> name; a product without a name is shown by its id. window: days that count as recent.
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
        """Return one sentence for each of n pairs. rows, products: positions of the customer and the product."""
        slices = [slice(start, start + _PAIRS_PER_CHUNK) for start in range(0, len(rows), _PAIRS_PER_CHUNK)]
        parts = [self._chunk_reasons(rows[some], products[some]) for some in slices]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=object)

    def _chunk_reasons(self, rows: Ints, products: Ints) -> Texts:
        out = self.popular[products]
        people, place = np.unique(rows, return_inverse=True)
        some = self.past.of(people)
        own = cells(some.decayed(), place, products)
        new = np.flatnonzero(own == 0)
        if self.similarity is not None and len(new):
            like, recent = self.similarity[products[new]], some.decayed(180.0)[place[new]]
            source, strength = best_stored(like.multiply(recent).tocsr())
            names = self.display_names[source[strength > 0]]
            out[new[strength > 0]] = "often bought by those who bought " + names + ", as this customer did"
        bought = own > 0
        first, last = (cells(t, place[bought], products[bought]) for t in (some.earliest(), some.latest()))
        out[bought] = repeat_reasons(own[bought], first, last)
        return out


def repeat_reasons(
    times: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> Texts:
    """Return sentences about n products that the customer bought on `times` days.

    first, last: days since the first and the last purchase. Example: "bought 4 times, about every 31 days, last 40
    days ago". The gap is the mean over the customer's purchases of the product.
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
    reasons: Texts = np.where(times > 1, often + " ago", "bought once, " + ago + " ago").astype(object)
    return reasons


def popularity_reasons(past: Interactions, products: Ints, window: int = WINDOW, where: str = "") -> Texts:
    """Return sentences about the recent buyers of n products.

    where: describes the customers that are counted, as part of the sentence; `past` must hold exactly those.
    """
    recent = past.age <= window
    pairs = pd.DataFrame({"c": past.customer[recent], "p": past.product[recent]}).drop_duplicates()
    buyers = np.bincount(pairs["p"], minlength=past.shape[1])[products]
    one = np.where(buyers == 1, " customer", " customers").astype(object)
    text = "bought by " + _whole(buyers) + one + f"{where} in the last {window} days"
    return np.where(buyers > 0, text, f"sold before, but not in the last {window} days").astype(object)


def names_of(products: pd.DataFrame) -> pd.Series:
    """Return product_id -> name, for products with a name."""
    return pd.Series(
        products["name"].to_numpy(dtype=object), index=products["product_id"].astype(str)
    ).dropna()


def display_names(ids: Texts, names: pd.Series | None) -> Texts:
    """Return the names of products, or the id where there is no name. names: result of `names_of`."""
    if names is None:
        return ids
    found = names.reindex(ids)
    return found.where(found.notna(), pd.Series(ids, index=found.index)).to_numpy(dtype=object)


def _days(values: NDArray[np.float64], one: str = "1 day") -> Texts:
    whole = np.rint(values)
    return np.where(whole == 1, one, _whole(whole) + " days").astype(object)


def _whole(values: NDArray[np.float64] | Ints) -> Texts:
    """Return whole numbers with thousands separators; each distinct number is formatted once."""
    codes, distinct = pd.factorize(np.rint(values))
    return np.array([f"{value:,.0f}" for value in distinct], dtype=object)[codes]
