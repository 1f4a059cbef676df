"""The steps of what goes with what: reading baskets, and the rows of product_affinity and basket_rules.

Belongs here: what those two tables read, compute and say. Does not: counting pairs (`affinity`), searching rules
(`rules`).
"""

from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg
import numpy as np
import pandas as pd

from clm_dagster.domains.recommend import checks
from clm_dagster.domains.recommend.affinity import MIN_BASKETS, product_affinity
from clm_dagster.domains.recommend.reading import read_baskets, read_products
from clm_dagster.domains.recommend.reasons import called, names_of
from clm_dagster.domains.recommend.settings import RecommendSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.tables import Compute, Computed, Read, Request
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.association import TooManyItemsets, basket_rules, held_later

# Products of a rule, both sides together, and sets of products that are kept: a rule takes a kilobyte in between.
LONGEST, MOST_ITEMSETS = 4, 50_000


@dataclass(frozen=True)
class _Pairs:
    """Pairs of products of one as_of, and what products are called."""

    pairs: pd.DataFrame
    products: pd.DataFrame


def pairs_reader(project: Project, settings: RecommendSettings) -> Read:
    """Reads the pairs of product_affinity, which SQL counts."""

    def read(connection: Connection, request: Request) -> _Pairs:
        as_of = as_of_of_key(request.key)
        start = as_of.date() - timedelta(days=settings.rules_days)
        pairs = product_affinity(connection, start, as_of.date(), settings.rules_min_support)
        return _Pairs(pairs, read_products(connection, project, as_of))

    return read


def told_pairs(context: dg.AssetExecutionContext, request: Request, given: _Pairs) -> Computed:
    """The rows of product_affinity: the pairs with their names."""
    as_of = str(as_of_of_key(request.key).date())
    names = names_of(given.products)
    pairs = given.pairs
    told = pairs.assign(
        name=names.reindex(pairs["product_id"]).to_numpy(dtype=object),
        other_name=names.reindex(pairs["other_product_id"]).to_numpy(dtype=object),
    )
    problem = None if len(told) else "no two products stand together in baskets often enough"
    return Computed(told[_PAIR_COLUMNS], {"pairs": len(told) // 2}, checks.check_rules(as_of, problem))


@dataclass(frozen=True)
class _Baskets:
    """Baskets that rules are learnt from, the later ones that they are tried on, and what products are called."""

    learnt: pd.DataFrame
    later: pd.DataFrame
    products: pd.DataFrame


def rule_reader(project: Project, settings: RecommendSettings) -> Read:
    """Reads the baskets of basket_rules."""

    def read(connection: Connection, request: Request) -> _Baskets:
        as_of = as_of_of_key(request.key)
        start, split = _rule_window(as_of.date(), settings)
        return _Baskets(
            read_baskets(connection, start, split),
            read_baskets(connection, split, as_of.date()),
            read_products(connection, project, as_of),
        )

    return read


def _rule_window(as_of: date, settings: RecommendSettings) -> tuple[date, date]:
    """The first day of all baskets, and of those that rules are tried on: nothing from as_of on is read."""
    held = min(settings.horizon_days, settings.rules_days // 2)
    return as_of - timedelta(days=settings.rules_days), as_of - timedelta(days=held)


def ruler(settings: RecommendSettings) -> Compute:
    """Finds the rules of basket_rules, and tries them on later baskets."""

    def compute(context: dg.AssetExecutionContext, request: Request, given: _Baskets) -> Computed:
        as_of = str(as_of_of_key(request.key).date())
        if given.learnt.empty or given.later.empty:
            lacking = "learn rules from" if given.learnt.empty else "try rules on"
            said = f"no basket to {lacking} in the {settings.rules_days} days before"
            return Computed(pd.DataFrame(columns=_RULE_COLUMNS), {}, checks.check_rules(as_of, said))
        found, support = _rules(given.learnt, settings.rules_min_support, settings.rules_min_confidence)
        if found.empty:
            said = f"no set of products is in {support:.1%} of the baskets"
            return Computed(pd.DataFrame(columns=_RULE_COLUMNS), {}, checks.check_rules(as_of, said))
        told = found.join(held_later(found, given.later)).assign(min_support=support)
        told["conviction"] = told["conviction"].where(told["confidence"] < 1)
        told["antecedent"] = [list(items) for items in told["antecedent"]]
        names = names_of(given.products)
        told["antecedent_names"] = [
            " + ".join(called(np.array(items, dtype=object), names)) for items in told["antecedent"]
        ]
        told["consequent_name"] = names.reindex(told["consequent"]).to_numpy(dtype=object)
        told["later_baskets"] = given.later["order_id"].nunique()
        significant = told["q_value"] < 0.05
        return Computed(
            told[_RULE_COLUMNS],
            {
                "rules": len(told),
                "min_support": support,
                "beyond_chance": int(significant.sum()),
                "of_those_held_later": int(told.loc[significant, "later_held"].sum()),
            },
            checks.check_rules(as_of, None if support == settings.rules_min_support else
                f"of {settings.rules_min_support:.2%} of the baskets there are too many sets of products; "
                f"{support:.2%} was taken"),
        )  # fmt: skip

    return compute


def _rules(baskets: pd.DataFrame, support: float, confidence: float) -> tuple[pd.DataFrame, float]:
    """Rules, and the support they have: doubled as often as it takes until the sets of products can be kept."""
    while True:
        try:
            return (
                basket_rules(
                    baskets, support, confidence, LONGEST, most=MOST_ITEMSETS, min_baskets=MIN_BASKETS
                ),
                support,
            )
        except TooManyItemsets:
            if support >= 1:
                raise
            support = min(2 * support, 1.0)


_PAIR_COLUMNS = [
    "product_id", "other_product_id", "name", "other_name", "baskets", "product_baskets", "other_baskets",
    "all_baskets", "support", "confidence", "lift", "leverage", "conviction",
]  # fmt: skip
_RULE_COLUMNS = [
    "antecedent", "consequent", "antecedent_names", "consequent_name", "items", "baskets", "min_support", "support",
    "confidence", "lift", "leverage", "conviction", "p_value", "q_value", "later_baskets", "later_support",
    "later_confidence", "later_lift", "later_p_value", "later_held",
]  # fmt: skip
