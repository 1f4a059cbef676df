"""The presets of REST sources against a local server: pages, rate limits, a break in the middle, changes between."""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from hashlib import md5
from typing import Any

import pytest

from clm_dagster_tests.domains.connect import web_shop
from clm_dagster_tests.domains.connect.conftest import Puller
from clm_dagster_tests.domains.connect.web_shop import WebShop, at
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, Shop

TOKEN = "shpat_0123456789abcdef"
ANN = md5(b"ann@example.com").hexdigest()
MONEY = (
    "select event_type, order_id, event_at::date::varchar, line_amount from raw.events "
    "where superseded_at is null order by all"
)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebShop]:
    monkeypatch.setenv("WEB_TOKEN", TOKEN)
    with web_shop.serving() as shop:
        yield shop


def money(*rows: tuple[str, str | None, str, str]) -> list[tuple[Any, ...]]:
    return [(kind, order, day, Decimal(amount)) for kind, order, day, amount in rows]


# ------------------------------------------------------------------------------------ Shopify


def shopify(web: WebShop, **options: Any) -> dict[str, Any]:
    given = {"shop": "x.myshopify.com", "token": "${WEB_TOKEN}", "url": web.url, "page_size": 2}
    return {"shopify_admin": {"type": "rest", "preset": "shopify_admin"} | given | options}


def shopify_order(number: int, **values: Any) -> dict[str, Any]:
    line = {
        "id": 100 + number,
        "sku": "A1",
        "name": "Tea - green",
        "quantity": 3,
        "price": "10.00",
        "gift_card": False,
        "discount_allocations": [{"amount": "4.00"}, {"amount": "1.00"}],
    }
    return {
        "id": 5_000_000_000 + number,
        "name": f"#{number}",
        "email": "Ann@example.com",
        "created_at": f"2024-01-0{number}T10:00:00+01:00",
        "updated_at": f"2024-01-0{number}T10:00:00+01:00",
        "cancelled_at": None,
        "financial_status": "paid",
        "currency": "EUR",
        "taxes_included": False,
        "total_tax": "5.70",
        "shipping_lines": [{"price": "5.00", "discounted_price": "4.50"}],
        "line_items": [line],
        "refunds": [],
        "billing_address": {"country_code": "DE"},
        "test": False,
    } | values


def refund(amount: str, created: str = "2024-01-09T12:00:00+01:00") -> dict[str, Any]:
    return {
        "id": 900,
        "created_at": created,
        "refund_line_items": [{"subtotal": "8.33", "total_tax": "1.58", "quantity": 1}],
        "order_adjustments": [{"kind": "shipping_refund", "amount": "-4.50", "tax_amount": "-0.86"}],
        "transactions": [{"kind": "refund", "status": "success", "amount": amount}],
    }


