"""Asset checks of recommendations: their descriptions and results.

Belongs here: the domain's own checks. Does not: counting faults (`list_faults`), the checks that every trained model
has (`platform.trained_models.checks`).
"""

from dataclasses import dataclass

import dagster as dg

from clm_dagster.platform.trained_models.checks import warn

BOTH_LISTS, NOT_DISCONTINUED, NO_DUPLICATES, ONLY_NEW = (
    "every_customer_has_lists",
    "no_discontinued_product",
    "no_product_twice_in_a_list",
    "discover_holds_nothing_bought",
)
RULES = "rules_could_be_made"
GATE = (
    "The ranker beats buy_again for next_best and popularity for discover, with an interval above 0; each list passes "
    "for itself."
)
LIST_CHECKS = {
    BOTH_LISTS: "Every customer known at as_of has both lists.",
    NOT_DISCONTINUED: "Every product on a list was sold in the last CLM_RECOMMEND_ACTIVE_DAYS days.",
    NO_DUPLICATES: "No product is twice on the same list of a customer.",
    ONLY_NEW: "No product on the list discover was bought by the customer before.",
}
RULE_CHECKS = {RULES: "There are enough baskets to find products that are bought together."}


@dataclass(frozen=True)
class ListFaults:
    """Counts of faults in lists, recomputed from the purchases. Counts of several parts can be added.

    customers: with a list. with_both_lists: customers known to the snapshot with both lists. discontinued: places with
    a discontinued product. duplicates: places with a product that is on the list already. already_bought: places on
    discover with a product that the customer bought before.
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


def check_lists(
    snapshot: str, faults: ListFaults, customers: int, active_days: int
) -> list[dg.AssetCheckResult]:
    """Return the check results of the lists. customers: number of customers known to the snapshot."""
    lacking = customers - faults.with_both_lists
    return [
        warn(BOTH_LISTS, lacking == 0, f"{snapshot}: {lacking} of {customers} customers lack a list"),
        _error(
            NOT_DISCONTINUED,
            faults.discontinued,
            f"{snapshot}: {faults.discontinued} places hold a product without a sale in {active_days} days",
        ),
        _error(
            NO_DUPLICATES,
            faults.duplicates,
            f"{snapshot}: {faults.duplicates} places hold a product that is already on the list",
        ),
        _error(
            ONLY_NEW,
            faults.already_bought,
            f"{snapshot}: {faults.already_bought} places on discover hold a product that the customer bought before",
        ),
    ]


def check_rules(snapshot: str, problem: str | None) -> list[dg.AssetCheckResult]:
    """Return the check result of a table of products that are bought together."""
    return [warn(RULES, problem is None, f"{snapshot}: {problem or 'enough baskets'}")]


def _error(name: str, found: int, text: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name, passed=found == 0, severity=dg.AssetCheckSeverity.ERROR, description=text
    )
