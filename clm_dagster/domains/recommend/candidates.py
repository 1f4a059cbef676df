"""Candidate recommenders with one interface: they are fitted on interactions and score a block of customers.

Belongs here: recommenders that are fitted without labels. Does not: ranking their union (`ranking`), metrics
(`metrics`).

A score orders products; it is not a probability. A score above zero is a recommendation. A block is a dense float32
array, customers x products, so its size bounds the memory. No recommender stores the profiles of all customers; the
profiles of a block are computed from the purchases of its customers (`Interactions.of`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.sparsefuncs import sparse_matmul_to_dense

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
    product,
    top,
    unit_columns,
)

LISTS = ("next_best", "discover")
POPULARITY_WEIGHT = 0.001
POOL = 20_000  # number of customers among which neighbours are searched, so that time is linear in customers
EASE_LIMIT = (
    6000  # limit of products: a dense products x products matrix is inverted, 8 bytes x limit^2, cubic time
)


class CandidateError(ValueError):
    """A recommender cannot be fitted on its input; the message says why and what to use instead."""


class Recommender(Protocol):
    """The interface of every candidate; `name` identifies its results."""

    name: str

    def fit(self, past: Interactions) -> Self:
        """Fit on purchases before past.as_of."""
        ...

    def score(self, rows: Ints) -> Scores:
        """Return the scores of b customers for all products: b x products. rows: positions in past.customers."""
        ...


@dataclass
class Popularity:
    """Popularity: days on which customers bought a product in the last `window` days; the same for every customer."""

    window: int = 28
    name: str = "popularity"

    def fit(self, past: Interactions) -> Self:
        """Count purchases in the window, which ends with the last purchase."""
        recent = past.age <= max(self.window, self.window + past.age.min() - 1)
        self.counts = np.bincount(past.product[recent], minlength=past.shape[1]).astype(np.float32)
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the same counts for each of b customers."""
        return np.tile(self.counts, (len(rows), 1))


@dataclass
class BuyAgain:
    """A customer's own purchase days, each weighted 2^(-age / half_life), followed by popular products."""

    half_life: float = 240.0
    window: int = 28
    name: str = "buy_again"

    def fit(self, past: Interactions) -> Self:
        """Store the purchases, and compute popularity."""
        self.past = past
        counts = Popularity(self.window).fit(past).counts
        self.popularity = counts / counts.max() * POPULARITY_WEIGHT
        return self

    def score(self, rows: Ints) -> Scores:
        """Return decayed purchases plus popularity, which is worth at most a purchase of ten half-lives ago."""
        scores: Scores = dense(self.past.of(rows).decayed(self.half_life)) + self.popularity
        return scores


@dataclass
class ItemNeighbours:
    """Products similar to those a customer bought: decayed profile times product similarity (Sarwar et al. 2001).

    weights: weighting of customers in the similarity. half_life: in days, of the profile and of the similarity.
    """

    weights: Weights = "tfidf"
    half_life: float | None = 240.0
    count: int = 100
    name: str = "item_neighbours"

    def fit(self, past: Interactions) -> Self:
        """Compute the `count` most similar products of each product."""
        self.past = past
        profile = past.decayed(self.half_life)
        bought_by = Weighting.fit(profile, self.weights).of(profile).T.tocsr()
        self.similarity = neighbours(bought_by, self.count)
        self.liked_by = self.similarity.T.tocsr()
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the scores; a product that is not similar to any purchase of the customer scores 0."""
        return product(self.past.of(rows).decayed(self.half_life), self.liked_by)


@dataclass
class RecentItems:
    """Products similar to recent purchases: the similarity of `items` with a profile that decays faster."""

    items: ItemNeighbours
    half_life: float = 30.0
    name: str = "item_recent"

    def fit(self, past: Interactions) -> Self:
        """Fit `items` as well, unless it is fitted on the same purchases."""
        self.past = past
        if getattr(self.items, "past", None) is not past:
            self.items.fit(past)
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the scores as ItemNeighbours does."""
        return product(self.past.of(rows).decayed(self.half_life), self.items.liked_by)