def test_orders_of_shopify_with_their_money_and_later_refunds(
    web: WebShop, puller: Callable[..., Puller], make_shop: Callable[..., Shop]
) -> None:
    web.tables = {"orders": [shopify_order(n) for n in range(1, 6)], "customers": [], "products": []}
    web.tables["customers"] = [
        {
            "id": 1,
            "email": "ann@example.com",
            "created_at": "2024-01-01T09:00:00+01:00",
            "updated_at": "2024-01-01T09:00:00+01:00",
            "email_marketing_consent": {"state": "subscribed"},
            "default_address": {"country_code": "DE"},
        }
    ]
    variants = [
        {"id": n, "title": t, "sku": s, "price": "9.50"} for n, t, s in ((1, "green", "A1"), (2, "red", ""))
    ]
    tea = {"id": 7, "title": "Tea", "product_type": "Drinks", "updated_at": "2024-01-01T09:00:00+01:00"}
    web.tables["products"] = [tea | {"variants": variants}]
    web.limited = 1
    began = time.monotonic()
    files = puller(shopify(web))
    assert files.pull() == {
        "shopify_admin.orders": 5,
        "shopify_admin.customers": 1,
        "shopify_admin.products": 1,
    }
    assert time.monotonic() - began >= 1  # Retry-After
    assert len(web.requests) == 6  # three pages of orders, one each of the others, one of them twice
    assert {h["X-Shopify-Access-Token"] for h in web.headers} == {TOKEN}

    shop = make_shop(input=str(files.inbox), source="shopify_admin", timezone="Europe/Berlin")
    shop.ingest(FIRST, ("events", "customers", "products"))
    one = [("purchase", "25"), ("shipping", "4.5"), ("tax", "5.7")]
    expected = [(kind, f"#{n}", f"2024-01-0{n}", amount) for kind, amount in one for n in range(1, 6)]
    assert shop.query(MONEY) == money(*expected)
    assert shop.query(
        "select distinct customer_id, country, product_id from raw.events where event_type = 'purchase'"
    ) == [(ANN, "DE", "A1")]
    assert shop.query("select customer_id, country, consent_marketing from raw.customers") == [
        (ANN, "DE", True)
    ]
    assert shop.query("select product_id, name, category from raw.products order by 1") == [
        ("A1", "Tea - green", "Drinks"),
        ("Tea - red", "Tea - red", "Drinks"),
    ]

    # A refund, a cancelled order, a new one with the update time that was the last. Nothing else is delivered.
    web.tables["orders"][0] |= {"refunds": [refund("15.27")], "updated_at": "2024-01-09T12:00:00+01:00"}
    web.tables["orders"][1] |= {"cancelled_at": "2024-01-09", "updated_at": "2024-01-09T12:00:00+01:00"}
    web.tables["orders"].append(shopify_order(6, updated_at="2024-01-05T10:00:00+01:00"))
    assert files.pull() == {
        "shopify_admin.orders": 3,
        "shopify_admin.customers": 0,
        "shopify_admin.products": 0,
    }
    shop.ingest(LATER)
    kept = [(k, f"#{n}", f"2024-01-0{n}", a) for k, a in one for n in (1, 3, 4, 5, 6)]
    # 15.27 paid back: 4.50 of shipping, 1.58 + 0.86 of taxes, so 8.33 of products.
    back = [("refund", "#1", "2024-01-09", "8.33"), ("shipping", "#1", "2024-01-09", "-4.5")]
    assert shop.query(
        f"select * from ({MONEY}) where event_type is not null and event_type <> 'tax'"
    ) == sorted(money(*[row for row in kept if row[0] != "tax"], *back))
    assert shop.reasons() == {}


def test_a_break_in_the_middle_loses_nothing_and_delivers_nothing_twice(
    web: WebShop, puller: Callable[..., Puller]
) -> None:
    web.tables = {"orders": [shopify_order(n) for n in range(1, 6)]}
    web.broken = {"orders": 3}
    shop = puller(shopify(web, tables=["orders"]))
    message = str(shop.failure())
    assert "the pull of shopify_admin.orders failed, nothing of it was delivered" in message
    assert "500 Server Error" in message
    assert shop.files() == []
    web.broken = {}
    assert shop.pull() == {"shopify_admin.orders": 5}
    assert shop.pull() == {"shopify_admin.orders": 0}
    assert shop.rows(shop.files()[0], "count(*), count(distinct id)") == [(10, 5)]  # orders and lines


