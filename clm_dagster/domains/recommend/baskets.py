"""Products bought together: the rows of `marts.product_affinity` and `marts.basket_rules`.

Belongs here: the inputs, rows and check messages of these two tables. Does not: counting pairs (`affinity`), the
search for rules (`statistics.association`).
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from clm_dagster.domains.recommend.affinity import Pairs, product_affinity
from clm_dagster.domains.recommend.checks import check_rules
from clm_dagster.domains.recommend.queries import read_baskets, read_products
from clm_dagster.domains.recommend.reasons import display_names, names_of
from clm_dagster.domains.recommend.table_settings import PairSettings, RuleSettings
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.statistics.association import MinedRules, Threshold, held_later, mine_rules
from clm_dagster.statistics.independence import SIGNIFICANT

# Maximum number of products in a rule, both sides together, and of sets of products in memory (about two kilobytes
# each, with their rules).
MAX_RULE_ITEMS, MAX_ITEMSETS = 4, 20_000


@dataclass(frozen=True)
class PairInputs:
    """The pairs of products at one as_of, and the names of products."""

    pairs: Pairs
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
    """Return the significant pairs with the names of their products."""
    found, names = inputs.pairs, names_of(inputs.products)
    pairs = found.rows[found.rows["q_value"] < SIGNIFICANT]
    rows = pairs.assign(
        name=names.reindex(pairs["product_id"]).to_numpy(dtype=object),
        other_name=names.reindex(pairs["other_product_id"]).to_numpy(dtype=object),
    )
    counts = {
        "pairs": len(rows) // 2,
        "pairs_often_enough": len(found.rows) // 2,
        "pairs_tested": found.tests,
    }
    problem = None
    if rows.empty:
        problem = _nothing_found("pair of products", found.threshold, found.tests)
    elif found.raised and work.settings.min_support is not None:
        problem = _raised(work.settings.min_support, found.threshold)
    return TableOutput(
        rows[work.columns], counts | _described(found.threshold), check_rules(work.label, problem)
    )


def _described(threshold: Threshold | None) -> dict[str, int | float | str]:
    """Return the metadata of a threshold."""
    if threshold is None:
        return {}
    return {
        "min_baskets": threshold.baskets,
        "min_support": threshold.support,
        "min_support_reason": threshold.reason,
        "baskets": threshold.total,
    }


def _nothing_found(what: str, threshold: Threshold | None, tests: int) -> str:
    if threshold is None:
        return f"there are too few baskets for any {what} to be significant"
    return (
        f"no {what} is in at least {threshold.baskets} of {threshold.total} baskets and significant among "
        f"{tests:,} (q-value below {SIGNIFICANT})"
    )


def _raised(given: float, threshold: Threshold | None) -> str | None:
    """Say that a given minimum support could not be kept."""
    if threshold is None:
        return None
    return (
        f"CLM_RULES_MIN_SUPPORT={given} gives too many sets of products; it was raised to {threshold.support:.4%} "
        f"({threshold.baskets} baskets): {threshold.reason}"
    )


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
    mined = mine(inputs.training, settings.min_support, settings.min_confidence)
    rules = mined.rules[mined.rules["q_value"] < SIGNIFICANT].reset_index(drop=True)
    described: dict[str, int | float | str] = {
        "rules_often_enough": len(mined.rules),
        "rules_tested": mined.tests,
    }
    described |= _described(mined.threshold)
    if rules.empty:
        return _no_rules(work, _nothing_found("rule", mined.threshold, mined.tests), described)
    rows = _rule_rows(rules, inputs).assign(min_support=mined.threshold.support)
    problem = None
    if mined.raised and settings.min_support is not None:
        problem = _raised(settings.min_support, mined.threshold)
    return TableOutput(
        rows[work.columns],
        {"rules": len(rows), "rules_confirmed_later": int(rows["later_held"].sum())} | described,
        check_rules(work.label, problem),
    )


def mine(baskets: pd.DataFrame, support: float | None, confidence: float) -> MinedRules:
    """Return the rules of baskets within the bounds of this table, significant or not."""
    return mine_rules(baskets, support, confidence, MAX_RULE_ITEMS, MAX_ITEMSETS)


def _no_rules(
    work: Work[RuleSettings], problem: str, described: dict[str, int | float | str] | None = None
) -> TableOutput:
    return TableOutput(
        pd.DataFrame(columns=work.columns),
        {"rules": 0} | (described or {}),
        check_rules(work.label, problem),
    )


def _rule_rows(rules: pd.DataFrame, inputs: RuleInputs) -> pd.DataFrame:
    """Return the rules with their measures in the later baskets and the names of their products."""
    names = names_of(inputs.products)
    rows = rules.join(held_later(rules, inputs.later))
    rows["conviction"] = rows["conviction"].where(rows["confidence"] < 1)
    rows["antecedent"] = [list(items) for items in rows["antecedent"]]
    # Look up the few products once: a lookup for each rule takes twenty times as long as mining them.
    ids = np.array(sorted({item for items in rows["antecedent"] for item in items}), dtype=object)
    shown = dict(zip(ids, display_names(ids, names), strict=True))
    rows["antecedent_names"] = [" + ".join(shown[item] for item in items) for items in rows["antecedent"]]
    rows["consequent_name"] = names.reindex(rows["consequent"]).to_numpy(dtype=object)
    rows["later_baskets"] = inputs.later["order_id"].nunique()
    return rows
