"""Orders and money against a computation in Python that shares no code with the SQL: brute force, with Decimal."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from clm_dagster_tests.sql.fixtures import Raw, Rows

CENT = Decimal("0.01")
MONEY = ("gross_revenue", "discounts", "returned_revenue", "refunds", "net_revenue")
SIGNS = {"gross_revenue": 1, "discounts": -1, "returned_revenue": -1, "refunds": -1}
NO_PRODUCT = "(no product)"
START, END = datetime(2024, 1, 1), "2024-01-08"


@dataclass(frozen=True)
class Event:
    """An event with money; who and order as the shop wrote them."""

    id: str
    kind: str
    at: datetime
    who: str | None
    order: str
    product: str | None = None
    amount: Decimal = Decimal(0)  # what it cost in the end
    discount: Decimal = Decimal(0)
    quantity: Decimal = Decimal(1)
    channel: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """The order is its id and customer."""
        return self.order, self.who


def random_events(seed: int) -> list[Event]:
    """A week of a shop: few order ids and customers, so that ids are shared, reused and last past midnight."""
    rng = Random(seed)
    events = []
    for number in range(60):
        kind = rng.choice(["purchase"] * 6 + ["return", "discount", "discount", "refund", "refund", "gift"])
        at = START + timedelta(minutes=rng.randrange(7 * 24 * 60))
        if rng.random() < 0.5:
            at = at.replace(hour=rng.choice([0, 23]))
        has_product = kind in ("purchase", "return", "gift")
        events.append(
            Event(
                id=f"e{number:03d}",
                kind=kind,
                at=at,
                who=rng.choice(["anna", "bob", None]),
                order=f"o{rng.randrange(12)}",
                product=f"p{rng.randrange(4)}" if has_product else None,
                amount=Decimal(rng.choice([0, 1, 333, 1000, 99999, rng.randrange(5000)])) / 100
                + Decimal(rng.choice([0, 0, 0, 37])) / 10000,
                discount=Decimal(rng.choice([0, 0, 50])) / 100 if kind == "purchase" else Decimal(0),
                quantity=Decimal(rng.choice(["1", "2", "0.125"])) if has_product else Decimal(1),
                channel=rng.choice(["web", "app", None]),
            )
        )
    return events


def load(raw: Raw, events: Sequence[Event]) -> None:
    for one in events:
        raw.add(
            "events",
            event_id=one.id,
            event_type=one.kind,
            event_at=one.at,
            customer_id=one.who,
            order_id=one.order,
            product_id=one.product,
            quantity=one.quantity,
            line_amount=one.amount,
            discount_amount=one.discount,
            exchange_rate=1,
            channel=one.channel,
        )


def largest_remainder(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Split an amount to the cent; what it has below a cent goes to the next one in line."""
    parts = [Fraction(w) for w in weights] if any(weights) else [Fraction(1)] * len(weights)
    exact = [Fraction(amount) * part / sum(parts) for part in parts]
    shares = [
        (Decimal(e.numerator) / Decimal(e.denominator)).quantize(CENT, ROUND_FLOOR) if e else Decimal(0)
        for e in exact
    ]
    order = sorted(range(len(exact)), key=lambda n: (Fraction(shares[n]) - exact[n], n))
    rest = amount - sum(shares)
    for place in order:
        shares[place] += min(rest, CENT)
        rest -= min(rest, CENT)
    assert rest == 0
    return shares


def allocated(events: Sequence[Event]) -> dict[str, list[tuple[str | None, str, Decimal]]]:
    """The (customer, product, share) of each discount and refund."""
    lines = defaultdict(list)
    for one in sorted(events, key=lambda e: (e.at, e.id)):
        if one.kind == "purchase":
            lines[one.key].append(one)
    found = {}
    for one in events:
        if one.kind not in ("discount", "refund"):
            continue
        key = one.key
        if key not in lines and one.who is None:
            same_id = [k for k in lines if k[0] == one.order]  # in the order of their first lines
            firsts = sorted(same_id, key=lambda k: (lines[k][0].at, k[1] is None, k[1] or ""))
            key = firsts[0] if firsts else key
        if not lines.get(key):
            found[one.id] = [(one.who, NO_PRODUCT, one.amount)]
            continue
        shares = largest_remainder(one.amount, [line.amount for line in lines[key]])
        found[one.id] = [
            (key[1], line.product or "", share) for line, share in zip(lines[key], shares, strict=True)
        ]
    return found


