"""Independent recommenders with one interface: fitted on interactions, they score a block of customers.

Belongs here: recommenders that learn no label. Does not: ranking their union (`ranking`), measuring (`metrics`).

A score is a number to sort by, not a probability. Above zero it is a recommendation, at zero it is none. A block
is a dense float32 array, customers x products, so that memory is bounded by the size of the block. Nobody keeps a
profile of all customers: those of a block are made of its customers' purchases (`Interactions.of`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from clm_dagster.domains.recommend.interactions import Interactions, Ints, evenly_spaced
from clm_dagster.domains.recommend.similarity import (
    Scores,
    Weighting,
    Weights,
    blocks,
    dense,
    nearest,
    neighbours,
    normalized,
    top,
    unit_columns,
)

LISTS = ("next_best", "discover")
POPULARITY_WEIGHT = 0.001
POOL = 20_000  # customers among whom neighbours are sought: time stays linear in customers
EASE_LIMIT = 6000  # a dense matrix of products x products is inverted: 8 bytes x limit^2, time with its cube


class CandidateError(ValueError):
    """A recommender that cannot be fitted on what it was given; says why and which to take instead."""


class Recommender(Protocol):
    """What every candidate can do; `name` is that of its results."""

    name: str

    def fit(self, past: Interactions) -> Self:
        """Learn from purchases before past.as_of."""
        ...

    def score(self, rows: Ints) -> Scores:
        """Scores of b customers, numbers into past.customers, for all products: b x products."""
        ...


@dataclass
class Popularity:
    """The number of days on which customers bought a product in the last `window` days; the same for everyone."""

    window: int = 28
    name: str = "popularity"

    def fit(self, past: Interactions) -> Self:
        """Count; where the window holds no purchase, the time since the last one is added to it."""
        recent = past.age <= max(self.window, self.window + past.age.min() - 1)
        self.counts = np.bincount(past.product[recent], minlength=past.shape[1]).astype(np.float32)
        return self

    def score(self, rows: Ints) -> Scores:
        """The same counts for each of b customers."""
        return np.tile(self.counts, (len(rows), 1))


@dataclass
class BuyAgain:
    """A customer's own days of purchase, each worth 2^(-age / half_life); below them what is popular."""

    half_life: float = 240.0
    window: int = 28
    name: str = "buy_again"

    def fit(self, past: Interactions) -> Self:
        """Decay."""
        self.past = past
        counts = Popularity(self.window).fit(past).counts
        self.popularity = counts / counts.max() * POPULARITY_WEIGHT
        return self

    def score(self, rows: Ints) -> Scores:
        """Popularity adds at most FILLING, a purchase of ten half-lives ago."""
        return dense(self.past.of(rows).decayed(self.half_life)) + self.popularity


@dataclass
class ItemNeighbours:
    """Products like those a customer bought: decayed profile times the similarity of products (Sarwar et al. 2001).

    weights: how customers count in the similarity. half_life: of the profile and of the pairs, in days.
    """

    weights: Weights = "tfidf"
    half_life: float | None = 240.0
    count: int = 100
    name: str = "item_neighbours"

    def fit(self, past: Interactions) -> Self:
        """The `count` most similar products of each."""
        self.past = past
        profile = past.decayed(self.half_life)
        bought_by = Weighting.fit(profile, self.weights).of(profile).T.tocsr()
        self.similarity = neighbours(bought_by, self.count)
        self.liked_by = self.similarity.T.tocsr()
        return self

    def score(self, rows: Ints) -> Scores:
        """Products among nobody's neighbours score 0."""
        return dense(self.past.of(rows).decayed(self.half_life) @ self.liked_by)


@dataclass
class RecentItems:
    """Products like those a customer bought lately: the similarity of `items`, under a profile that decays faster."""

    items: ItemNeighbours
    half_life: float = 30.0
    name: str = "item_recent"

    def fit(self, past: Interactions) -> Self:
        """Fit `items` too, where it is not on these very purchases."""
        self.past = past
        if getattr(self.items, "past", None) is not past:
            self.items.fit(past)
        return self

    def score(self, rows: Ints) -> Scores:
        """As those of ItemNeighbours."""
        return dense(self.past.of(rows).decayed(self.half_life) @ self.items.liked_by)


