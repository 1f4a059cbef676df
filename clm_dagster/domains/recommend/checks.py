"""What the checks of recommendations say, in words, and the faults of lists that they count.

Belongs here: descriptions and results of the domain's own checks. Does not: those that every trained model has
(`platform.trained_models.checks`).
"""

from dataclasses import dataclass

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.recommend.interactions import Interactions
from clm_dagster.domains.recommend.metrics import stored
from clm_dagster.platform.trained_models.checks import warn

BOTH_LISTS, NOT_DISCONTINUED, NO_DUPLICATES, ONLY_NEW = (
    "every_customer_has_lists",
    "no_discontinued_product",
    "no_product_twice_in_a_list",
    "discover_holds_nothing_bought",
)
RULES = "rules_could_be_made"
GATE = "The ranker beats buy_again for next_best and popularity for discover, intervals clear of 0."
LIST_CHECKS = {
    BOTH_LISTS: "Every customer known at as_of has both lists.",
    NOT_DISCONTINUED: "Every product on a list was sold in the last CLM_RECOMMEND_ACTIVE_DAYS days.",
    NO_DUPLICATES: "No product stands twice on one list of a customer.",
    ONLY_NEW: "No product on discover had been bought by the customer.",
}
RULE_CHECKS = {RULES: "There were baskets enough to say what goes with what."}


@dataclass(frozen=True)
class ListFaults:
    """What is wrong with lists, looked up afresh in the purchases; parts of them add up.

    customers: who have a list; complete: known customers who have both. dead, twice, own: places of products that are
    discontinued, that the list has already, and that stand on discover though the customer had bought them.
    """

    customers: int = 0
    with_both_lists: int = 0
    discontinued: int = 0
    duplicates: int = 0
    already_bought: int = 0

    def __add__(self, other: "ListFaults") -> "ListFaults":
        return ListFaults(
            self.customers + other.customers,
            self.with_both_lists + other.with_both_lists,
            self.discontinued + other.discontinued,
            self.duplicates + other.duplicates,
            self.already_bought + other.already_bought,
        )


def count_faults(
    lists: pd.DataFrame, past: Interactions, active: NDArray[np.bool_], known: NDArray[np.bool_]
) -> ListFaults:
    """Count what is wrong with the lists of some customers.

    lists: columns of `everyones_lists`. active: which products were sold lately. known: which of past.customers the
    snapshot knows; buyers whom it does not know have lists as well.
    """
    # Each id is looked up once: among a million of them a look costs more than counting.
    person, people = pd.factorize(lists["customer_id"])
    product, products = pd.factorize(lists["product_id"])
    row, column = past.rows_of(people.to_numpy(object)), past.columns_of(products.to_numpy(object))[product]
    new = (lists["list"] == "discover").to_numpy()
    has = np.bincount(2 * person + new, minlength=2 * len(people)).reshape(-1, 2) > 0
    entries = (2 * person + new) * len(products) + product
    bought = past.of(row[row >= 0]).latest()
    discover_of_buyers = new & (row[person] >= 0)
    return ListFaults(
        customers=len(people),
        with_both_lists=int((has.all(axis=1) & np.append(known, True)[row]).sum()),
        discontinued=int((~active[column] | (column < 0)).sum()),
        duplicates=len(entries) - len(np.unique(entries)),
        already_bought=int(
            stored(
                bought, (np.cumsum(row >= 0) - 1)[person[discover_of_buyers]], column[discover_of_buyers]
            ).sum()
        ),
    )


def check_lists(
    as_of: str, faults: ListFaults, customers: int, active_days: int
) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of the lists of so many customers."""
    lacking = customers - faults.with_both_lists
    return [
        warn(BOTH_LISTS, lacking == 0, f"{as_of}: {lacking} of {customers} customers lack a list"),
        _error(
            NOT_DISCONTINUED,
            faults.discontinued,
            f"{as_of}: {faults.discontinued} places for products without a sale in {active_days} days",
        ),
        _error(
            NO_DUPLICATES,
            faults.duplicates,
            f"{as_of}: {faults.duplicates} places hold a product that the list has already",
        ),
        _error(
            ONLY_NEW,
            faults.already_bought,
            f"{as_of}: {faults.already_bought} places on discover hold what the customer had bought",
        ),
    ]


def check_rules(as_of: str, problem: str | None) -> list[dg.AssetCheckResult]:
    """Return the result of the check of a table of products that go together."""
    return [warn(RULES, problem is None, f"{as_of}: {problem or 'made'}")]


def _error(name: str, found: int, text: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name, passed=found == 0, severity=dg.AssetCheckSeverity.ERROR, description=text
    )
