"""Itemsets compared with brute force."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from clm_dagster.statistics.independence import RuleError
from clm_dagster.statistics.itemsets import frequent_itemsets, number_baskets


def random_lines(seed: int, baskets: int = 150, products: int = 9, share: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    held = rng.random((baskets, products)) < rng.uniform(0.2, 1.8, products) * share
    order, product = np.nonzero(held)
    lines = pd.DataFrame({"order_id": [f"o{o}" for o in order], "product_id": [f"p{p:02}" for p in product]})
    return pd.concat([lines, lines.head(40)]).sample(frac=1, random_state=seed)


def brute_force(lines: pd.DataFrame, minimum: int, longest: int) -> dict[tuple[str, ...], int]:
    sets = lines.groupby("order_id")["product_id"].agg(set)
    items = sorted(lines["product_id"].unique())
    found = {}
    for size in range(1, longest + 1):
        for items_of in combinations(items, size):
            count = sum(set(items_of) <= basket for basket in sets)
            if count >= minimum:
                found[items_of] = count
    return found


@pytest.mark.parametrize("longest", [1, 2, 4])
@pytest.mark.parametrize(
    ("seed", "baskets", "products", "share"), [(0, 150, 9, 0.3), (1, 200, 14, 0.3), (2, 70, 8, 0.5)]
)
def test_itemsets_match_brute_force(
    seed: int, baskets: int, products: int, share: float, longest: int
) -> None:
    lines = random_lines(seed, baskets, products, share)
    numbered = number_baskets(lines)
    found = {tuple(numbered.products[list(i)]): n for i, n in frequent_itemsets(numbered, 3, longest)}
    assert found == brute_force(lines, 3, longest)
    assert max(len(items) for items in found) == longest
    assert numbered.total == lines["order_id"].nunique()


def test_lines_of_a_basket_are_numbered_once() -> None:
    lines = random_lines(4)
    numbered = number_baskets(lines)
    distinct = lines.drop_duplicates()
    assert len(numbered.basket) == len(distinct)
    counts = distinct["product_id"].value_counts().sort_index()
    assert numbered.products.tolist() == counts.index.tolist()
    assert numbered.counts.tolist() == counts.tolist()
    assert np.bincount(numbered.product).tolist() == counts.tolist()


def test_no_lines() -> None:
    with pytest.raises(RuleError, match="rules need baskets"):
        number_baskets(pd.DataFrame({"order_id": [None], "product_id": ["a"]}))
    alone = pd.DataFrame({"order_id": ["o1"], "product_id": ["a"]})
    assert list(frequent_itemsets(number_baskets(alone), 1, 3)) == [((0,), 1)]