@dataclass
class UserNeighbours:
    """What the customers with the most similar baskets bought: mean of their profiles, weighted by similarity.

    Neighbours are sought among at most `pool` customers, spread evenly over all.
    """

    weights: Weights = "tfidf"
    half_life: float | None = 240.0
    count: int = 100
    pool: int = POOL
    name: str = "user_neighbours"

    def fit(self, past: Interactions) -> Self:
        """Only the pool; neighbours are found block by block."""
        self.past, self.members = past, evenly_spaced(np.arange(past.shape[0]), self.pool)
        self.weighting = Weighting.fit(past.decayed(self.half_life), self.weights)
        profile = past.of(self.members).decayed(self.half_life)
        self.profile, self.among = normalized(profile), unit_columns(self.weighting.of(profile))
        return self

    def score(self, rows: Ints) -> Scores:
        """A customer is not a neighbour of himself."""
        mine = self.weighting.of(self.past.of(rows).decayed(self.half_life))
        near = nearest(mine, self.among, self.count, _pool_positions(rows, self.members))
        return dense(normalized(near, order=1) @ self.profile)


@dataclass
class ContentBased:
    """Products whose name and category read like those a customer bought: TF-IDF of words, cosine.

    products: product_id, and of name and category what there is; a product without words scores 0.
    """

    products: pd.DataFrame
    half_life: float | None = 240.0
    name: str = "content"

    def fit(self, past: Interactions) -> Self:
        """Words of the names of the products in `past`."""
        self.past, self.words = past, product_words(self.products, past.products)
        return self

    def score(self, rows: Ints) -> Scores:
        """Cosine of the customer's words with the product's."""
        tastes = normalized(sparse.csr_array(self.past.of(rows).decayed(self.half_life) @ self.words))
        return dense(tastes @ self.words.T.tocsr())


@dataclass
class Ease:
    """Ridge regression of each product on all others, its own weight held at 0 (Steck 2019, EASE^R).

    Up to `limit` products: a dense products x products matrix is inverted once.
    """

    ridge: float = 300.0
    half_life: float | None = 240.0
    limit: int = EASE_LIMIT
    name: str = "ease"

    def fit(self, past: Interactions) -> Self:
        """Raises CandidateError above `limit` products."""
        count = past.shape[1]
        if count > self.limit:
            raise CandidateError(
                f"EASE inverts a {count} x {count} matrix; its limit is {self.limit} products. Take item_neighbours"
            )
        seen = past.matrix(np.ones(len(past.age))).sign()
        gram = (seen.T @ seen).toarray()
        gram[np.diag_indices(count)] += self.ridge
        precision = np.linalg.inv(gram)
        weights = -precision / np.diag(precision)
        weights[np.diag_indices(count)] = 0
        self.coefficients = weights.astype(np.float32)
        self.past = past
        return self

    def score(self, rows: Ints) -> Scores:
        """What the other products that the customer bought say about each."""
        profile = self.past.of(rows).decayed(self.half_life).astype(np.float32)
        return np.asarray(profile @ self.coefficients, dtype=np.float32)


@dataclass
class TifuKnn:
    """Own decayed purchases mixed with those of the nearest customers (Hu et al. 2020, TIFU-kNN, continuous decay).

    own: the share of the customer's own vector; the rest is the mean of `count` neighbours by cosine.
    """

    half_life: float = 240.0
    count: int = 300
    own: float = 0.7
    pool: int = POOL
    name: str = "tifu_knn"

    def fit(self, past: Interactions) -> Self:
        """The pool's vectors; neighbours as in UserNeighbours."""
        self.past, self.members = past, evenly_spaced(np.arange(past.shape[0]), self.pool)
        self.profile = past.of(self.members).decayed(self.half_life)
        self.among = unit_columns(self.profile)
        return self

    def score(self, rows: Ints) -> Scores:
        """Own vector and neighbours' mean."""
        mine = self.past.of(rows).decayed(self.half_life)
        near = nearest(mine, self.among, self.count, _pool_positions(rows, self.members))
        mean = normalized(near.sign(), order=1) @ self.profile
        return dense(self.own * mine + (1 - self.own) * mean)


