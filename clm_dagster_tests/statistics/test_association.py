"""Rules compared with brute force, scipy's Fisher test, statsmodels, and the published French baskets."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests

from clm_dagster.statistics.association import (
    RuleError,
    adjusted,
    basket_rules,
    bitsets,
    eclat,
    held_later,
    rule_measures,
)


@pytest.fixture(scope="module")
def baskets() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    held = rng.random((150, 9)) < 0.3
    held[:, 1] |= held[:, 0] & (rng.random(150) < 0.8)
    order, product = np.nonzero(held)
    return pd.DataFrame({"order_id": [f"o{o}" for o in order], "product_id": [f"p{p}" for p in product]})


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


def test_eclat_matches_brute_force(baskets: pd.DataFrame) -> None:
    words, products, count = bitsets(baskets)
    found = {tuple(products[list(items)]): n for items, n in eclat(words, 3, 4)}
    assert found == brute_force(baskets, 3, 4)
    assert max(len(items) for items in found) == 4
    assert count == baskets["order_id"].nunique()


def test_rules_do_not_depend_on_row_order_or_repeated_lines(baskets: pd.DataFrame) -> None:
    rules = basket_rules(baskets, 0.05, 0.2)
    again = pd.concat([baskets, baskets]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(rules, basket_rules(again, 0.05, 0.2))


def test_measures_match_pandas(baskets: pd.DataFrame) -> None:
    rules = basket_rules(baskets, 0.05)
    table = pd.crosstab(baskets["order_id"], baskets["product_id"]).astype(bool)
    for _, rule in rules.sample(20, random_state=0).iterrows():
        left, right = table[list(rule.antecedent)].all(axis=1), table[rule.consequent]
        assert rule.support == pytest.approx((left & right).mean())
        assert rule.confidence == pytest.approx(right[left].mean())
        assert rule.lift == pytest.approx(right[left].mean() / right.mean())
        assert rule.leverage == pytest.approx((left & right).mean() - left.mean() * right.mean())
        counts = pd.crosstab(left, right).reindex(index=[True, False], columns=[True, False], fill_value=0)
        assert rule.p_value == pytest.approx(fisher_exact(counts.to_numpy(), alternative="greater").pvalue)


def test_q_values_are_benjamini_hochberg(baskets: pd.DataFrame) -> None:
    rules = basket_rules(baskets, 0.05)
    np.testing.assert_allclose(rules["q_value"], multipletests(rules["p_value"], method="fdr_bh")[1])
    few = basket_rules(baskets, 0.05, min_confidence=0.5)
    assert 0 < len(few) < len(rules)
    # Dropping rules of low confidence does not shrink the family.
    both = few.merge(rules, on=["antecedent", "consequent"])
    np.testing.assert_array_equal(both["q_value_x"], both["q_value_y"])
    assert adjusted([0.01, 0.02], tests=10) == pytest.approx([0.1, 0.1])
    with pytest.raises(RuleError, match="cannot have given"):
        adjusted([0.01, 0.02], tests=1)


def test_random_baskets_give_no_rules() -> None:
    rng = np.random.default_rng(0)
    order, product = np.nonzero(rng.random((2000, 30)) < 0.1)
    rules = basket_rules(pd.DataFrame({"order_id": order, "product_id": product}), 0.002, longest=2)
    assert len(rules) > 500
    assert (rules["p_value"] < 0.05).sum() > 10
    assert (rules["q_value"] < 0.05).sum() == 0


def test_a_rule_that_never_fails_has_infinite_conviction() -> None:
    assert rule_measures([5], [5], [8], [20])["conviction"].tolist() == [np.inf]


def test_later_period(baskets: pd.DataFrame) -> None:
    rules = basket_rules(baskets, 0.05)
    held = held_later(rules, baskets)
    np.testing.assert_allclose(held["later_lift"], rules["lift"])
    np.testing.assert_allclose(held["later_p_value"], rules["p_value"])
    gone = held_later(rules, baskets.assign(product_id="other"))
    assert gone["later_confidence"].isna().all()
    assert not gone["later_held"].any()
    assert len(held_later(rules.iloc[:0], baskets)) == 0


def test_bad_input(baskets: pd.DataFrame) -> None:
    with pytest.raises(RuleError, match="rules need baskets"):
        basket_rules(baskets.iloc[:0], 0.1)
    with pytest.raises(RuleError, match="min_support"):
        basket_rules(baskets, 0.0)
    with pytest.raises(RuleError, match="at least 2"):
        basket_rules(baskets, 0.1, longest=1)
    assert basket_rules(baskets.drop_duplicates("order_id"), 0.01).empty  # one product in each basket


def test_french_baskets_to_the_last_digit(reference_data: Path) -> None:
    """REFERENCE.md: 392 invoices of Online Retail in France, POSTAGE dropped, no C invoices."""
    raw = pd.read_parquet(reference_data / "online_retail_ii" / "year_2010_2011.parquet")
    raw.columns = [c.lower().replace(" ", "") for c in raw.columns]
    invoice = raw["invoice"].astype(str)
    name = raw["description"].str.strip()
    france = raw[(raw["country"] == "France") & ~invoice.str.startswith("C") & name.notna()]
    lines = pd.DataFrame(
        {"order_id": france["invoice"].astype(str), "product_id": france["description"].str.strip()}
    )
    # The published figures count orders with postage only as baskets.
    assert lines["order_id"].nunique() == 392
    rules = basket_rules(lines, 0.05, longest=2)
    rules.index = rules["antecedent"].str[0] + " -> " + rules["consequent"]
    alarm = rules.T["ALARM CLOCK BAKELIKE RED -> ALARM CLOCK BAKELIKE GREEN"]
    published = {
        "support": 0.079082,
        "confidence": 0.837838,
        "lift": 8.642959,
        "leverage": 0.069932,
        "conviction": 5.568878,
    }
    assert {measure: round(float(alarm[measure]), 6) for measure in published} == published
    plates, cups = "SET/6 RED SPOTTY PAPER PLATES", "SET/6 RED SPOTTY PAPER CUPS"
    assert round(float(rules["confidence"][f"{plates} -> {cups}"]), 3) == 0.960
    assert round(float(rules["confidence"][f"{cups} -> {plates}"]), 6) == 0.888889
    assert round(float(rules["lift"][f"{cups} -> {plates}"]), 6) == 6.968889
    assert alarm["q_value"] < 1e-6
