"""Rules compared with scipy's Fisher test, statsmodels, a simulated truth, and the published French baskets."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests

from clm_dagster.statistics.association import (
    TooManyItemsets,
    basket_rules,
    held_later,
    mine_rules,
    rule_measures,
)
from clm_dagster.statistics.independence import RuleError, adjusted


@pytest.fixture(scope="module")
def baskets() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    held = rng.random((150, 9)) < 0.3
    held[:, 1] |= held[:, 0] & (rng.random(150) < 0.8)
    order, product = np.nonzero(held)
    return pd.DataFrame({"order_id": [f"o{o}" for o in order], "product_id": [f"p{p}" for p in product]})


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


def test_q_values_are_benjamini_hochberg_over_all_rules_that_could_occur(baskets: pd.DataFrame) -> None:
    rules = basket_rules(baskets, 0.1)
    pairs = rules[rules["items"] == 2]
    # Of 9 products, each with 8 others, and each frequent pair with 7 others.
    tests = 9 * 8 + len(pairs) // 2 * 7
    assert len(rules) < tests
    expected = multipletests([*rules["p_value"], *np.ones(tests - len(rules))], method="fdr_bh")[1]
    np.testing.assert_allclose(rules["q_value"], expected[: len(rules)])
    few = basket_rules(baskets, 0.1, min_confidence=0.5)
    assert 0 < len(few) < len(rules)
    # Dropping rules of low confidence does not shrink the family.
    both = few.merge(rules, on=["antecedent", "consequent"])
    np.testing.assert_array_equal(both["q_value_x"], both["q_value_y"])


def test_random_baskets_give_no_rules() -> None:
    rng = np.random.default_rng(0)
    order, product = np.nonzero(rng.random((2000, 30)) < 0.1)
    rules = basket_rules(pd.DataFrame({"order_id": order, "product_id": product}), 0.002, longest=2)
    assert len(rules) > 500
    assert (rules["p_value"] < 0.05).sum() > 10
    assert (rules["q_value"] < 0.05).sum() == 0


def short_baskets(seed: int, orders: int, products: int, planted: int = 0) -> pd.DataFrame:
    """Baskets of 1.6 lines. Buyers of product 2i (i < planted) buy product 2i + 1 as well, a quarter of the time."""
    rng = np.random.default_rng(seed)
    order = np.repeat(np.arange(orders), rng.geometric(1 / 1.6, orders))
    product = rng.integers(0, products, len(order))
    also = (product < 2 * planted) & (product % 2 == 0) & (rng.random(len(order)) < 0.25)
    lines = {
        "order_id": np.append(order, order[also]),
        "product_id": np.append(product, product[also] + 1).astype(str),
    }
    return pd.DataFrame(lines).drop_duplicates(ignore_index=True)


def test_planted_pairs_are_found_in_baskets_of_one_or_two_lines() -> None:
    lines = short_baskets(1, 20_000, 500, planted=20)
    mined = mine_rules(lines, None, 0.0, longest=4, most=20_000)
    assert mined.threshold.baskets == 5 and not mined.raised
    found = mined.rules[mined.rules["q_value"] < 0.05]
    pairs = {
        frozenset((int(left[0]), int(right)))
        for left, right in zip(found["antecedent"], found["consequent"], strict=True)
        if len(left) == 1
    }
    truth = {frozenset((2 * i, 2 * i + 1)) for i in range(20)}
    assert len(pairs & truth) >= 18
    assert len(pairs - truth) <= 1
    assert mine_rules(lines, 0.01, 0.0, longest=4, most=20_000).rules.empty


def test_independent_products_give_rules_no_more_often_than_the_level() -> None:
    """A family of only the rules that occur often enough would find something in every sixth of these shops."""
    runs, some, naive = 50, 0, 0
    popularity = (1 + np.arange(300)) ** -0.8
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        product = rng.choice(300, 8000, p=popularity / popularity.sum())
        lines = pd.DataFrame({"order_id": rng.integers(0, 5000, 8000), "product_id": product.astype(str)})
        rules = mine_rules(lines, None, 0.0, longest=4, most=20_000).rules
        some += bool((rules["q_value"] < 0.05).any())
        naive += bool((adjusted(rules["p_value"]) < 0.05).any())
    assert some / runs <= 0.05 < naive / runs


def test_too_many_itemsets_double_the_threshold(baskets: pd.DataFrame) -> None:
    with pytest.raises(TooManyItemsets, match="raise min_support"):
        basket_rules(baskets, 0.01, most=20)
    mined = mine_rules(baskets, None, 0.0, longest=3, most=20)
    assert mined.raised and mined.threshold.baskets in (10, 20, 40)
    assert f"in at least {mined.threshold.baskets // 2} baskets" in mined.threshold.reason
    assert mined.rules["baskets"].min() >= mined.threshold.baskets
    fixed = mine_rules(baskets, mined.threshold.support, 0.0, longest=3, most=20)
    assert not fixed.raised
    pd.testing.assert_frame_equal(fixed.rules, mined.rules)


def test_few_baskets_need_more_common_ones_to_be_significant() -> None:
    """12 baskets of 6 products: 1 / C(12, 5) is .0013, more than .05 / 150; no count below 13 is any better."""
    rng = np.random.default_rng(3)
    order, product = np.nonzero(rng.random((12, 6)) < 0.8)
    mined = mine_rules(pd.DataFrame({"order_id": order, "product_id": product}), None, 0.0, 3, 1000)
    assert mined.threshold.baskets > 5 and "no rule can be significant" in mined.threshold.reason
    assert not (mined.rules["q_value"] < 0.05).any()


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