@dataclass
class UserNeighbours:
    """Products bought by the most similar customers: the mean of their profiles, weighted by similarity.

    Neighbours are searched among at most `pool` customers, at even distances among all.
    """

    weights: Weights = "tfidf"
    half_life: float | None = 240.0
    count: int = 100
    pool: int = POOL
    name: str = "user_neighbours"

    def fit(self, past: Interactions) -> Self:
        """Compute the profiles of the pool; neighbours are found block by block."""
        self.past, self.members = past, evenly_spaced(np.arange(past.shape[0]), self.pool)
        self.weighting = Weighting.fit(past.decayed(self.half_life), self.weights)
        profile = past.of(self.members).decayed(self.half_life)
        self.profile, self.among = normalized(profile), unit_columns(self.weighting.of(profile))
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the scores. A customer is excluded from their own neighbours."""
        mine = self.weighting.of(self.past.of(rows).decayed(self.half_life))
        near = nearest(mine, self.among, self.count, _pool_positions(rows, self.members))
        return product(normalized(near, order=1), self.profile)


@dataclass
class ContentBased:
    """Products with a name and category similar to those a customer bought: TF-IDF of words, cosine.

    products: product_id, name, category; the last two are optional. A product without words scores 0.
    """

    products: pd.DataFrame
    half_life: float | None = 240.0
    name: str = "content"

    def fit(self, past: Interactions) -> Self:
        """Compute the word vectors of the products in `past`."""
        self.past, self.words = past, product_words(self.products, past.products)
        self.products_by_word = self.words.T.tocsr()
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the cosine of the customer's words with those of each product."""
        tastes = normalized(sparse.csr_array(self.past.of(rows).decayed(self.half_life) @ self.words))
        return product(tastes, self.products_by_word)


@dataclass
class Ease:
    """Ridge regression of each product on all others, its own weight constrained to 0 (Steck 2019, EASE^R).

    At most `limit` products, because a dense products x products matrix is inverted.
    """

    ridge: float = 300.0
    half_life: float | None = 240.0
    limit: int = EASE_LIMIT
    name: str = "ease"

    def fit(self, past: Interactions) -> Self:
        """Compute the coefficients. Raise CandidateError above `limit` products, or where `ridge` is too small."""
        count = past.shape[1]
        if count > self.limit:
            raise CandidateError(
                f"EASE would invert a {count} x {count} matrix; its limit is {self.limit} products. "
                "Use item_neighbours"
            )
        seen = past.matrix(np.ones(len(past.age))).sign().astype(np.float32)
        gram = (seen.T @ seen).toarray(order="F")
        gram[np.diag_indices(count)] += self.ridge
        weights = _inverse(gram)
        weights /= -np.diag(weights)
        weights[np.diag_indices(count)] = 0
        self.coefficients = weights
        self.past = past
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the regression on the customer's purchases of all other products."""
        profile = self.past.of(rows).decayed(self.half_life).astype(np.float32)
        return np.asarray(profile @ self.coefficients, dtype=np.float32)


