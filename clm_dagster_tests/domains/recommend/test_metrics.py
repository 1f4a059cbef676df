"""Metrics compared with sklearn, with sets, and with the figures published for the real shop."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from clm_dagster.domains.recommend.candidates import BuyAgain, Popularity, TifuKnn
from clm_dagster.domains.recommend.interactions import Interactions, interactions
from clm_dagster.domains.recommend.metrics import (
    coverage,
    gains_over,
    list_metrics,
    novelty,
    padded,
    window_truth,
)
from clm_dagster.domains.recommend.similarity import blocks, top
from clm_dagster_tests.domains.recommend.shop import AS_OF

END = AS_OF + timedelta(days=60)


def test_truth_has_later_purchases_of_known_customers(lines: pd.DataFrame, past: Interactions) -> None:
    late = lines[(lines["day"] >= "2024-06-01") & (lines["day"] < "2024-07-01")]
    stranger = late.head(5).assign(customer_id="stranger")
    unseen = late.head(1).assign(product_id="launched_later")
    later = interactions(pd.concat([lines, stranger, unseen]), END)
    truth = window_truth(later, past, 30)
    expected = pd.concat([late, unseen]).groupby("customer_id")["product_id"].agg(set)
    assert list(past.customers[truth.rows]) == list(expected.index)
    assert truth.sizes.tolist() == [len(s) for s in expected]
    got = [set(past.products[truth.bought[[i]].indices]) for i in range(len(truth.rows))]
    assert got == [s - {"launched_later"} for s in expected]
    some = truth.rows[::3]
    part = window_truth(later, past, 30, among=some)
    assert part.rows.tolist() == some.tolist() and part.sizes.tolist() == truth.sizes[::3].tolist()


def test_truth_of_new_products_and_of_the_next_basket(
    lines: pd.DataFrame, past: Interactions, later: Interactions
) -> None:
    late = lines[(lines["day"] >= "2024-06-01") & (lines["day"] < "2024-07-31")]
    had = lines[lines["day"] < "2024-06-01"].groupby("customer_id")["product_id"].agg(set).to_dict()
    new = late.groupby("customer_id")["product_id"].agg(set)
    expected = {c: s - had[c] for c, s in new.items() if s - had[c]}
    truth = window_truth(later, past, 60, "new")
    assert dict(zip(past.customers[truth.rows], truth.sizes, strict=True)) == {
        c: len(s) for c, s in expected.items()
    }
    first = late[late["day"] == late.groupby("customer_id")["day"].transform("min")]
    basket = window_truth(later, past, 60, next_basket=True)
    assert basket.sizes.sum() == len(first[["customer_id", "product_id"]].drop_duplicates())
    with pytest.raises(ValueError, match="no known customer bought anything"):
        window_truth(interactions(lines[lines["day"] < "2024-06-01"], END), past, 60)
    with pytest.raises(ValueError, match="'all' or 'new'"):
        window_truth(later, past, 60, "old")
    with pytest.raises(ValueError, match="known up to 2024-07-31; the 61 days from 2024-06-01 on end later"):
        window_truth(later, past, 61)


def test_metrics_match_sklearn_and_sets(later: Interactions, past: Interactions) -> None:
    truth = window_truth(later, past, 60)
    rng = np.random.default_rng(0)
    products = np.array([rng.permutation(past.shape[1])[:10] for _ in truth.rows])
    measured = list_metrics(truth, products)
    for i in range(len(truth.rows)):
        bought = set(truth.bought[[i]].indices)
        hits = len(bought & set(products[i]))
        assert measured["recall"].iloc[i] == pytest.approx(hits / len(bought))
        assert measured["hit"].iloc[i] == (hits > 0)
        relevance, score = np.zeros(past.shape[1]), np.zeros(past.shape[1])
        relevance[list(bought)] = 1
        score[products[i]] = np.arange(10, 0, -1)
        assert measured["ndcg"].iloc[i] == pytest.approx(
            ndcg_score([relevance], [score], k=10, ignore_ties=True)
        )


def test_lists_that_end_early(later: Interactions, past: Interactions) -> None:
    truth = window_truth(later, past, 60)
    nothing = np.full((len(truth.rows), 10), -1)
    assert (list_metrics(truth, nothing).to_numpy() == 0).all()
    best = padded(*_best(truth.bought.toarray().astype(np.float32)), len(truth.rows))
    assert list_metrics(truth, best)["ndcg"].to_numpy() == pytest.approx(1)


def _best(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    row, column, _ = top(scores, 10)
    return row, column


def test_coverage_and_novelty() -> None:
    lines = pd.DataFrame(
        {
            "customer_id": list("abcda"),
            "product_id": list("xxxxy"),
            "day": date(2024, 5, 1),
            "quantity": 1,
            "order_id": list("abcda"),
        }
    )
    past = interactions(lines, AS_OF)
    lists = np.array([[0, -1], [0, 1]])
    assert coverage(lists, 8) == 0.25
    # x was bought by all four customers, 0 bits; y by one of four, 2 bits.
    assert novelty(lists, past) == pytest.approx(2 / 3)


def test_gains_pair_customers() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(500)
    better = gains_over({"base": base, "model": base + 0.01}, "base")["model"]
    assert better.low == pytest.approx(0.01)
    assert better.above_zero


@pytest.mark.slow
def test_baselines_of_the_real_shop_match_the_published_figures(retail: pd.DataFrame) -> None:
    """Issue's table at 2011-10-10, 60 days: popularity .128, buy again .355, TIFU-kNN .357; 2,037 customers."""
    later = interactions(retail, date(2011, 12, 9))
    past = later.before(date(2011, 10, 10))
    truth = window_truth(later, past, 60)
    assert abs(len(truth.rows) - 2037) <= 2
    for recommender, published in ((Popularity(), 0.128), (BuyAgain(), 0.355), (TifuKnn(), 0.357)):
        recommender.fit(past)
        lists = [
            padded(*_best(recommender.score(truth.rows[b])), len(b))
            for b in blocks(len(truth.rows), past.shape[1])
        ]
        assert list_metrics(truth, np.vstack(lists))["ndcg"].mean() == pytest.approx(published, abs=0.003)
