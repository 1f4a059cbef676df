"""A plan in shards is that of all customers at once: the same actions, reasons, receipts, metadata and checks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_dagster.domains.actions.names import NOTHING
from clm_dagster.domains.actions.plan import Plan, PlanInputs, PlanSource, planned_rows
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.shards import Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster_tests.domains.actions.test_choosing import limits
from clm_dagster_tests.domains.actions.test_offers import play
from clm_dagster_tests.sharded import output_of, plain, shards_of, split_rows

TABLE = "marts.next_best_actions"
PLAYS = [
    play(
        "coupon", "win_back_coupon", cost=0.1, discount=0.05, effect=0.05, arm="discount", cool_down_days=30
    ),
    play("call", channel="phone", cost=2.0, effect=0.2),
    play("card", "cross_sell", channel="post", cost=0.8, effect=0.06),
    play("note", effect=0.01),
    play("silence", NOTHING, channel=""),
]


def random_inputs(seed: int, customers: int) -> PlanInputs:
    """Customers of whom some are contacted lately, some have no order, some a proven effect, some no list."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"c{number}" for number in range(customers)], dtype=object)

    def some(share: float) -> np.ndarray:
        return ids[rng.random(customers) < share]

    met = [
        pd.DataFrame({"customer_id": some(0.1 if one.action == NOTHING else 0.6), "place": place})
        for place, one in enumerate(PLAYS)
    ]
    contacted, shown, proven = some(0.4), some(0.8), some(0.5)
    return PlanInputs(
        plays=PLAYS,
        known=customers + 3,
        customers=pd.DataFrame(
            {
                "customer_id": ids,
                "stage": rng.choice(["loyal", "lost", None], customers),
                "segment": rng.choice(["champions", "hibernating"], customers),
                "risk_band": rng.choice(["low", "high", None], customers),
                "recency_days": np.where(
                    rng.random(customers) < 0.2, np.nan, rng.integers(1, 400, customers)
                ),
                "order_probability": np.where(rng.random(customers) < 0.2, np.nan, rng.random(customers)),
                "order_value": rng.gamma(2, 20, customers).round(2),
            }
        ).astype(dict.fromkeys(("customer_id", "stage", "segment", "risk_band"), "str")),
        pairs=pd.concat(met).astype({"customer_id": "str", "place": "int64"}),
        contacts=pd.DataFrame(
            {
                "customer_id": contacted,
                "play": rng.choice(["coupon", None], len(contacted)),
                "days": rng.integers(1, 60, len(contacted)),
            }
        ).astype({"customer_id": "str", "play": "str"}),
        products=pd.DataFrame(
            {
                "customer_id": shown,
                "list": rng.choice(["next_best", "discover"], len(shown)),
                "products": [["p1", "p2"]] * len(shown),
            }
        ).astype({"customer_id": "str", "list": "str"}),
        margin_rate=0.3,
        served={"churn_scores": "models.churn_model 4"},
        uplift=pd.DataFrame(
            {"customer_id": proven, "arm": "discount", "effect": rng.normal(0.05, 0.1, len(proven))}
        ).astype({"customer_id": "str", "arm": "str"}),
    )


def source_of(inputs: PlanInputs, shards: Shards, folder: Path) -> PlanSource:
    parts = {
        name: split_rows(getattr(inputs, name), shards, folder)
        for name in ("customers", "pairs", "contacts", "products", "uplift")
    }
    return PlanSource(
        plays=inputs.plays,
        known=inputs.known,
        margin_rate=inputs.margin_rate,
        served=inputs.served,
        **parts,
    )


def plan_of(source: PlanSource, budget: float | None, phone: int, folder: Path, project: Project) -> Plan:
    shelf = Shelf(folder if len(source.customers.shards) > 1 else None)
    columns = [name for name in project.nodes[TABLE].types if name != "as_of"]
    return Plan(source, PLAYS, limits(budget, phone=phone), Version("v"), shelf, "a snapshot", columns)


@given(
    seed=st.integers(0, 10_000),
    customers=st.integers(1, 900),
    budget=st.none() | st.floats(0, 300),
    phone=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 1_000), max_size=5),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_metadata_and_checks_do_not_depend_on_shards(
    project: Project,
    tmp_path: Path,
    seed: int,
    customers: int,
    budget: float | None,
    phone: int,
    cuts: list[int],
) -> None:
    inputs = random_inputs(seed, customers)
    found = []
    for shards in (Shards(), shards_of(inputs.customers, cuts)):
        plan = plan_of(source_of(inputs, shards, tmp_path), budget, phone, tmp_path, project)
        found.append(output_of(plan, project, TABLE, tmp_path))
    (whole, rows), (parts, same) = found
    pd.testing.assert_frame_equal(rows, same, check_exact=True)
    assert plain(dict(whole.metadata)) == plain(dict(parts.metadata))
    for one, other in zip(whole.checks, parts.checks, strict=True):
        assert (one.passed, one.description) == (other.passed, other.description)


def test_a_campaign_in_shards_has_the_customers_of_one_piece(tmp_path: Path) -> None:
    inputs = random_inputs(1, 500)
    campaign: list[Play] = PLAYS[:2]
    found = []
    for shards in (Shards(), shards_of(inputs.customers, [3, 100, 470])):
        shelf = Shelf(tmp_path if shards.cuts else None)
        source = source_of(inputs, shards, tmp_path)
        rows, metadata = planned_rows(source, campaign, limits(50.0, phone=9), Version("v"), shelf)
        found.append((rows.sort_values("customer_id", ignore_index=True), plain(metadata)))
    (rows, metadata), (same, parts) = found
    pd.testing.assert_frame_equal(rows, same, check_exact=True, check_dtype=False)
    assert metadata == parts and 0 < len(rows) < 500 and set(rows["play"]) <= {"coupon", "call"}


def test_a_shop_in_which_nobody_may_be_contacted_has_an_empty_plan(project: Project, tmp_path: Path) -> None:
    inputs = random_inputs(0, 1)
    nobody = replace(
        inputs,
        **{
            name: getattr(inputs, name).iloc[:0]
            for name in ("customers", "pairs", "contacts", "products", "uplift")
        },
    )
    plan = plan_of(source_of(nobody, Shards(), tmp_path), 10.0, 1, tmp_path, project)
    output, rows = output_of(plan, project, TABLE, tmp_path)
    assert rows.empty and output.metadata["contacts"] == 0
