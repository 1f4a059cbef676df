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

EVERYONE, ALIVE, ONCE, FRESH = (
    "every_customer_has_lists",
    "no_discontinued_product",
    "no_product_twice_in_a_list",
    "discover_holds_nothing_bought",
)
RULES = "rules_could_be_made"
GATE = "The ranker beats buy_again for next_best and popularity for discover, intervals clear of 0."
LISTED = {
    EVERYONE: "Every customer known at as_of has both lists.",
    ALIVE: "Every product on a list was sold in the last CLM_RECOMMEND_ACTIVE_DAYS days.",
    ONCE: "No product stands twice on one list of a customer.",
    FRESH: "No product on discover had been bought by the customer.",
}
TOGETHER = {RULES: "There were baskets enough to say what goes with what."}


@dataclass(frozen=True)
class Faults:
    """What is wrong with lists, looked up afresh in the purchases; parts of them add up.

    customers: who have a list; complete: known customers who have both. dead, twice, own: places of products that are
    discontinued, that the list has already, and that stand on discover though the customer had bought them.
    """

    customers: int = 0
    complete: int = 0
    dead: int = 0
    twice: int = 0
    own: int = 0

    def __add__(self, other: "Faults") -> "Faults":
        return Faults(
            self.customers + other.customers,
            self.complete + other.complete,
            self.dead + other.dead,
            self.twice + other.twice,
            self.own + other.own,
        )


def faults_of(
    lists: pd.DataFrame, past: Interactions, active: NDArray[np.bool_], known: NDArray[np.bool_]
) -> Faults:
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
    places = (2 * person + new) * len(products) + product
    bought = past.of(row[row >= 0]).latest()
    mine = new & (row[person] >= 0)
    return Faults(
        customers=len(people),
        complete=int((has.all(axis=1) & np.append(known, True)[row]).sum()),
        dead=int((~active[column] | (column < 0)).sum()),
        twice=len(places) - len(np.unique(places)),
        own=int(stored(bought, (np.cumsum(row >= 0) - 1)[person[mine]], column[mine]).sum()),
    )


def check_lists(as_of: str, faults: Faults, customers: int, active_days: int) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of the lists of so many customers."""
    lacking = customers - faults.complete
    return [
        warn(EVERYONE, lacking == 0, f"{as_of}: {lacking} of {customers} customers lack a list"),
        _error(
            ALIVE,
            faults.dead,
            f"{as_of}: {faults.dead} places for products without a sale in {active_days} days",
        ),
        _error(
            ONCE, faults.twice, f"{as_of}: {faults.twice} places hold a product that the list has already"
        ),
        _error(
            FRESH, faults.own, f"{as_of}: {faults.own} places on discover hold what the customer had bought"
        ),
    ]


def check_rules(as_of: str, problem: str | None) -> list[dg.AssetCheckResult]:
    """Return the result of the check of a table of products that go together."""
    return [warn(RULES, problem is None, f"{as_of}: {problem or 'made'}")]


def _error(name: str, found: int, text: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name, passed=found == 0, severity=dg.AssetCheckSeverity.ERROR, description=text
    )
