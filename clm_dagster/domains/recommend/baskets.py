"""What goes with what: the rows of `marts.product_affinity` and `marts.basket_rules`.

Belongs here: what those two tables read, compute and say. Does not: counting pairs (`affinity`), searching rules
(`statistics.association`).
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

# Products of a rule, both sides together, and sets of products that are kept: a rule takes a kilobyte in between.
MAX_RULE_ITEMS, MAX_ITEMSETS = 4, 50_000
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairSettings:
    """What a user may choose of pairs: days of baskets before as_of, share of the baskets that hold a pair."""

    days: int
    min_support: float


@dataclass(frozen=True)
class PairInputs:
    """Pairs of products of one as_of, and products' names."""

    pairs: pd.DataFrame
    products: pd.DataFrame


def read_pairs(reading: Reading[PairSettings]) -> PairInputs:
    """Read the pairs, which the database counts."""
    settings = reading.settings
    start = reading.day - timedelta(days=settings.days)
    return PairInputs(
        product_affinity(reading.connection, start, reading.day, settings.min_support),
        read_products(reading.connection, reading.project, reading.as_of),
    )


def add_pair_names(work: Work[PairSettings], inputs: PairInputs) -> TableOutput:
    """Return the pairs with their names."""
    pairs, names = inputs.pairs, names_of(inputs.products)
    rows = pairs.assign(
        name=names.reindex(pairs["product_id"]).to_numpy(dtype=object),
        other_name=names.reindex(pairs["other_product_id"]).to_numpy(dtype=object),
    )
    problem = None if len(rows) else "no two products stand together in baskets often enough"
    return TableOutput(rows[work.columns], {"pairs": len(rows) // 2}, check_rules(str(work.day), problem))


@dataclass(frozen=True)
class RuleSettings:
    """What a user may choose of rules.

    days: of baskets before as_of. min_support: share of the baskets that hold a rule. min_confidence: share of those
    with the antecedent. held_days: so many of the days rules are tried on and not learnt from, half of them at most.
    """

    days: int
    min_support: float
    min_confidence: float
    held_days: int

    def window(self, as_of: date) -> tuple[date, date]:
        """Return the first day of all baskets, and of those that rules are tried on."""
        held = min(self.held_days, self.days // 2)
        return as_of - timedelta(days=self.days), as_of - timedelta(days=held)


@dataclass(frozen=True)
class RuleInputs:
    """Baskets that rules are learnt from, the later ones that they are tried on, and products' names."""

    training: pd.DataFrame
    later: pd.DataFrame
    products: pd.DataFrame


def read_rules(reading: Reading[RuleSettings]) -> RuleInputs:
    """Read the baskets of both periods; nothing from as_of on."""
    start, split = reading.settings.window(reading.day)
    return RuleInputs(
        read_baskets(reading.connection, start, split),
        read_baskets(reading.connection, split, reading.day),
        read_products(reading.connection, reading.project, reading.as_of),
    )


def find_rules(work: Work[RuleSettings], inputs: RuleInputs) -> TableOutput:
    """Return the rules of the earlier baskets, tried on the later ones."""
    settings = work.settings
    if inputs.training.empty or inputs.later.empty:
        lacking = "learn rules from" if inputs.training.empty else "try rules on"
        return _no_rules(work, f"no basket to {lacking} in the {settings.days} days before")
    rules, support = _rules(inputs.training, settings.min_support, settings.min_confidence)
    if rules.empty:
        return _no_rules(work, f"no set of products is in {support:.1%} of the baskets")
    rows = _rule_rows(rules, inputs).assign(min_support=support)
    significant = rows["q_value"] < SIGNIFICANT
    problem = None
    if support != settings.min_support:
        problem = (
            f"of {settings.min_support:.2%} of the baskets there are too many sets of products; "
            f"{support:.2%} was taken"
        )
    return TableOutput(
        rows[work.columns],
        {
            "rules": len(rows),
            "min_support": support,
            "beyond_chance": int(significant.sum()),
            "of_those_held_later": int(rows.loc[significant, "later_held"].sum()),
        },
        check_rules(str(work.day), problem),
    )


def _no_rules(work: Work[RuleSettings], problem: str) -> TableOutput:
    return TableOutput(pd.DataFrame(columns=work.columns), {}, check_rules(str(work.day), problem))


def _rules(baskets: pd.DataFrame, support: float, confidence: float) -> tuple[pd.DataFrame, float]:
    """Return rules and their support, doubled as often as it takes until the sets of products can be kept."""
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
    """Return rules with their measures in the later baskets and their products' names."""
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
