"""Recommenders compared with dense numpy; planted tastes, ties, and input with little information."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from clm_dagster.domains.recommend import similarity
from clm_dagster.domains.recommend.candidates import (
    BuyAgain,
    CandidateError,
    ContentBased,
    Ease,
    Hybrid,
    ItemNeighbours,
    Popularity,
    RecentItems,
    Recommender,
    TifuKnn,
    UserNeighbours,
    product_words,
)
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.similarity import blocks, neighbours, top, weighted
from clm_dagster_tests.domains.recommend.shop import AS_OF

Make = Callable[[pd.DataFrame], Recommender]
EVERY: dict[str, Make] = {
    "popularity": lambda names: Popularity(),
    "buy_again": lambda names: BuyAgain(),
    "item_cosine": lambda names: ItemNeighbours("cosine"),
    "item_tfidf": lambda names: ItemNeighbours("tfidf"),
    "item_bm25": lambda names: ItemNeighbours("bm25"),
    "item_recent": lambda names: RecentItems(ItemNeighbours("bm25")),
    "user_cosine": lambda names: UserNeighbours("cosine", count=10),
    "user_tfidf": lambda names: UserNeighbours("tfidf", count=10),
    "content": ContentBased,
    "ease": lambda names: Ease(ridge=5.0),
    "tifu_knn": lambda names: TifuKnn(count=10),
    "hybrid": lambda names: Hybrid(
        {"cf": ItemNeighbours(), "content": ContentBased(names)}, {"cf": 0.7, "content": 0.3}
    ),
}


@pytest.mark.parametrize("name", EVERY)
def test_block_size_and_row_order_change_nothing(
    name: str, lines: pd.DataFrame, names: pd.DataFrame, past: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone = np.arange(past.shape[0])
    scores = EVERY[name](names).fit(past).score(everyone)
    assert scores.shape == past.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    monkeypatch.setattr(similarity, "CELLS", 200)
    shuffled = interactions(lines.sample(frac=1, random_state=2), AS_OF)
    again = EVERY[name](names.sample(frac=1, random_state=2)).fit(shuffled)
    parts = np.vstack([again.score(rows) for rows in np.array_split(everyone, 7)])
    np.testing.assert_allclose(parts, scores, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", sorted(set(EVERY) - {"popularity", "buy_again", "content", "hybrid"}))
def test_planted_tastes_are_found(name: str, names: pd.DataFrame, past: Interactions) -> None:
    """Customer c likes products with number c modulo 3; their taste predicts products not bought yet."""
    rows = np.arange(past.shape[0])
    scores = EVERY[name](names).fit(past).score(rows)
    own = past.latest().toarray() > 0
    group = np.array([int(p[1:]) for p in past.products])
    customer = np.array([int(c[1:]) for c in past.customers])
    liked = group[None, :] % 3 == customer[:, None] % 3
    new_and_liked = np.where(~own & liked, scores, np.nan)
    new_and_not = np.where(~own & ~liked, scores, np.nan)
    some = np.isfinite(new_and_liked).any(axis=1)
    assert some.sum() >= 10
    assert (np.nanmean(new_and_liked[some], axis=1) > np.nanmean(new_and_not[some], axis=1)).mean() > 0.8


def test_neighbours_match_sklearn(past: Interactions) -> None:
    items = past.decayed(100).T.tocsr()
    dense = cosine_similarity(items.toarray())
    np.fill_diagonal(dense, 0)
    near = neighbours(items, 5).toarray()
    assert ((near > 0).sum(axis=1) <= 5).all()
    np.testing.assert_allclose(np.sort(near, axis=1)[:, -5:], np.sort(dense, axis=1)[:, -5:], atol=1e-6)


def test_weights_match_their_formulas(past: Interactions) -> None:
    profile = past.decayed()
    x = profile.toarray()
    inverse = np.log(len(x) / (1 + (x > 0).sum(axis=0))) + 1
    np.testing.assert_allclose(weighted(profile, "tfidf").toarray(), np.sqrt(x) * inverse)
    length = x.sum(axis=1, keepdims=True) / x.sum(axis=1).mean()
    expected = x * 2.2 / (x + 1.2 * (0.25 + 0.75 * length)) * inverse
    np.testing.assert_allclose(weighted(profile, "bm25").toarray(), expected)
    with pytest.raises(ValueError, match="cosine, tfidf or bm25"):
        weighted(profile, "other")  # type: ignore[arg-type]


def test_ease_is_a_ridge_of_each_product_on_the_others(past: Interactions) -> None:
    x = (past.decayed().toarray() > 0).astype(float)
    fitted = Ease(ridge=7.0).fit(past)
    for column in (0, 11):
        others = np.delete(x, column, axis=1)
        own = np.linalg.solve(others.T @ others + 7 * np.eye(others.shape[1]), others.T @ x[:, column])
        np.testing.assert_allclose(np.delete(fitted.coefficients[:, column], column), own, atol=1e-5)
        assert fitted.coefficients[column, column] == 0


def test_ease_rejects_a_catalogue_that_is_too_large(past: Interactions) -> None:
    with pytest.raises(CandidateError, match="its limit is 10 products"):
        Ease(limit=10).fit(past)


def test_tifu_mixes_own_and_neighbours(past: Interactions) -> None:
    profile = past.decayed(240).toarray()
    cosine = cosine_similarity(profile)
    np.fill_diagonal(cosine, -1)
    near = np.argsort(-cosine[4])[:8]
    expected = 0.6 * profile[4] + 0.4 * profile[near].mean(axis=0)
    np.testing.assert_allclose(
        TifuKnn(count=8, own=0.6).fit(past).score(np.array([4]))[0], expected, rtol=1e-5
    )


def test_a_pool_bounds_the_neighbours(past: Interactions) -> None:
    few = UserNeighbours(pool=7).fit(past)
    assert len(few.members) == 7
    assert few.score(np.arange(past.shape[0])).shape == past.shape


def test_top_breaks_ties_by_number_and_leaves_out_zeros() -> None:
    scores = np.array([[1, 3, 3, 0, 3], [0, 0, 0, 0, 0], [0, 0, 2, 0, 5]], dtype=np.float32)
    row, column, value = top(scores, 2)
    assert row.tolist() == [0, 0, 2, 2]
    assert column.tolist() == [1, 2, 4, 2]
    assert value.tolist() == [3, 3, 5, 2]
    assert top(scores, 99)[1].tolist() == [1, 2, 4, 0, 4, 2]


def test_blocks_cover_everyone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "CELLS", 100)
    assert [len(b) for b in blocks(25, 10)] == [10, 10, 5]
    assert np.concatenate(list(blocks(25, 1000))).tolist() == list(range(25))


def test_popularity_without_recent_purchases_uses_the_last_weeks_with_purchases(lines: pd.DataFrame) -> None:
    silent = lines[lines["day"] < "2024-03-01"]
    counts = Popularity(28).fit(interactions(silent, AS_OF)).counts
    assert counts.sum() > 0


@pytest.mark.parametrize("name", EVERY)
def test_one_customer_and_one_product(name: str) -> None:
    one = pd.DataFrame(
        {
            "customer_id": ["a"],
            "product_id": ["x"],
            "day": [date(2024, 5, 1)],
            "quantity": [1],
            "order_id": ["o"],
        }
    )
    names = pd.DataFrame({"product_id": ["x"], "name": [None]})
    scores = EVERY[name](names).fit(interactions(one, AS_OF)).score(np.array([0]))
    assert scores.shape == (1, 1)
    assert np.isfinite(scores).all()


def test_words_of_products(past: Interactions) -> None:
    products = pd.DataFrame(
        {
            "product_id": ["p000", "p001", "p002"],
            "name": ["红色 杯子", "红色 盘子", None],
            "category": [None, None, "GARDEN"],
        }
    )
    words = product_words(products, past.products)
    likeness = (words @ words.T).toarray()
    assert 0 < likeness[0, 1] < 1
    assert likeness[0, 2] == 0
    assert likeness[2, 2] == pytest.approx(1)
    assert likeness[5].sum() == 0
    nameless = product_words(products[["product_id"]], past.products)
    assert isinstance(nameless, sparse.csr_array)
    assert nameless.nnz == 0


def test_a_hybrid_needs_a_share_for_each_member(names: pd.DataFrame, past: Interactions) -> None:
    with pytest.raises(CandidateError, match="one for each of"):
        Hybrid({"a": Popularity()}, {"b": 1.0}).fit(past)
