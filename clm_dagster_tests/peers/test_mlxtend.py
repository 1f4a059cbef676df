"""Itemsets and rules against mlxtend: the same sets, the same counts, the same measures."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from clm_dagster.statistics.association import basket_rules
from clm_dagster_tests.benchmarks.method_inputs import basket_lines
from clm_dagster_tests.benchmarks.method_peers import our_itemsets

pytestmark = pytest.mark.peers
MEASURES = ["support", "confidence", "lift", "leverage", "conviction"]


@pytest.fixture
def mlxtend() -> ModuleType:
    module: ModuleType = pytest.importorskip(
        "mlxtend.frequent_patterns", reason="the extra `peers` is not installed: make peers"
    )
    return module


def simulated_baskets(seed: int) -> pd.DataFrame:
    """Baskets of random number and size, with popular products, and some that go with the product before them."""
    rng = np.random.default_rng(seed)
    baskets, products = int(rng.integers(20, 400)), int(rng.integers(5, 30))
    held = rng.random((baskets, products)) < rng.beta(1, 4, products)
    for product in range(1, products, 3):
        held[:, product] |= held[:, product - 1] & (rng.random(baskets) < 0.7)
    order, bought = np.nonzero(held)
    lines = pd.DataFrame({"order_id": order.astype(str), "product_id": [f"p{n:02}" for n in bought]})
    return lines.sample(frac=1.3, replace=True, random_state=seed)  # lines in no order, some of them twice


def table(lines: pd.DataFrame) -> pd.DataFrame:
    return pd.crosstab(lines["order_id"], lines["product_id"]).astype(bool)


def itemsets(lines: pd.DataFrame, support: float, longest: int) -> dict[frozenset[str], float]:
    total = lines["order_id"].nunique()
    return {items: count / total for items, count in our_itemsets(lines, support, longest).items()}


def assert_same_rules(mlxtend: ModuleType, lines: pd.DataFrame, support: float, confidence: float) -> int:
    """Compare every rule with one product on its right side; return their number."""
    frequent = mlxtend.fpgrowth(table(lines), min_support=support, use_colnames=True, max_len=3)
    assert itemsets(lines, support, 3) == pytest.approx(
        dict(zip(frequent["itemsets"], frequent["support"], strict=True)), rel=1e-12
    )
    # mlxtend divides two rounded shares, so that it loses rules at the very threshold: 24 of 120 baskets are 0.2.
    theirs = mlxtend.association_rules(frequent, metric="confidence", min_threshold=confidence - 1e-12)
    theirs = theirs[theirs["consequents"].map(len) == 1]
    theirs = theirs.set_index(
        pd.MultiIndex.from_arrays(
            [theirs["antecedents"].map(lambda s: tuple(sorted(s))), theirs["consequents"].map(min)]
        )
    )[MEASURES]
    ours = basket_rules(lines, support, confidence).set_index(["antecedent", "consequent"])[MEASURES]
    assert set(ours.index) == set(theirs.index)
    np.testing.assert_allclose(ours, theirs.loc[ours.index], rtol=1e-9, atol=1e-12)
    return len(ours)


@pytest.mark.parametrize("support", [0.02, 0.1])
@pytest.mark.parametrize("seed", range(12))
def test_rules_of_random_baskets(mlxtend: ModuleType, seed: int, support: float) -> None:
    assert_same_rules(mlxtend, simulated_baskets(seed), support, confidence=0.3)


@pytest.mark.parametrize("longest", [2, 4, 9])
def test_itemsets_of_any_length(mlxtend: ModuleType, longest: int) -> None:
    lines = simulated_baskets(5)
    frequent = mlxtend.fpgrowth(table(lines), min_support=0.02, use_colnames=True, max_len=longest)
    found = itemsets(lines, 0.02, longest)
    assert found == pytest.approx(dict(zip(frequent["itemsets"], frequent["support"], strict=True)))
    assert max(map(len, found)) >= min(longest, 4)


def test_rules_of_a_real_week(mlxtend: ModuleType, reference_data: Path) -> None:
    lines = basket_lines(reference_data, "2011-11-07", "2011-11-14")
    assert assert_same_rules(mlxtend, lines, 0.02, confidence=0.2) > 300
