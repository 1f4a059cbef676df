"""Association rules: which products are bought together, how strongly, how significantly, and how stably.

Belongs here: rule measures, the choice of the minimum number of baskets, the test of rules on later baskets. Does not:
the search for sets of products (`itemsets`), p-values (`independence`), recommendations for customers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clm_dagster.statistics.independence import (
    MIN_BASKETS,
    SIGNIFICANT,
    RuleError,
    adjusted,
    chance_of_common,
    smallest_p_value,
)
from clm_dagster.statistics.itemsets import (
    Baskets,
    Bits,
    Itemset,
    as_bits,
    frequent_itemsets,
    number_baskets,
)

MEASURES = ("support", "confidence", "lift", "leverage", "conviction")
# Baskets of the later period that are tested at once: at 5,000 products in rules, 80 MB of bits.
_BLOCK = 64 * 2048


class TooManyItemsets(RuleError):  # noqa: N818
    """The minimum support is too low: there are more frequent itemsets than the limit."""


@dataclass(frozen=True)
class Threshold:
    """The minimum number of baskets of a rule, among all baskets, and why it is that one."""

    baskets: int
    total: int
    reason: str

    @property
    def support(self) -> float:
        """Return the share of baskets that this is."""
        return self.baskets / self.total


@dataclass(frozen=True)
class MinedRules:
    """Rules of sufficient support and confidence, significant or not.

    tests: number of rules that could have occurred often enough, the family of the q-values. raised: the threshold is
    above the given one, or above the one that can be significant, because there were too many sets of products.
    """

    rules: pd.DataFrame
    threshold: Threshold
    tests: int
    raised: bool


def rule_measures(
    both: ArrayLike, antecedent: ArrayLike, consequent: ArrayLike, baskets: ArrayLike
) -> pd.DataFrame:
    """Return measures of n rules from the numbers of baskets with both sides, with each side, and in total.

    The measures are support P(AB), confidence P(B|A), lift P(AB)/P(A)P(B), leverage P(AB)-P(A)P(B)
    (Piatetsky-Shapiro 1991), and conviction P(A)P(not B)/P(A, not B) (Brin et al. 1997), which is infinite for a
    rule without a counterexample.
    p_value is the probability of at least as many common baskets if the two sides were independent, given the
    counts of both sides (hypergeometric, one-sided Fisher's exact test). A rule that never occurs has p-value 1
    and lift 0.
    """
    k, a, b, n = (np.asarray(v, dtype=float) for v in (both, antecedent, consequent, baskets))
    with np.errstate(divide="ignore", invalid="ignore"):
        confidence = k / a
        conviction = np.where(k < a, (1 - b / n) / (1 - confidence), np.inf)
        lift = confidence / (b / n)
    return pd.DataFrame(
        {
            "support": k / n,
            "confidence": confidence,
            "lift": lift,
            "leverage": k / n - a / n * (b / n),
            "conviction": conviction,
            "p_value": chance_of_common(k, a, b, n),
        }
    )


def basket_rules(
    lines: pd.DataFrame,
    min_support: float,
    min_confidence: float = 0.0,
    longest: int = 3,
    most: int | None = None,
    min_baskets: int = 1,
) -> pd.DataFrame:
    """Return association rules with one product as the consequent, sorted by lift (descending).

    Args:
        lines: order_id, product_id.
        min_support: minimum share of baskets that contain the whole rule, above 0 and at most 1.
        min_confidence: minimum confidence of a rule.
        longest: maximum number of products in a rule, both sides together, at least 2.
        most: maximum number of itemsets of two and more products; None for no limit.
        min_baskets: minimum number of baskets with the whole rule, whatever the support.

    Returns:
        Columns antecedent (sorted tuple of ids), consequent, items, baskets (with the whole rule), the measures,
        p_value and q_value. The family of the q-values is every rule whose two sides are each in enough baskets,
        whatever the baskets of both together, and the confidence. Ties in lift are sorted by antecedent and
        consequent.

    Raises:
        TooManyItemsets: there are more than `most` itemsets.
        RuleError: a threshold is out of range, or there are no lines.
    """
    baskets = number_baskets(lines)
    minimum = max(_count_of(min_support, baskets.total), min_baskets)
    return _rules(baskets, _count(baskets, minimum, longest, most), min_confidence, longest)[0]


def mine_rules(
    lines: pd.DataFrame, min_support: float | None, min_confidence: float, longest: int, most: int
) -> MinedRules:
    """Return the rules of baskets, in at least as many baskets as `min_support` says or as the data need.

    min_support: share of baskets, at least MIN_BASKETS of them. None: MIN_BASKETS, or as many more as are needed for
    one rule alone to be significant among all that are tested (Tarone 1990), which matters in a few dozen baskets.
    In both cases the number is doubled while there are more than `most` itemsets of two and more products.

    Raises:
        RuleError: a threshold is out of range, or there are no lines.
    """
    baskets = number_baskets(lines)
    count, reason = MIN_BASKETS, f"{MIN_BASKETS} baskets are the smallest number that is searched"
    if min_support is not None:
        count, reason = (
            max(MIN_BASKETS, _count_of(min_support, baskets.total)),
            f"min_support is {min_support:.4%}",
        )
    raised = False
    while True:
        try:
            counts = _count(baskets, count, longest, most)
        except TooManyItemsets:
            count, raised = 2 * count, True
            reason = f"more than {most:,} sets of products are in at least {count // 2} baskets"
            continue
        tests = _tests(counts, longest)
        if min_support is not None or not tests:
            break
        if smallest_p_value(count, baskets.total) <= SIGNIFICANT / tests or count > baskets.total:
            break
        reason = f"in {count} of {baskets.total} baskets, no rule can be significant among {tests:,}"
        count += 1
    rules, tests = _rules(baskets, counts, min_confidence, longest)
    return MinedRules(rules, Threshold(count, baskets.total, reason), tests, raised)


def _count_of(min_support: float, total: int) -> int:
    if not 0 < min_support <= 1:
        raise RuleError(f"min_support is a share above 0 and at most 1, not {min_support}")
    return max(1, int(np.ceil(min_support * total - 1e-9)))


def _count(baskets: Baskets, minimum: int, longest: int, most: int | None) -> dict[Itemset, int]:
    """Return the itemsets with their counts. Raise TooManyItemsets."""
    if longest < 2:
        raise RuleError(f"a rule has at least 2 products; longest is {longest}")
    singles = int((baskets.counts >= minimum).sum())
    found: Iterator[tuple[Itemset, int]] = frequent_itemsets(baskets, minimum, longest)
    counts = dict(islice(found, None if most is None else singles + most + 1))
    if most is not None and len(counts) > singles + most:
        raise TooManyItemsets(
            f"more than {most:,} sets of products are in {minimum} of {baskets.total:,} baskets; raise min_support"
        )
    return counts


def _tests(counts: dict[Itemset, int], longest: int) -> int:
    """Return how many rules could have been found: each short itemset with each other product that is frequent."""
    sizes = np.bincount([len(items) for items in counts], minlength=2)
    return int(sum(sizes[size] * max(sizes[1] - size, 0) for size in range(1, min(longest, len(sizes)))))


def _rules(
    baskets: Baskets, counts: dict[Itemset, int], min_confidence: float, longest: int
) -> tuple[pd.DataFrame, int]:
    """Return the rules of itemsets, and the number of rules tested."""
    tests = _tests(counts, longest)
    found = [
        (tuple(i for i in items if i != right), right, count)
        for items, count in counts.items()
        if len(items) > 1
        for right in items
    ]
    if not found:
        return _no_rules(), tests
    both = np.array([count for *_, count in found])
    measures = rule_measures(
        both,
        [counts[left] for left, *_ in found],
        [counts[(right,)] for _, right, _ in found],
        np.full(len(found), baskets.total),
    )
    measures["q_value"] = adjusted(measures["p_value"], tests)
    kept = np.flatnonzero(measures["confidence"] >= min_confidence)
    products = baskets.products
    rules = pd.DataFrame(
        {
            "antecedent": [tuple(products[i] for i in found[row][0]) for row in kept],
            "consequent": [products[found[row][1]] for row in kept],
            "items": [len(found[row][0]) + 1 for row in kept],
            "baskets": both[kept],
        }
    ).join(measures.iloc[kept].reset_index(drop=True))
    if rules.empty:
        return _no_rules(), tests
    ordered = rules.sort_values(
        ["lift", "antecedent", "consequent"], ascending=[False, True, True], ignore_index=True
    )
    return ordered, tests


def held_later(rules: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of `rules` in the baskets of a later period, one row per rule, in columns later_*.

    later: order_id, product_id. Confidence and lift are missing if the antecedent no longer occurs.
    later_held is true if the lift is still above 1 with a p-value below .05.
    """
    baskets = number_baskets(later)
    # Only products in rules get bits; those in no later basket get none.
    wanted = sorted({item for items in rules["antecedent"] for item in items} | set(rules["consequent"]))
    place = {product: number for number, product in enumerate(wanted)}
    rows = np.array([place.get(product, -1) for product in baskets.products])[baskets.product]
    basket, rows = baskets.basket[rows >= 0], rows[rows >= 0]
    width = max((len(left) for left in rules["antecedent"]), default=1)
    # Short antecedents repeat their first product, which does not change the conjunction.
    left = np.array(
        [
            [place[item] for item in (*items, *[items[0]] * (width - len(items)))]
            for items in rules["antecedent"]
        ],
        dtype=np.int64,
    ).reshape(len(rules), width)
    right = np.array([place[item] for item in rules["consequent"]], dtype=np.int64)
    totals = np.zeros((3, len(rules)), dtype=np.int64)
    for start in range(0, baskets.total, _BLOCK):
        inside = (basket >= start) & (basket < start + _BLOCK)
        size = min(_BLOCK, baskets.total - start)
        table = as_bits(rows[inside], basket[inside] - start, len(wanted), size)
        for chunk in _chunks(len(rules)):
            totals[:, chunk] += _later_counts(table, left[chunk], right[chunk])
    both, antecedent, consequent = totals
    out = rule_measures(both, antecedent, consequent, np.full(len(rules), baskets.total))
    out["held"] = (out["lift"] > 1) & (out["p_value"] < 0.05)
    out.index = rules.index
    return out.add_prefix("later_")


def _later_counts(table: Bits, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    antecedent = np.bitwise_and.reduce(table[left], axis=1)
    consequent = table[right]
    return np.array(
        [
            np.bitwise_count(words).sum(axis=1, dtype=np.int64)
            for words in (antecedent & consequent, antecedent, consequent)
        ]
    )


def _chunks(count: int, size: int = 2000) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _no_rules() -> pd.DataFrame:
    columns = ("antecedent", "consequent", "items", "baskets", *MEASURES, "p_value", "q_value")
    return pd.DataFrame({name: [] for name in columns})
