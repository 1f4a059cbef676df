"""Products bought together: the rows of `marts.product_affinity` and `marts.basket_rules`.

Belongs here: the inputs, rows and check messages of these two tables. Does not: counting pairs (`affinity`), the
search for rules (`statistics.association`).
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.affinity import MIN_BASKETS, product_affinity
from clm_dagster.domains.recommend.checks import check_rules
from clm_dagster.domains.recommend.queries import read_baskets, read_products
from clm_dagster.domains.recommend.reasons import display_names, names_of
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.statistics.association import TooManyItemsets, basket_rules, held_later

# Maximum number of products in a rule, both sides together, and of itemsets in memory (about a kilobyte each).
MAX_RULE_ITEMS, MAX_ITEMSETS = 4, 50_000
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairSettings:
    """Settings of pairs. days: of baskets before as_of. min_support: minimum share of baskets that contain a pair."""

    days: int
    min_support: float


@dataclass(frozen=True)
class PairInputs:
    """The pairs of products at one as_of, and the names of products."""

    pairs: pd.DataFrame
    products: pd.DataFrame


def read_pairs(reading: Reading[PairSettings]) -> PairInputs:
    """Read the pairs and the names of products."""
    settings = reading.settings
    start = reading.day - timedelta(days=settings.days)
    return PairInputs(
        product_affinity(reading.connection, start, reading.day, settings.min_support),
        read_products(reading.connection, reading.project, reading.as_of),
    )


def add_pair_names(work: Work[PairSettings], inputs: PairInputs) -> TableOutput:
    """Return the pairs with the names of their products."""
    pairs, names = inputs.pairs, names_of(inputs.products)
    rows = pairs.assign(
        name=names.reindex(pairs["product_id"]).to_numpy(dtype=object),
        other_name=names.reindex(pairs["other_product_id"]).to_numpy(dtype=object),
    )
    problem = None if len(rows) else "no pair of products is in enough baskets"
    return TableOutput(rows[work.columns], {"pairs": len(rows) // 2}, check_rules(str(work.day), problem))


@dataclass(frozen=True)
class RuleSettings:
    """Settings of rules.

    days: of baskets before as_of. min_support: minimum share of baskets that contain all products of a rule.
    min_confidence: minimum share of the baskets with the antecedent that also contain the consequent. held_days: the
    last days, at most half of all, on which rules are tested instead of mined.
    """

    days: int
    min_support: float
    min_confidence: float
    held_days: int

    def window(self, as_of: date) -> tuple[date, date]:
        """Return the first day of the baskets for mining, and of those for testing."""
        held = min(self.held_days, self.days // 2)
        return as_of - timedelta(days=self.days), as_of - timedelta(days=held)


@dataclass(frozen=True)
class RuleInputs:
    """The baskets for mining rules, the later ones for testing them, and the names of products."""

    training: pd.DataFrame
    later: pd.DataFrame
    products: pd.DataFrame


def read_rules(reading: Reading[RuleSettings]) -> RuleInputs:
    """Read the baskets of both periods, all before as_of."""
    start, split = reading.settings.window(reading.day)
    return RuleInputs(
        read_baskets(reading.connection, start, split),
        read_baskets(reading.connection, split, reading.day),
        read_products(reading.connection, reading.project, reading.as_of),
    )


def find_rules(work: Work[RuleSettings], inputs: RuleInputs) -> TableOutput:
    """Return the rules of the earlier baskets, tested on the later ones."""
    settings = work.settings
    if inputs.training.empty or inputs.later.empty:
        purpose = "mine rules from" if inputs.training.empty else "test rules on"
        return _no_rules(work, f"no baskets to {purpose} in the {settings.days} days before as_of")
    rules, support = _rules(inputs.training, settings.min_support, settings.min_confidence)
    if rules.empty:
        return _no_rules(work, f"no set of products is in at least {support:.1%} of the baskets")
    rows = _rule_rows(rules, inputs).assign(min_support=support)
    significant = rows["q_value"] < SIGNIFICANT
    problem = None
    if support != settings.min_support:
        problem = (
            f"too many sets of products are in at least {settings.min_support:.2%} of the baskets; "
            f"min_support was raised to {support:.2%}"
        )
    return TableOutput(
        rows[work.columns],
        {
            "rules": len(rows),
            "min_support": support,
            "significant": int(significant.sum()),
            "significant_confirmed_later": int(rows.loc[significant, "later_held"].sum()),
        },
        check_rules(str(work.day), problem),
    )


def _no_rules(work: Work[RuleSettings], problem: str) -> TableOutput:
    return TableOutput(pd.DataFrame(columns=work.columns), {}, check_rules(str(work.day), problem))


def _rules(baskets: pd.DataFrame, support: float, confidence: float) -> tuple[pd.DataFrame, float]:
    """Return the rules and their minimum support, which is doubled until the itemsets fit into memory."""
    while True:
        try:
            rules = basket_rules(
                baskets, support, confidence, MAX_RULE_ITEMS, most=MAX_ITEMSETS, min_baskets=MIN_BASKETS
            )
        except TooManyItemsets:
            if support >= 1:
                raise
            support = min(2 * support, 1.0)
        else:
            return rules, support


def _rule_rows(rules: pd.DataFrame, inputs: RuleInputs) -> pd.DataFrame:
    """Return the rules with their measures in the later baskets and the names of their products."""
    names = names_of(inputs.products)
    rows = rules.join(held_later(rules, inputs.later))
    rows["conviction"] = rows["conviction"].where(rows["confidence"] < 1)
    rows["antecedent"] = [list(items) for items in rows["antecedent"]]
    rows["antecedent_names"] = [
        " + ".join(display_names(np.array(items, dtype=object), names)) for items in rows["antecedent"]
    ]
    rows["consequent_name"] = names.reindex(rows["consequent"]).to_numpy(dtype=object)
    rows["later_baskets"] = inputs.later["order_id"].nunique()
    return rows
