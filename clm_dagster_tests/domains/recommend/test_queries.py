"""Queries on the warehouse: only purchases before as_of, with the same numbers from the database and pandas."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.interactions import interactions
from clm_dagster.domains.recommend.queries import read_baskets, read_past, read_products
from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation.learning import places_of
from clm_dagster_tests.shops import small_shop_events

AS_OF = datetime(2024, 2, 12)


@pytest.fixture
def shop(connection: Connection, project: Project) -> pd.DataFrame:
    """The small shop's events in raw.events, with descriptions that change at as_of; staging views over them."""
    from clm_dagster.domains.ingest.contract import read_contract
    from clm_dagster.domains.ingest.loading import create_tables

    create_tables(connection, read_contract(project).values())
    events = small_shop_events(customers=30, orders=120).replace("", None)
    events["order_id"] = "o" + (events["order_id"].str[1:].astype(float) // 2).astype(
        str
    )  # ids that two share
    late = events["event_at"] >= str(AS_OF)
    events["description"] = np.where(
        late, "NEW NAME", "OLD NAME OF " + events["product_id"].fillna("nothing")
    )
    connection.load_frame("main.given", events)
    connection.execute(
        "insert into raw.events by name select *, false as deleted, event_at as known_at, 1 as exchange_rate, "
        "cast(quantity as decimal(18, 4)) * cast(unit_price as decimal(18, 4)) as line_amount from main.given"
    )
    build(connection, project, ["stg_events", "stg_order_lines", "stg_products"], "staging", {})
    node = project.model("customer_identities")
    connection.ensure_columns(node.relation, node.types)
    return events


def test_database_and_pandas_assign_the_same_numbers(connection: Connection, shop: pd.DataFrame) -> None:
    bought = shop[shop["event_type"] == "purchase"]
    lines = bought.assign(day=bought["event_at"], quantity=bought["quantity"].astype(int))
    expected, found = interactions(lines, AS_OF.date()), read_past(connection, AS_OF)
    assert found is not None and found.as_of == expected.as_of and len(found.age)
    for name in ("customers", "products", "customer", "product", "age", "quantity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    everything = read_past(connection, datetime(2025, 1, 1))
    assert everything is not None
    earlier = everything.before(AS_OF.date())
    for name in ("customers", "products", "customer", "product", "age", "quantity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(earlier, name), err_msg=name)


def test_only_the_last_days_are_read(connection: Connection, shop: pd.DataFrame) -> None:
    everything, recent = read_past(connection, AS_OF), read_past(connection, AS_OF, days=20)
    assert everything is not None and recent is not None
    kept = everything.age <= 20
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(recent.age, everything.age[kept])
    np.testing.assert_array_equal(
        recent.customers[recent.customer], everything.customers[everything.customer[kept]]
    )
    np.testing.assert_array_equal(
        recent.products[recent.product], everything.products[everything.product[kept]]
    )


def test_a_sample_has_all_purchases_of_its_customers_and_none_of_others(
    connection: Connection, shop: pd.DataFrame
) -> None:
    everything, sample = read_past(connection, AS_OF), read_past(connection, AS_OF, share=0.5)
    assert everything is not None and sample is not None
    chosen = places_of(everything.customers) < 0.5
    assert 0 < chosen.sum() < len(chosen)
    assert sample.customers.tolist() == everything.customers[chosen].tolist()
    kept = chosen[everything.customer]
    np.testing.assert_array_equal(sample.age, everything.age[kept])
    np.testing.assert_array_equal(
        sample.products[sample.product], everything.products[everything.product[kept]]
    )


def test_ids_of_one_person_are_one_customer(connection: Connection, shop: pd.DataFrame) -> None:
    before = read_past(connection, AS_OF)
    assert before is not None
    kept, alias = before.customers[:2]
    connection.execute(
        "insert into core.customer_identities by name select unnest([?, ?]) as customer_id, ? as person_id, ? as as_of",
        [kept, alias, kept, AS_OF],
    )
    after = read_past(connection, AS_OF)
    assert after is not None
    assert list(after.customers) == [name for name in before.customers if name != alias]
    assert after.quantity.sum() == before.quantity.sum()
    bought = before.quantity[before.customer <= 1].sum()
    assert after.quantity[after.customer == 0].sum() == bought


def test_names_are_as_of_the_snapshot(connection: Connection, project: Project, shop: pd.DataFrame) -> None:
    products = read_products(connection, project, AS_OF)
    assert products["name"].str.startswith("OLD NAME").all() and products["product_id"].is_unique
    assert (read_products(connection, project, datetime(2025, 1, 1))["name"] == "NEW NAME").any()


def test_baskets_include_guests_and_only_the_window(connection: Connection, shop: pd.DataFrame) -> None:
    start = datetime(2024, 1, 15)
    baskets = read_baskets(connection, start.date(), AS_OF.date())
    inside = shop[
        (shop["event_type"] == "purchase")
        & (shop["event_at"] >= str(start))
        & (shop["event_at"] < str(AS_OF))
    ]
    orders = inside["order_id"] + ("\x1f" + inside["customer_id"]).fillna("")
    assert set(baskets["order_id"]) == set(orders)
    assert inside["customer_id"].isna().any()
    assert not baskets.duplicated().any()


def test_before_the_first_purchase_there_are_no_interactions(
    connection: Connection, shop: pd.DataFrame
) -> None:
    assert read_past(connection, datetime(2024, 1, 1)) is None
