"""core.demand_daily, demand_keys and demand_series on a few events, with expected rows written by hand."""

from datetime import date
from decimal import Decimal

import pytest

from clm_dagster_tests.sql.fixtures import Raw, only

JAN_1, JAN_2 = date(2024, 1, 1), date(2024, 1, 2)


@pytest.fixture
def shop(raw: Raw) -> Raw:
    """Two products, one with a category; two countries; one order over two channels; a guest; no sale."""
    raw.add("products", product_id="p1", name="cup", category="kitchen")
    raw.event(
        "purchase",
        "2024-01-01 10:00",
        order_id="o1",
        product_id="p1",
        quantity=2,
        country="DE",
        channel="web",
    )
    raw.event("purchase", "2024-01-01 10:00", order_id="o1", product_id="p2", country="DE", channel="app")
    raw.event("purchase", "2024-01-01 12:00", customer=None, order_id="o2", product_id="p1", country="FR")
    raw.event("return", "2024-01-01 13:00", order_id="o1", product_id="p1", country="DE", channel="web")
    raw.event("gift", "2024-01-01 13:00", order_id="o1", product_id="p2", unit_price="0", country="DE")
    raw.event("charge", "2024-01-01 13:00", order_id="o1", product_id="POST", country="DE")
    raw.event("purchase", "2024-01-02 00:00", customer="bob", order_id="o3", product_id="p2", country="DE")
    raw.event("purchase", "2024-01-03 09:00", customer="bob", order_id="o4", product_id="p2", country="DE")
    return raw


def test_days_by_country_channel_and_category(shop: Raw) -> None:
    rows = [row for row in shop.rows("demand_daily", "2024-01-04") if row["sales_date"] == JAN_1]
    assert only(rows, "level", "key", "orders", "buyers", "units", "gross_revenue") == [
        ("category", "kitchen", 2, 1, 3, Decimal("30.0000")),
        ("category", "unknown", 1, 1, 1, Decimal("10.0000")),
        ("channel", "app", 1, 1, 3, Decimal("30.0000")),  # the whole order, as in channel_daily
        ("channel", "unknown", 1, 0, 1, Decimal("10.0000")),
        ("country", "DE", 1, 1, 3, Decimal("30.0000")),
        ("country", "FR", 1, 0, 1, Decimal("10.0000")),
    ]


def test_keys_are_ranked_by_revenue_before_as_of(shop: Raw) -> None:
    rows = shop.rows("demand_keys", "2024-01-03")
    assert [(row["level"], row["key"], row["revenue_rank"], row["gross_revenue"]) for row in rows] == [
        ("category", "kitchen", 1, Decimal("30.0000")),
        ("category", "unknown", 2, Decimal("20.0000")),
        ("channel", "app", 1, Decimal("30.0000")),
        ("channel", "unknown", 2, Decimal("20.0000")),
        ("country", "DE", 1, Decimal("40.0000")),
        ("country", "FR", 2, Decimal("10.0000")),
        ("product", "p1", 1, Decimal("30.0000")),
        ("product", "p2", 2, Decimal("20.0000")),
    ]
    assert sum(row["revenue_share"] for row in rows if row["level"] == "country") == pytest.approx(1)


def test_a_level_with_one_key_has_no_series(raw: Raw) -> None:
    raw.event("purchase", "2024-01-01 10:00", product_id="p1", country="DE")
    raw.event("purchase", "2024-01-01 10:00", product_id="p2", country="DE")
    assert {row["level"] for row in raw.rows("demand_keys", "2024-01-02")} == {"product"}


def test_series_of_every_level_add_up(shop: Raw) -> None:
    rows = shop.rows("demand_series", "2024-01-04")
    assert all(row["value"] != 0 for row in rows)
    found = {(row["level"], row["key"], row["measure"], row["day"]): row["value"] for row in rows}
    assert found["shop", "all", "orders", JAN_1] == 2
    assert found["shop", "all", "buyers", JAN_1] == 1
    assert found["shop", "all", "revenue", JAN_2] == 10
    assert found["product", "p1", "units", JAN_1] == 3
    assert {measure for level, _, measure, _ in found if level == "product"} == {"units", "revenue"}
    for day in (JAN_1, JAN_2):
        for measure in ("units", "revenue"):
            for level in ("country", "channel", "category", "product"):
                parts = sum(
                    value
                    for (at, _, what, on), value in found.items()
                    if (at, what, on) == (level, measure, day)
                )
                assert parts == found["shop", "all", measure, day]


def test_promotions_by_day(raw: Raw) -> None:
    raw.add(
        "promotions",
        promotion_id="a",
        product_id="p1",
        starts_at="2024-01-01",
        ends_at="2024-01-03",
        discount=0.1,
    )
    raw.add(
        "promotions",
        promotion_id="b",
        product_id="p1",
        starts_at="2024-01-02 12:00",
        ends_at="2024-01-03 09:00",
        discount=0.3,
    )
    raw.add(
        "promotions",
        promotion_id="c",
        category="kitchen",
        starts_at="2024-01-05",
        ends_at="2024-01-06",
        discount=0.5,
    )
    rows = raw.rows("demand_promotions")
    assert only(rows, "level", "key", "day", "discount") == [
        ("category", "kitchen", date(2024, 1, 5), 0.5),
        ("product", "p1", JAN_1, 0.1),
        ("product", "p1", JAN_2, 0.3),
        ("product", "p1", date(2024, 1, 3), 0.3),
    ]