def test_a_key_in_an_address_is_not_shown(
    web: WebShop, puller: Callable[..., Puller], caplog: pytest.LogCaptureFixture
) -> None:
    web.tables, web.broken = {"orders": [shopify_order(1)]}, {"orders": 1}
    params = {"api_key": "${WEB_TOKEN}", "limit": 5, "updated_at_min": "2024-01-01T00:00:00+00:00"}
    resource = {
        "name": "orders",
        "endpoint": {"path": "orders.json", "data_selector": "orders", "params": params},
    }
    config = {"client": {"base_url": f"{web.url}/admin/"}, "resources": [resource]}
    shop = puller({"own": {"type": "rest", "config": config}})
    message = str(shop.failure())
    assert "api_key=***" in message and TOKEN not in message + caplog.text
    web.broken = {}
    assert shop.pull() == {"own.orders": 1}
    found = [
        path
        for path in shop.settings.data_dir.rglob("*")
        if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert found == []


def test_an_order_that_changes_while_it_is_pulled_is_pulled_again(
    web: WebShop, puller: Callable[..., Puller]
) -> None:
    web.tables = {"orders": [shopify_order(n) for n in range(1, 6)]}
    later = "2999-01-01T00:00:00+01:00"  # after the start of the pull, by any clock

    def change(table: str, page: int) -> None:
        if page == 1:
            web.tables[table][4] |= {"financial_status": "pending", "updated_at": later}

    web.on_page = change
    shop = puller(shopify(web, tables=["orders"]))
    assert shop.pull() == {"shopify_admin.orders": 5}
    web.on_page = lambda table, page: None
    web.tables["orders"][0] |= {"financial_status": "refunded", "updated_at": "2998-01-01T00:00:00+01:00"}
    assert shop.pull() == {"shopify_admin.orders": 1}


# -------------------------------------------------------------------------------- WooCommerce


def test_orders_and_refunds_of_woocommerce(
    web: WebShop, puller: Callable[..., Puller], make_shop: Callable[..., Shop]
) -> None:
    def order(number: int, **values: Any) -> dict[str, Any]:
        line = {
            "id": 100 + number,
            "name": "Tea",
            "sku": "A1",
            "quantity": 3,
            "subtotal": "30.00",
            "total": "25.00",
        }
        return {
            "id": number,
            "status": "completed",
            "currency": "EUR",
            "date_created_gmt": f"2024-01-0{number}T23:30:00",
            "date_modified_gmt": f"2024-01-0{number}T23:30:00",
            "shipping_total": "4.50",
            "total_tax": "5.70",
            "billing": {"email": "ann@example.com", "country": "DE"},
            "line_items": [line],
            "fee_lines": [{"id": 200 + number, "name": "Gift wrap", "total": "2.00"}],
        } | values

    web.tables = {
        "orders": [order(n) for n in range(1, 6)],
        "refunds": [],
        "customers": [
            {"id": 1, "email": "ann@example.com", "date_created_gmt": "2024-01-01T09:00:00", "billing": {}}
        ],
        "products": [
            {
                "id": 9,
                "name": "Tea",
                "sku": "A1",
                "price": "10",
                "date_modified_gmt": "2024-01-01T09:00:00",
                "categories": [{"name": "Drinks"}],
            }
        ],
    }
    entry = {"type": "rest", "preset": "woocommerce", "url": web.url, "key": "ck_x", "secret": "${WEB_TOKEN}"}
    files = puller({"woo": entry | {"page_size": 2}})
    web.broken = {"orders": 2}
    assert {t.table: t.rows for t in files.report().tables}["woo.orders"] is None
    web.broken, web.limited = {}, 1
    assert files.pull() == {"woo.orders": 5, "woo.refunds": 0, "woo.customers": 0, "woo.products": 0}
    shop = make_shop(input=str(files.inbox), source="woocommerce_api", timezone="Europe/Berlin")
    shop.ingest(FIRST, ("events", "customers", "products"))
    one = [("charge", "2"), ("purchase", "25"), ("shipping", "4.5"), ("tax", "5.7")]
    expected = [(kind, str(n), f"2024-01-0{n + 1}", amount) for kind, amount in one for n in range(1, 6)]
    assert shop.query(MONEY) == money(*expected)
    assert shop.query("select product_id, name, category from raw.products") == [("A1", "Tea", "Drinks")]

    web.tables["orders"][0] |= {"status": "cancelled", "date_modified_gmt": "2024-01-09T00:00:00"}
    web.tables["orders"].append(
        order(6, date_modified_gmt="2024-01-05T23:30:00")
    )  # the second that was the last
    web.tables["refunds"] = [
        {
            "id": 50,
            "parent_id": 2,
            "date_created_gmt": "2024-01-09T12:00:00",
            "amount": "15.27",
            "line_items": [{"total": "-8.33", "total_tax": "-1.58"}],
            "shipping_lines": [{"total": "-4.50", "total_tax": "-0.86"}],
        }
    ]
    assert files.pull() == {"woo.orders": 2, "woo.refunds": 1, "woo.customers": 0, "woo.products": 0}
    shop.ingest(LATER)
    kept = [(k, str(n), f"2024-01-0{n + 1}", a) for k, a in one for n in range(2, 7)]
    back = [("refund", "2", "2024-01-09", "8.33"), ("shipping", "2", "2024-01-09", "-4.5")]
    assert shop.query(
        f"select * from ({MONEY}) where event_type is not null and event_type <> 'tax'"
    ) == sorted(money(*[row for row in kept if row[0] != "tax"], *back))
    assert shop.reasons() == {}


# ------------------------------------------------------------------------------------- Stripe


def test_charges_and_refunds_of_stripe(
    web: WebShop, puller: Callable[..., Puller], make_shop: Callable[..., Shop]
) -> None:
    def charge(number: int, **values: Any) -> dict[str, Any]:
        return {
            "id": f"ch_{number}",
            "amount": 1999,
            "currency": "eur",
            "created": at(f"2024-01-0{number} 12:00"),
            "status": "succeeded",
            "captured": True,
            "customer": "cus_1",
            "billing_details": {"email": "Ann@example.com"},
        } | values

    web.tables = {
        "charges": [charge(n) for n in (1, 2, 3)] + [charge(4, captured=False), charge(5, status="failed")],
        "refunds": [],
    }
    entry = {"type": "rest", "preset": "stripe", "key": "${WEB_TOKEN}", "url": web.url, "page_size": 2}
    files = puller({"payments": entry})
    web.limited, web.broken = 1, {"charges": 3}
    assert {t.table: t.rows for t in files.report().tables}["payments.charges"] is None
    web.broken = {}
    assert files.pull() == {"payments.charges": 5, "payments.refunds": 0}
    assert {h["Authorization"] for h in web.headers} == {f"Bearer {TOKEN}"}
    shop = make_shop(input=str(files.inbox), source="stripe_api", timezone="UTC")
    shop.ingest(FIRST)
    paid = [("purchase", f"ch_{n}", f"2024-01-0{n}", "19.99") for n in (1, 2, 3)]
    assert shop.query(MONEY) == money(*paid)
    assert shop.query("select distinct customer_id from raw.events") == [(ANN,)]

    assert files.pull() == {"payments.charges": 0, "payments.refunds": 0}
    web.tables["charges"][3]["captured"] = True  # captured later: nothing at Stripe says when it changed
    web.tables["refunds"] = [
        {
            "id": "re_1",
            "charge": "ch_1",
            "amount": 500,
            "currency": "eur",
            "created": at("2024-01-09 12:00"),
            "status": "succeeded",
        }
    ]
    assert files.pull() == {"payments.charges": 1, "payments.refunds": 1}
    shop.ingest(LATER)
    late = ("purchase", "ch_4", "2024-01-04", "19.99")
    assert shop.query(MONEY) == money(*paid, late, ("refund", "ch_1", "2024-01-09", "5"))


def test_amounts_of_stripe_in_the_smallest_unit_of_their_currency(make_shop: Callable[..., Shop]) -> None:
    for currency, amount in (("JPY", "1999"), ("kwd", "1.999"), ("usd", "19.99")):
        shop = make_shop(currency, source="stripe_api")
        shop.write(
            "charges-1.csv",
            "id,amount,currency,created,status,captured\n"
            + f"ch_1,1999,{currency},1704500000,succeeded,true\n",
        )
        shop.ingest()
        assert shop.query("select currency, line_amount from raw.events") == [
            (currency.upper(), Decimal(amount))
        ]