@dataclass
class Hybrid:
    """Weighted sum of recommenders, each scaled so that a customer's best product has 1.

    `Hybrid({"item_neighbours": a, "content": 1 - a}, ...)` is alpha * CF + (1 - alpha) * content.
    """

    members: Mapping[str, Recommender]
    shares: Mapping[str, float]
    name: str = "hybrid"

    def fit(self, past: Interactions) -> Self:
        """Fit the members. Raises CandidateError where shares name others than the members or are negative."""
        if set(self.members) != set(self.shares) or min(self.shares.values()) < 0:
            raise CandidateError(
                f"shares of a hybrid must be at least 0, one for each of {sorted(self.members)}; "
                f"got {dict(self.shares)}"
            )
        for member in self.members.values():
            member.fit(past)
        return self

    def score(self, rows: Ints) -> Scores:
        """Weighted sum of the scaled members."""
        return np.sum(
            [
                share * _scale_to_one(self.members[name].score(rows))
                for name, share in sorted(self.shares.items())
            ],
            axis=0,
            dtype=np.float32,
        )


def candidate_lists(
    recommender: Recommender, past: Interactions, rows: Ints, k: int = 10, active_days: int = 90
) -> pd.DataFrame:
    """Both lists of a fitted recommender for the customers `rows`, in the shape of `Ranker.lists`.

    Products without a sale in `active_days` are on no list; discover holds what the customer had not bought.
    """
    active = past.sold_within(active_days)
    parts = [pd.DataFrame({"list": [], "customer": [], "rank": [], "product": [], "score": []})]
    for block in blocks(len(rows), past.shape[1]):
        scores = np.where(active, recommender.score(rows[block]), 0)
        own = past.of(rows[block])
        for name in LISTS:
            if name == "discover":
                scores[own.customer, own.product] = 0
            place, product, score = top(scores, k)
            rank = np.arange(len(place)) - np.searchsorted(place, place) + 1
            found = {
                "list": name,
                "customer": rows[block][place],
                "rank": rank,
                "product": product,
                "score": score,
            }
            parts.append(pd.DataFrame(found))
    frame = pd.concat(parts[1:] or parts, ignore_index=True)
    return frame.sort_values(["list", "customer", "rank"], ignore_index=True)


def product_words(products: pd.DataFrame, ids: NDArray[np.object_]) -> sparse.csr_array:
    """TF-IDF of the words of name and category, rows of length 1, one for each of `ids`; no words, a row of zeros.

    products: product_id, name, category, the last two optional. The first of several rows of a product counts.
    """
    text = pd.Series("", index=products.index, dtype=object)
    for column in ("name", "category"):
        if column in products:
            text = text + " " + products[column].astype(object).where(products[column].notna(), "")
    known = pd.Series(text.to_numpy(), index=products["product_id"].astype(str))
    known = known.sort_values(kind="stable").groupby(level=0).first()
    texts = known.reindex(ids).fillna("").to_list()
    if not any(any(character.isalnum() for character in text) for text in texts):
        return sparse.csr_array((len(ids), 1))
    # Single characters count too: sizes, and languages that do not part words.
    return sparse.csr_array(TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True).fit_transform(texts))


def _pool_positions(rows: Ints, members: Ints) -> Ints:
    """The numbers of customers in the pool, -1 for those outside it."""
    return pd.Index(members).get_indexer(pd.Index(rows)).astype(np.int64)


def _scale_to_one(scores: Scores) -> Scores:
    best = scores.max(axis=1, keepdims=True)
    return np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)
