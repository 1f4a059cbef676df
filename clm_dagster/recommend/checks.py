"""What the checks of this room say, in words."""

from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from clm_dagster.checks import check_contest, contest_specs, coverage_specs, warn
from clm_dagster.contest import Verdict
from clm_dagster.recommend.interactions import Interactions
from clm_dagster.recommend.metrics import stored

if TYPE_CHECKING:
    from clm_dagster.recommend.model import ContestResult

EVERYONE, ALIVE, ONCE, FRESH = (
    "every_customer_has_lists",
    "no_discontinued_product",
    "no_product_twice_in_a_list",
    "discover_holds_nothing_bought",
)
RULES = "rules_could_be_made"


def specs_of_model(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of a training."""
    return contest_specs(
        key, "The ranker beats buy_again for next_best and popularity for discover, intervals clear of 0."
    )


def specs_of_lists(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of the recommendations."""
    return [
        *coverage_specs(key),
        dg.AssetCheckSpec(EVERYONE, asset=key, description="Every customer known at as_of has both lists."),
        dg.AssetCheckSpec(
            ALIVE, asset=key,
            description="Every product on a list was sold in the last CLM_RECOMMEND_ACTIVE_DAYS days.",
        ),
        dg.AssetCheckSpec(ONCE, asset=key, description="No product stands twice on one list of a customer."),
        dg.AssetCheckSpec(FRESH, asset=key, description="No product on discover had been bought by the customer."),
    ]  # fmt: skip


def specs_of_rules(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The check of a table of products that go together."""
    return [
        dg.AssetCheckSpec(
            RULES, asset=key, description="There were baskets enough to say what goes with what."
        )
    ]


def check_training(
    as_of: str, result: "ContestResult", then: Verdict, now: Verdict
) -> list[dg.AssetCheckResult]:
    """Results of the checks of a training that held its contest."""
    left = "".join(f" Without {name}: {why}." for name, why in result.left_out.items())
    held = (
        f"{len(result.entrants)} methods, judged on {result.customers} customers of the "
        f"{result.ranker.settings.horizon_days} days from {result.judged_at} on.{left}"
    )
    return check_contest(as_of, held, then.accepted, str(now))


def check_lists(
    as_of: str, lists: pd.DataFrame, past: Interactions | None, customers: pd.DataFrame, active_days: int
) -> list[dg.AssetCheckResult]:
    """Results of the checks of the lists, looked up afresh in the purchases. lists: columns of `everyones_lists`."""
    if past is None:
        said = f"{as_of}: nobody had bought anything, so there is nothing to recommend"
        return [warn(EVERYONE, customers.empty, said), *(_error(n, 0, said) for n in (ALIVE, ONCE, FRESH))]
    column = past.columns_of(lists["product_id"].to_numpy(dtype=object))
    dead = int((~past.sold_within(active_days)[column] | (column < 0)).sum())
    twice = int(lists.duplicated(["customer_id", "list", "product_id"]).sum())
    mine = (lists["list"] == "discover").to_numpy()
    row = past.rows_of(lists.loc[mine, "customer_id"].to_numpy(dtype=object))
    own = int(stored(past.latest(), row, column[mine])[row >= 0].sum())
    having = lists.groupby("customer_id")["list"].nunique()
    lacking = int((having.reindex(customers["customer_id"].astype(str)).fillna(0) < 2).sum())
    return [
        warn(EVERYONE, lacking == 0, f"{as_of}: {lacking} of {len(customers)} customers lack a list"),
        _error(ALIVE, dead, f"{as_of}: {dead} places for products without a sale in {active_days} days"),
        _error(ONCE, twice, f"{as_of}: {twice} places hold a product that the list has already"),
        _error(FRESH, own, f"{as_of}: {own} places on discover hold what the customer had bought"),
    ]


def check_rules(as_of: str, problem: str | None) -> list[dg.AssetCheckResult]:
    """The result of the check of a table of products that go together."""
    return [warn(RULES, problem is None, f"{as_of}: {problem or 'made'}")]


def _error(name: str, found: int, text: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name, passed=found == 0, severity=dg.AssetCheckSeverity.ERROR, description=text
    )
