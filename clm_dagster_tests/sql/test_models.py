"""Each SQL model on small inputs, with expected rows written by hand."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from clm_dagster.platform.dbt_project.building import build
from clm_dagster_tests.sql.fixtures import Raw, only, read_rows

JAN_1, JAN_2 = date(2024, 1, 1), date(2024, 1, 2)


def money(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(amount) for amount in amounts)


@pytest.fixture
def day_of_anna(raw: Raw) -> Raw:
    """One morning order of two lines, one evening order, and every other type of event."""
    raw.event("purchase", "2024-01-01 17:59", order_id="o1", product_id="p1", quantity=2, unit_price="3.50")
    raw.event("purchase", "2024-01-01 18:30", order_id="o1", product_id="p2", country="DE")
    raw.event("purchase", "2024-01-01 18:00", order_id="o2", product_id="p1", unit_price="0.0001")
    raw.event("return", "2024-01-01 19:00", order_id="c1", product_id="p9", quantity=3, unit_price="1.00")
    raw.event("gift", "2024-01-01 19:00", order_id="o2", product_id="p7", unit_price="0")
    raw.event("charge", "2024-01-01 19:00", order_id="o2", product_id="POST", unit_price="4.95")
    raw.event("charge_refund", "2024-01-01 19:00", order_id="c1", product_id="POST", unit_price="1.95")
    for kind in ("visit", "visit", "view", "add_to_cart", "email_open", "email_click"):
        raw.event(kind, "2024-01-01 08:00", session_id="s1", product_id="p3")
    raw.event("purchase", "2024-01-01 12:00", customer=None, order_id="g1", product_id="p1", unit_price="5")
    raw.event("visit", "2024-01-02 00:00", customer="bob", country="FR")
    return raw


def test_customer_daily(day_of_anna: Raw) -> None:
    anna, bob = day_of_anna.rows("customer_daily", "2024-01-03")
    assert anna == {
        "activity_date": JAN_1,
        "customer_id": "anna",
        "country": "DE",
        "orders": 2,
        "evening_orders": 1,
        "products": 2,
        "units": 4,
        "returned_units": 3,
        "gross_revenue": Decimal("17.0001"),
        "discounts": Decimal(0),
        "returned_revenue": Decimal("3.0000"),
        "refunds": Decimal(0),
        "net_revenue": Decimal("14.0001"),
        "tax": Decimal(0),
        "shipping": Decimal(0),
        "net_charges": Decimal("3.0000"),
        "visits": 2,
        "views": 1,
        "carts": 1,
        "email_opens": 1,
        "email_clicks": 1,
    }
    zero = {name: 0 for name, value in anna.items() if not isinstance(value, date | str)}
    assert bob == zero | {"activity_date": JAN_2, "customer_id": "bob", "country": "FR", "visits": 1}


def test_product_daily(day_of_anna: Raw) -> None:
    rows = day_of_anna.rows("product_daily", "2024-01-03")
    assert {row["sales_date"] for row in rows} == {JAN_1}
    counts = ("product_id", "orders", "buyers", "units", "returned_units", "gift_lines")
    assert only(rows, *counts) == [
        ("p1", 3, 1, 4, 0, 0),
        ("p2", 1, 1, 1, 0, 0),
        ("p7", 0, 0, 0, 0, 1),
        ("p9", 0, 0, 0, 3, 0),
    ]
    assert only(rows, "gross_revenue", "returned_revenue", "net_revenue") == [
        money("12.0001", "0", "12.0001"),
        money("10", "0", "10"),
        money("0", "0", "0"),
        money("0", "3", "-3"),
    ]


def test_totals_daily_count_guests_and_days_without_a_sale(day_of_anna: Raw) -> None:
    first, second = day_of_anna.rows("totals_daily", "2024-01-03")
    assert first == {
        "sales_date": JAN_1,
        "orders": 3,
        "buyers": 1,
        "guest_orders": 1,
        "units": 5,
        "visits": 2,
        "sessions": 1,
        "gross_revenue": Decimal("22.0001"),
        "discounts": Decimal(0),
        "returned_revenue": Decimal("3"),
        "refunds": Decimal(0),
        "net_revenue": Decimal("19.0001"),
        "tax": Decimal(0),
        "shipping": Decimal(0),
        "net_charges": Decimal("3"),
    }
    assert second == dict.fromkeys(first, 0) | {"sales_date": JAN_2, "visits": 1, "sessions": 1}


def test_shop_daily_has_every_day_and_counts_a_buyer_as_new_once(raw: Raw) -> None:
    raw.event("visit", "2024-01-01 09:00", session_id="s1")
    raw.event("visit", "2024-01-01 09:30", session_id="s1")
    raw.event("visit", "2024-01-01 10:00", session_id="s2", customer=None)
    raw.event("purchase", "2024-01-01 11:00", order_id="o1", unit_price="10")
    raw.event("purchase", "2024-01-04 11:00", order_id="o2", unit_price="7")
    raw.event("purchase", "2024-01-04 12:00", order_id="o3", unit_price="2", customer="bob")
    raw.event("return", "2024-01-04 13:00", order_id="c1", unit_price="4")
    raw.event("purchase", "2024-01-04 14:00", order_id="g1", unit_price="1", customer=None)
    rows = raw.rows("shop_daily", "2024-01-08")
    assert only(rows, "sales_date", "orders", "guest_orders", "buyers", "new_buyers", "units") == [
        (date(2024, 1, 1), 1, 0, 1, 1, 1),
        (date(2024, 1, 2), 0, 0, 0, 0, 0),
        (date(2024, 1, 3), 0, 0, 0, 0, 0),
        (date(2024, 1, 4), 3, 1, 2, 1, 3),
    ]
    assert only(rows, "gross_revenue", "returned_revenue", "net_revenue", "average_order_value") == [
        money("10", "0", "10", "10"),
        (*money("0", "0", "0"), None),
        (*money("0", "0", "0"), None),
        money("10", "4", "6", "3.3333"),
    ]
    assert only(rows, "visits", "sessions", "conversion") == [
        (3, 2, 0.5),
        (0, 0, None),
        (0, 0, None),
        (0, 0, None),
    ]


def test_a_late_order_makes_its_buyer_new_on_the_earlier_day(raw: Raw) -> None:
    raw.event("purchase", "2024-01-03 11:00")
    assert only(raw.rows("shop_daily", "2024-01-08"), "sales_date", "new_buyers") == [(date(2024, 1, 3), 1)]
    raw.event("purchase", "2024-01-02 11:00")
    rows = raw.rows("shop_daily", "2024-01-08")
    assert only(rows, "sales_date", "new_buyers") == [(date(2024, 1, 2), 1), (date(2024, 1, 3), 0)]


# ------------------------------------------------------------------------- customer_features


def features(raw: Raw, as_of: str, customer: str = "anna") -> dict[str, Any]:
    (row,) = [row for row in raw.rows("customer_features", as_of) if row["customer_id"] == customer]
    return row


def test_customer_features_of_one_history(raw: Raw) -> None:
    raw.event("view", "2024-01-02 10:00", country="DE")
    raw.event("purchase", "2024-01-06 19:00", order_id="o1", product_id="p1", unit_price="10")  # a Saturday
    raw.event("purchase", "2024-01-10 10:00", order_id="o2", product_id="p2", unit_price="20", quantity=2)
    raw.event("purchase", "2024-01-10 12:00", order_id="o3", product_id="p1", unit_price="2", country="FR")
    raw.event("purchase", "2024-01-20 10:00", order_id="o4", product_id="p3", unit_price="8")  # a Saturday
    raw.event("return", "2024-01-21 10:00", order_id="c1", product_id="p2", unit_price="15")
    raw.event("visit", "2024-01-31 23:59:59")
    assert features(raw, "2024-02-01") == {
        "as_of": datetime(2024, 2, 1),
        "customer_id": "anna",
        "country": "FR",
        "signed_up_date": None,
        "first_seen_date": date(2024, 1, 2),
        "last_seen_date": date(2024, 1, 31),
        "first_order_date": date(2024, 1, 6),
        "last_order_date": date(2024, 1, 20),
        "recency_days": 12,
        "tenure_days": 26,
        "previous_order_days": 22,
        "order_days": 3,
        "orders": 4,
        "orders_30d": 4,
        "orders_90d": 4,
        "orders_180d": 4,
        "orders_365d": 4,
        "orders_year_ago_90d": 0,
        "mean_gap_days": 7.0,
        "sd_gap_days": pytest.approx(18**0.5),
        **{
            name: Decimal(45)
            for name in (
                "net_revenue",
                "net_revenue_30d",
                "net_revenue_90d",
                "net_revenue_180d",
                "net_revenue_365d",
            )
        },
        "gross_revenue": Decimal(60),
        "discounts": Decimal(0),
        "returned_revenue": Decimal(15),
        "refunds": Decimal(0),
        "average_order_value": Decimal(15),
        "units": 5,
        "distinct_products": 3,
        "return_rate": 0.25,
        "weekend_order_share": 0.5,
        "evening_order_share": 0.25,
        "visits": 1,
        "visits_30d": 1,
        "views": 1,
        "carts": 0,
    }


def test_as_of_itself_is_not_before_as_of(raw: Raw) -> None:
    raw.event("purchase", "2024-01-07 23:59:59.999")
    raw.event("purchase", "2024-01-08 00:00:00", unit_price="99")
    row = features(raw, "2024-01-08")
    assert (row["orders"], row["recency_days"], row["net_revenue"]) == (1, 1, 10)


def test_any_midnight_can_be_an_as_of(raw: Raw) -> None:
    raw.event("purchase", "2024-01-09 10:00")
    assert features(raw, "2024-01-10")["recency_days"] == 1  # a Wednesday


def test_guests_have_no_row(raw: Raw) -> None:
    raw.event("purchase", "2024-01-04 10:00", customer=None)
    assert raw.rows("customer_features", "2024-02-01") == []
    assert raw.rows("rfm_segments", "2024-02-01") == []


# -------------------------------------------------------------------------------------- rfm


def test_the_previous_segment_is_that_of_the_previous_stored_snapshot(raw: Raw) -> None:
    for customer, day in (("anna", "2024-01-02"), ("bob", "2024-01-05"), ("carl", "2024-01-20")):
        raw.event("purchase", f"{day} 10:00", customer=customer)
    before: dict[tuple[Any, ...], Any] = {}
    for as_of in ("2024-02-05", "2024-01-08", "2024-01-22"):  # 2024-01-15 and 2024-01-29 are missing
        raw.built = 0  # one schema for all snapshots
        for row in raw.rows("rfm_segments", as_of):
            before[row["as_of"].date().isoformat(), row["customer_id"]] = (
                row["segment"],
                row["previous_segment"],
            )
    first, second, third = ("2024-01-08", "2024-01-22", "2024-02-05")
    assert [before[first, name][1] for name in ("anna", "bob")] == [None, None]
    assert before[second, "anna"][1] == before[first, "anna"][0]
    assert before[second, "carl"][1] is None  # in no earlier snapshot
    assert [before[third, n][1] for n in ("anna", "bob", "carl")] == [
        before[second, n][0] for n in ("anna", "bob", "carl")
    ]
    assert len(before) == 2 + 3 + 3


# ------------------------------------------------------------------------------ stg_products


def test_a_product_has_its_most_frequent_name_before_as_of(raw: Raw) -> None:
    for day, text in (("02", "Blue mug"), ("03", "Mug, blue"), ("04", None), ("05", None), ("06", None)):
        raw.event("purchase", f"2024-01-{day} 10:00", product_id="p1", description=text)
    raw.event("purchase", "2024-01-10 10:00", product_id="p1", description="Mug, blue")
    raw.event("view", "2024-01-20 10:00", product_id="p2", description="Plate")
    raw.event("visit", "2024-01-20 10:00", description="no product")
    raw.event("purchase", "2024-01-02 10:00", product_id="p3", description=None)
    raw.add("products", product_id="p9", name="Kettle", category="Kitchen", list_price="30", unit_cost="12")
    raw.add("products", product_id="p1", unit_cost="2")

    def names(as_of: str | None) -> dict[str, Any]:
        return {row["product_id"]: row["name"] for row in raw.rows("stg_products", as_of)}

    # Equally frequent: the first in alphabetical order. A missing description never wins over another one.
    assert names("2024-01-10") == {"p1": "Blue mug", "p3": None, "p9": "Kettle"}
    assert names("2024-01-11") == {"p1": "Mug, blue", "p3": None, "p9": "Kettle"}
    assert names(None) == {"p1": "Mug, blue", "p2": "Plate", "p3": None, "p9": "Kettle"}
    (mug, *_) = raw.rows("stg_products")
    assert (mug["unit_cost"], mug["list_price"]) == (2, None)


def test_deleted_and_superseded_rows_are_excluded(raw: Raw) -> None:
    raw.event("purchase", "2024-01-02 10:00", deleted=True)
    raw.event("purchase", "2024-01-02 10:00", superseded_at="2024-01-03")
    raw.add("customers", customer_id="gone", signed_up_at="2024-01-01", deleted=True)
    raw.add("products", product_id="gone", deleted=True)
    raw.add("promotions", promotion_id="gone", deleted=True)
    raw.add("promotions", promotion_id="earlier", superseded_at="2024-01-03")
    raw.add("touches", touch_id="gone", customer_id="anna", sent_at="2024-01-02", deleted=True)
    raw.add("reviews", review_id="gone", written_at="2024-01-02", deleted=True)
    for name in raw.project.models:
        if name.startswith("stg_"):
            assert raw.rows(name) == [], name


# ---------------------------------------------------------------------------- churn_labels


def labels(raw: Raw, as_of: str, end: str) -> list[dict[str, Any]]:
    """Return the labels at an as_of once the days before `end` are loaded; only these days have roll-ups."""
    raw.built += 1
    schema = f"labels_{raw.built}"
    relation = build(
        raw.connection,
        raw.project,
        ["churn_labels"],
        schema,
        {},
        as_of=datetime.fromisoformat(as_of),
        start=date(2023, 1, 1),
        end=date.fromisoformat(end),
    )["churn_labels"]
    return read_rows(raw.connection, relation)


@pytest.fixture
def around_a_horizon(raw: Raw) -> Raw:
    """Add orders at every edge of the year before 2024-06-01 and of the 90 days after it."""
    raw.event("purchase", "2023-06-02 09:00", customer="a year ago")
    raw.event("purchase", "2023-06-01 23:00", customer="too long ago")
    raw.event("purchase", "2024-05-31 23:59", customer="first day")
    raw.event("purchase", "2024-06-01 00:00", customer="first day")
    raw.event("purchase", "2024-05-01 09:00", customer="last day")
    raw.event("purchase", "2024-08-29 23:59", customer="last day")
    raw.event("purchase", "2024-05-01 09:00", customer="too late")
    raw.event("purchase", "2024-08-30 00:00", customer="too late")
    raw.event("visit", "2024-05-01 09:00", customer="never ordered")
    raw.event("purchase", "2024-05-01 09:00", customer="only visits")
    raw.event("visit", "2024-07-01 09:00", customer="only visits")
    raw.event("purchase", "2024-06-02 09:00", customer="new")
    return raw


def test_a_churn_label_counts_the_horizon_exactly(around_a_horizon: Raw) -> None:
    rows = labels(around_a_horizon, "2024-06-01", "2024-08-31")
    assert only(rows, "customer_id", "churned", "next_order_date") == [
        ("a year ago", 1, None),
        ("first day", 0, date(2024, 6, 1)),
        ("last day", 0, date(2024, 8, 29)),
        ("only visits", 1, None),
        ("too late", 1, None),
    ]
    assert {(r["horizon_days"], r["matures_on"], r["data_end"]) for r in rows} == {
        (90, date(2024, 8, 30), date(2024, 8, 31))
    }


def test_a_churn_label_exists_once_the_last_day_of_its_horizon_is_loaded(around_a_horizon: Raw) -> None:
    # The last day with an event is 2024-08-29, the last of the horizon; a day later is a guest's.
    assert labels(around_a_horizon, "2024-06-01", "2024-08-29") == []
    assert len(labels(around_a_horizon, "2024-06-01", "2024-08-30")) == 5
    assert labels(around_a_horizon, "2024-06-02", "2024-08-30") == []


# ---------------------------------------------------------------------------- value_labels


def test_a_value_label_sums_the_horizon_exactly(raw: Raw) -> None:
    def bought(day: str, price: str, **more: Any) -> None:
        raw.event(more.pop("event_type", "purchase"), day, unit_price=price, **more)

    bought("2022-01-01 09:00", "5", customer="long ago")
    bought("2024-05-31 23:59", "7", customer="edges", order_id="before")
    bought("2024-06-01 00:00", "10", customer="edges", order_id="first day")
    bought("2024-08-29 23:59", "20", customer="edges", order_id="last day")
    bought("2024-08-30 00:00", "40", customer="edges", order_id="too late")
    bought("2024-05-01 09:00", "9", customer="returns")
    bought("2024-06-03 09:00", "9", customer="returns", event_type="return")
    raw.event("visit", "2024-05-01 09:00", customer="never ordered")
    bought("2024-06-02 09:00", "3", customer="new")
    bought("2024-06-02 09:00", "100", customer=None)
    relation = build(
        raw.connection,
        raw.project,
        ["value_labels"],
        "values",
        {},
        as_of=datetime(2024, 6, 1),
        start=date(2022, 1, 1),
        end=date(2024, 8, 31),
    )["value_labels"]
    rows = read_rows(raw.connection, relation)
    assert only(rows, "customer_id", "orders", "net_revenue", "horizon_days") == [
        ("edges", 2, Decimal(30), 90),
        ("long ago", 0, Decimal(0), 90),
        ("returns", 0, Decimal(-9), 90),
    ]


def test_a_value_label_exists_once_the_last_day_of_its_horizon_is_loaded(raw: Raw) -> None:
    raw.event("purchase", "2024-05-01 09:00", customer="a")
    raw.event("purchase", "2024-08-29 09:00", customer=None)
    for number, (end, found) in enumerate({"2024-08-29": 0, "2024-08-30": 1}.items()):
        relation = build(
            raw.connection,
            raw.project,
            ["value_labels"],
            f"waits_{number}",
            {},
            as_of=datetime(2024, 6, 1),
            start=date(2024, 1, 1),
            end=date.fromisoformat(end),
        )["value_labels"]
        assert len(read_rows(raw.connection, relation)) == found