def booked(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Every amount with its day, customer, product, order and column."""
    split = allocated(events)
    rows = []

    def book(one: Event, column: str, amount: Decimal, who: str | None, product: str | None) -> None:
        rows.append(
            {
                "day": one.at.date(),
                "who": who,
                "product": product,
                "order": (one.order, who),
                "column": column,
            }
            | {"amount": amount}
        )

    for one in events:
        if one.kind == "purchase":
            book(one, "gross_revenue", one.amount + one.discount, one.who, one.product)
            book(one, "discounts", one.discount, one.who, one.product)
        elif one.kind == "return":
            book(one, "returned_revenue", one.amount, one.who, one.product)
        for who, product, share in split.get(one.id, []):
            book(one, "discounts" if one.kind == "discount" else "refunds", share, who, product)
    return rows


def summed(rows: Sequence[dict[str, Any]], *by: str) -> dict[tuple[Any, ...], dict[str, Decimal]]:
    """The money by some columns, with net revenue."""
    found: dict[tuple[Any, ...], dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(MONEY, Decimal(0)))
    for row in rows:
        sums = found[tuple(row[name] for name in by)]
        sums[row["column"]] += row["amount"]
        sums["net_revenue"] += SIGNS[row["column"]] * row["amount"]
    return {key: sums for key, sums in found.items() if any(sums.values())}


def money_of(rows: Rows, *keys: str) -> dict[tuple[Any, ...], dict[str, Decimal]]:
    """The money of a table by its keys."""
    found = {tuple(row[key] for key in keys): {name: row[name] for name in MONEY} for row in rows}
    return {key: sums for key, sums in found.items() if any(sums.values())}


def first_lines(events: Sequence[Event]) -> dict[tuple[str, str | None], datetime]:
    firsts: dict[tuple[str, str | None], datetime] = {}
    for one in events:
        if one.kind == "purchase":
            firsts[one.key] = min(firsts.get(one.key, one.at), one.at)
    return firsts


@pytest.mark.parametrize("seed", range(4))
def test_money_and_orders_of_a_random_week(seed: int, raw: Raw) -> None:
    events = random_events(seed)
    load(raw, events)
    rows, firsts = booked(events), first_lines(events)
    totals = raw.rows("totals_daily", END)
    customers = raw.rows("customer_daily", END)
    assert money_of(totals, "sales_date") == summed(rows, "day")
    known = [row for row in rows if row["who"] is not None]
    assert money_of(customers, "activity_date", "customer_id") == summed(known, "day", "who")
    products = raw.rows("product_daily", END)
    assert money_of(products, "sales_date", "product_id") == summed(rows, "day", "product")
    orders = raw.rows("orders", END)
    assert [(row["order_id"], row["customer_id"]) for row in orders] == sorted(
        firsts, key=lambda key: (key[0], key[1] is None, key[1] or "")
    )
    assert {(row["order_id"], row["customer_id"]): row["ordered_at"] for row in orders} == firsts
    in_orders = [row | {"order_id": row["order"][0]} for row in rows if row["order"] in firsts]
    assert money_of(orders, "order_id", "customer_id") == summed(in_orders, "order_id", "who")
    # On the day of the order, and what belongs to no order on its own day.
    moved = [
        row | {"day": firsts[row["order"]].date() if row["order"] in firsts else row["day"]} for row in rows
    ]
    assert money_of(raw.rows("revenue_by_order_date", END), "order_date") == summed(moved, "day")
    days = [at.date() for at in firsts.values()]
    assert {row["sales_date"]: row["orders"] for row in totals if row["orders"]} == {
        day: days.count(day) for day in days
    }
    of_customers = [(at.date(), who) for (_, who), at in firsts.items() if who]
    assert {
        (row["activity_date"], row["customer_id"]): row["orders"] for row in customers if row["orders"]
    } == {key: of_customers.count(key) for key in of_customers}
    evenings = sum(1 for (_, who), at in firsts.items() if who and at.hour >= 18)
    assert sum(row["evening_orders"] for row in customers) == evenings
    units = sum(one.quantity for one in events if one.kind == "purchase")
    assert sum(row["units"] for row in totals) == sum(row["units"] for row in products) == units


@pytest.mark.parametrize("seed", range(2))
def test_channels_countries_and_categories_add_up_to_the_shop(seed: int, raw: Raw) -> None:
    load(raw, random_events(seed + 10))
    raw.add("products", product_id="p1", category="Kitchen")
    totals = raw.rows("totals_daily", END)
    expected = {name: sum(row[name] for row in totals) for name in (*MONEY, "orders")}
    channels = raw.rows("channel_daily", END)
    assert {name: sum(row[name] for row in channels) for name in expected} == expected
    demand = raw.rows("demand_daily", END)
    for level in ("country", "channel", "category"):
        found = [row for row in demand if row["level"] == level]
        assert {name: sum(row[name] for row in found) for name in MONEY} == {n: expected[n] for n in MONEY}


@pytest.mark.parametrize("seed", range(2))
def test_the_categories_of_a_customer_have_their_part_of_discounts_and_refunds(seed: int, raw: Raw) -> None:
    events = random_events(seed + 20)
    load(raw, events)
    category = {"p0": "Garden", "p1": "Kitchen", "p2": "Kitchen"}  # p3 has none
    for product, name in category.items():
        raw.add("products", product_id=product, category=name)
    rows = [
        row | {"category": category[row["product"]]}
        for row in booked(events)
        if row["who"] is not None and row["product"] in category
    ]
    found = raw.rows("customer_categories", END)
    assert money_of(found, "customer_id", "category") == summed(rows, "who", "category")
    bought = summed(rows, "who")
    assert {(row["customer_id"], row["category"]): row["share"] for row in found} == pytest.approx(
        {
            (row["customer_id"], row["category"]): float(
                row["gross_revenue"] / bought[(row["customer_id"],)]["gross_revenue"]
            )
            for row in found
        }
    )
    # As of the middle of the week, with what was known of orders at the end: nothing later counts.
    middle = [row for row in rows if str(row["day"]) < "2024-01-04"]
    assert money_of(raw.rows("customer_categories", "2024-01-04"), "customer_id", "category") == summed(
        middle, "who", "category"
    )


def test_an_order_of_two_days_is_one_order_on_the_first(raw: Raw) -> None:
    """The case order_two_days."""
    raw.event("purchase", "2025-03-01 23:59", "a", order_id="O1", product_id="P1")
    raw.event("purchase", "2025-03-02 00:01", "a", order_id="O1", product_id="P2")
    features = raw.rows("customer_features", "2025-03-08")
    assert [(row["orders"], row["order_days"], row["net_revenue"]) for row in features] == [(1, 1, 20)]
    assert str(features[0]["last_order_date"]) == "2025-03-01"
    totals = raw.rows("totals_daily", "2025-03-08")
    assert [(row["orders"], row["net_revenue"]) for row in totals] == [(1, 10), (0, 10)]
    (order,) = raw.rows("orders", "2025-03-08")
    assert (order["lines"], order["net_revenue"], str(order["order_date"])) == (2, 20, "2025-03-01")


def test_a_refund_is_of_its_order_and_on_its_own_date(raw: Raw) -> None:
    """The case return_without_product."""
    raw.event("purchase", "2025-03-01 10:00", "a", order_id="O1", unit_price="100.00")
    raw.event("refund", "2025-03-05 10:00", "a", order_id="O1", line_amount="30.00")
    by_day = {str(row["sales_date"]): row["net_revenue"] for row in raw.rows("shop_daily", "2025-03-08")}
    assert (by_day["2025-03-01"], by_day["2025-03-05"]) == (100, -30)
    by_order = {
        str(row["order_date"]): row["net_revenue"] for row in raw.rows("revenue_by_order_date", "2025-03-08")
    }
    assert (by_order["2025-03-01"], by_order["2025-03-05"]) == (70, 0)
    (order,) = raw.rows("orders", "2025-03-08")
    assert (order["net_revenue"], str(order["last_refund_date"])) == (70, "2025-03-05")


def test_a_line_amount_is_the_revenue_whatever_its_price(raw: Raw) -> None:
    """The case prorated_discount: 29.00/3 and 10.00/7 have no exact price."""
    raw.event(
        "purchase",
        "2025-03-01 10:00",
        "a",
        order_id="O1",
        quantity=3,
        unit_price="9.6666666667",
        line_amount="29",
    )
    raw.event(
        "purchase",
        "2025-03-01 10:00",
        "a",
        order_id="O2",
        quantity=7,
        unit_price="1.4285714286",
        line_amount="10",
    )
    (day,) = raw.rows("totals_daily", "2025-03-08")
    assert (day["gross_revenue"], day["net_revenue"]) == (39, 39)


def test_money_is_in_the_currency_of_the_shop(raw: Raw) -> None:
    raw.event(
        "purchase", "2025-03-01 10:00", "a", line_amount="8319.00", discount_amount="100", tax_amount="50",
        currency="INR", exchange_rate="0.0115"
    )  # fmt: skip
    raw.event("purchase", "2025-03-01 10:00", "a", line_amount="100.00", currency="USD")
    (day,) = raw.rows("totals_daily", "2025-03-08")
    assert (day["net_revenue"], day["discounts"], day["tax"]) == (
        Decimal("195.6685"),
        Decimal("1.15"),
        Decimal("0.575"),
    )


def test_lines_of_millions_are_exact_in_any_currency(raw: Raw) -> None:
    large = "99999999999.9999"  # the largest that loading accepts
    raw.event(
        "purchase", "2025-03-01 10:00", "a", order_id="O1", line_amount=large, discount_amount="1500000"
    )
    raw.event("discount", "2025-03-01 10:00", "a", order_id="O1", line_amount="2000000.01")
    raw.event(
        "purchase", "2025-03-02 10:00", "a", order_id="O2", line_amount=large, tax_amount="50000000",
        currency="IDR", exchange_rate="0.00006123"
    )  # fmt: skip
    first, second = raw.rows("totals_daily", "2025-03-08")
    assert first["gross_revenue"] - first["discounts"] == Decimal("99997999999.9899")
    assert (second["gross_revenue"], second["tax"]) == (Decimal("6123000"), Decimal("3061.5"))
    (customer,) = raw.rows("customer_features", "2025-03-08")
    assert customer["net_revenue"] == Decimal("100004122999.9899")


def test_tax_and_shipping_are_apart_from_revenue(raw: Raw) -> None:
    raw.event("purchase", "2025-03-01 10:00", "a", order_id="O1", unit_price="100", tax_amount="19")
    raw.event("return", "2025-03-01 11:00", "a", order_id="O1", unit_price="10", tax_amount="1.90")
    raw.event("shipping", "2025-03-01 10:00", "a", order_id="O1", line_amount="5")
    raw.event("tax", "2025-03-01 10:00", "a", order_id="O1", line_amount="0.95")
    (day,) = raw.rows("customer_daily", "2025-03-08")
    assert (day["net_revenue"], day["tax"], day["shipping"], day["orders"]) == (90, Decimal("18.05"), 5, 1)
    (order,) = raw.rows("orders", "2025-03-08")
    assert (order["tax"], order["shipping"]) == (Decimal("18.05"), 5)