@dataclass
class TifuKnn:
    """Own decayed purchases mixed with those of the nearest customers (Hu et al. 2020, TIFU-kNN, continuous decay).

    own: weight of the customer's own vector; the remaining weight is on the mean of the `count` nearest neighbours.
    """

    half_life: float = 240.0
    count: int = 300
    own: float = 0.7
    pool: int = POOL
    name: str = "tifu_knn"

    def fit(self, past: Interactions) -> Self:
        """Compute the vectors of the pool; neighbours are found as in UserNeighbours."""
        self.past, self.members = past, evenly_spaced(np.arange(past.shape[0]), self.pool)
        self.profile = past.of(self.members).decayed(self.half_life)
        self.among = unit_columns(self.profile)
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the mixture of the own vector and the mean of the neighbours."""
        mine = self.past.of(rows).decayed(self.half_life)
        near = nearest(mine, self.among, self.count, _pool_positions(rows, self.members))
        mixture = sparse_matmul_to_dense(normalized(near.sign(), order=1), self.profile)
        mixture *= 1 - self.own
        mixture[mine.tocoo().coords] += self.own * mine.data
        return np.asarray(mixture, dtype=np.float32)


@dataclass
class Hybrid:
    """Weighted sum of recommenders, each scaled so that a customer's best product scores 1.

    members, shares: recommenders and their weights, by name.
    """

    members: Mapping[str, Recommender]
    shares: Mapping[str, float]
    name: str = "hybrid"

    def fit(self, past: Interactions) -> Self:
        """Fit the members. Raise CandidateError where the shares do not match the members or are negative."""
        if set(self.members) != set(self.shares) or min(self.shares.values()) < 0:
            raise CandidateError(
                f"shares of a hybrid must be at least 0, one for each of {sorted(self.members)}; "
                f"got {dict(self.shares)}"
            )
        for member in self.members.values():
            member.fit(past)
        return self

    def score(self, rows: Ints) -> Scores:
        """Return the weighted sum of the scaled scores of the members."""
        scores: Scores = np.sum(
            [
                share * _scale_to_one(self.members[name].score(rows))
                for name, share in sorted(self.shares.items())
            ],
            axis=0,
            dtype=np.float32,
        )
        return scores


def candidate_lists(
    recommender: Recommender,
    past: Interactions,
    rows: Ints,
    k: int = 10,
    active_days: int = 90,
    names: Sequence[str] = LISTS,
) -> pd.DataFrame:
    """Return the lists `names` of a fitted recommender for the customers `rows`, with the columns of `Ranker.lists`.

    Products without a sale in `active_days` are excluded. The list discover excludes products that the customer has
    bought before.
    """
    active = past.sold_within(active_days)
    parts = [pd.DataFrame({"list": [], "customer": [], "rank": [], "product": [], "score": []})]
    for block in blocks(len(rows), past.shape[1]):
        parts += block_lists(recommender, past, active, rows[block], k, names)
    return sorted_lists(parts[1:] or parts)


def block_lists(
    recommender: Recommender,
    past: Interactions,
    active: NDArray[np.bool_],
    rows: Ints,
    k: int = 10,
    names: Sequence[str] = LISTS,
) -> list[pd.DataFrame]:
    """Return the lists `names` of one block of customers, one frame each. active: which products may be listed."""
    scores = np.where(active, recommender.score(rows), 0)
    own = past.of(rows)
    found = []
    for name in names:
        if name == "discover":
            scores[own.customer, own.product] = 0
        place, item, score = top(scores, k)
        rank = np.arange(len(place)) - np.searchsorted(place, place) + 1
        columns = {
            "list": name,
            "customer": rows[place],
            "rank": rank,
            "product": item,
            "score": score,
        }
        found.append(pd.DataFrame(columns))
    return found


def sorted_lists(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the lists of all blocks in one frame, sorted by list, customer and rank."""
    frame = pd.concat(parts, ignore_index=True)
    return frame.sort_values(["list", "customer", "rank"], ignore_index=True)


def product_words(products: pd.DataFrame, ids: NDArray[np.object_]) -> sparse.csr_array:
    """Return TF-IDF of the words of name and category, one unit row for each of `ids`, zeros without words.

    products: product_id, name, category, the last two optional. Of several rows of a product, the first in
    alphabetical order counts.
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
    # Single characters count as words: sizes, and languages without spaces.
    return sparse.csr_array(TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True).fit_transform(texts))


def _pool_positions(rows: Ints, members: Ints) -> Ints:
    """Return the positions of customers in the pool, -1 for those outside it."""
    return pd.Index(members).get_indexer(pd.Index(rows)).astype(np.int64)


def _inverse(matrix: Scores) -> Scores:
    """Return the inverse of a symmetric positive definite matrix, which is overwritten.

    The inverse by Cholesky's factors in float32 takes a fifth of the time of `np.linalg.inv`. The ridge bounds the
    condition number, so that about six digits are right.
    """
    factor, problem = lapack.spotrf(matrix, lower=1, overwrite_a=1)
    inverse, unsolved = lapack.spotri(factor, lower=1, overwrite_c=1)
    if problem or unsolved:
        raise CandidateError(f"EASE cannot invert its matrix of {len(matrix)} products; raise `ridge`")
    lower = np.tril(inverse)
    return np.asarray(lower + np.tril(inverse, -1).T, dtype=np.float32)


def _scale_to_one(scores: Scores) -> Scores:
    best = scores.max(axis=1, keepdims=True)
    scaled: Scores = np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)
    return scaled
