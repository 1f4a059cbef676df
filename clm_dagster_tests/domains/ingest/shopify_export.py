"""A made-up shop with the exports of a Shopify-like system, and its totals.

Belongs here: orders, their files, and their money computed with Decimal from the orders themselves. Does not: reading
the files or SQL; nothing here is shared with the code under test.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from random import Random
from zoneinfo import ZoneInfo

from clm_dagster_tests.sql.test_money import largest_remainder

ZONE = ZoneInfo("Europe/Berlin")
START, END = date(2025, 3, 1), date(2025, 4, 1)
NOTHING = Decimal(0)
SKUS = {f"000{n}": Decimal(price) / 100 for n, price in enumerate((3490, 1200, 799, 1, 333, 19990, 0))}
COLUMNS = ("gross_revenue", "discounts", "returned_revenue", "refunds", "tax", "shipping")
GUESTS = ("", "0", "None")
# The columns of the order, only on its first line.
ORDER_COLUMNS = "Customer ID,Currency,Shipping,Taxes,Discount Amount,Cancelled at"
LINE_COLUMNS = "Name,Id,Created at,Lineitem sku,Lineitem quantity,Lineitem price,Lineitem discount"


@dataclass
class Line:
    """A line of an order. minutes: after the order's own time, where a line was added later."""

    sku: str
    quantity: Decimal
    price: Decimal
    discount: Decimal = NOTHING
    minutes: int = 0

    @property
    def gross(self) -> Decimal:
        return self.quantity * self.price


@dataclass
class Refund:
    """Money given back at its own date. sku: the returned product; empty for an amount only."""

    id: str
    at: datetime
    amount: Decimal
    named: bool = True  # whether the export names the customer
    sku: str = ""
    tax: Decimal = NOTHING


@dataclass
class Order:
    """An order; name is what the shop calls it, id is unique."""

    id: int
    name: str
    customer: str | None
    at: datetime
    currency: str
    lines: list[Line]
    discount: Decimal = NOTHING
    shipping: Decimal = NOTHING
    tax: Decimal = NOTHING
    cancelled: bool = False
    refunds: list[Refund] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str | None]:
        return self.name, self.customer


def cents(rng: Random, most: int) -> Decimal:
    return Decimal(rng.randrange(most)) / 100


def random_order(rng: Random, number: int) -> Order:
    """An order of one to four lines, some of them equal, with discounts, tax, shipping and refunds."""
    at = datetime(2025, 3, 2) + timedelta(minutes=rng.randrange(12 * 24 * 60))
    skus = rng.sample(sorted(SKUS), rng.randrange(1, 4))
    lines = [
        Line(sku, Decimal(rng.choice(["1", "2", "3", "0.375", "1.125"])), SKUS[sku], minutes=0)
        for sku in skus
    ]
    if rng.random() < 0.2:
        lines.append(Line(lines[0].sku, lines[0].quantity, lines[0].price))  # two equal lines
    if rng.random() < 0.3:
        lines[0].discount = min(cents(rng, 300), lines[0].gross.quantize(Decimal("0.01"), ROUND_DOWN))
    refunds = []
    for place in range(rng.choice([0, 0, 0, 1, 2])):
        returned = lines[0].sku if rng.random() < 0.4 else ""
        refunds.append(
            Refund(
                id=f"T{number}-{place}",
                at=at + timedelta(minutes=rng.randrange(1, 8 * 24 * 60)),
                amount=cents(rng, 900),
                named=bool(returned) or rng.random() < 0.5,
                sku=returned,
                tax=cents(rng, 100) if returned else NOTHING,
            )
        )
    return Order(
        id=5_000_000_000 + number,
        name=f"#{1000 + number}",
        customer=None if rng.random() < 0.15 else f"{7000 + rng.randrange(25)}",
        at=at,
        currency="USD" if rng.random() < 0.3 else "EUR",
        lines=lines,
        discount=cents(rng, 1000) if rng.random() < 0.4 else NOTHING,
        shipping=rng.choice([NOTHING, Decimal("4.90"), Decimal("7.95")]),
        tax=cents(rng, 2000),
        cancelled=False,
        refunds=refunds,
    )


def make_orders(seed: int, count: int) -> list[Order]:
    """Random orders; the first ones are cancelled, last past midnight, or share their name with another order."""
    rng = Random(seed)
    orders = [random_order(rng, number) for number in range(count)]
    for order in orders[:3]:
        order.cancelled, order.refunds = True, []
    for order in orders[3:6]:
        order.at = order.at.replace(hour=23, minute=58)
        order.lines.append(Line("0099", Decimal(1), Decimal("12.50"), minutes=5))
    for one, other in ((6, 7), (8, 9)):
        orders[other].name = orders[one].name
        orders[one].customer, orders[other].customer = "7100", "7101"
        for refund in orders[one].refunds + orders[other].refunds:
            refund.named = True
    orders[10].lines = [Line("0006", Decimal(2), NOTHING), Line("0003", Decimal(1), NOTHING)]
    orders[16].refunds = []
    orders[10].discount, orders[10].currency = (
        Decimal("0.05"),
        "EUR",
    )  # more than the order costs: equal parts
    return orders


def correct(orders: Sequence[Order], seed: int) -> list[Order]:
    """Correct some orders in place as the shop does later, and return what a second export has."""
    rng = Random(seed)
    orders[11].lines[0].price += Decimal("1.11")
    orders[12].lines[0].quantity, orders[12].lines[0].discount = Decimal("0.625"), NOTHING
    orders[13].discount += Decimal("2.22")
    orders[14].at += timedelta(days=3)  # another day, with all that stands on it
    orders[15].at = orders[15].at.replace(day=24)
    orders[16].cancelled = True
    orders[3].lines[-1].price = Decimal("99.99")  # the line after midnight
    orders[17].tax, orders[17].shipping = Decimal("1.23"), Decimal("3.21")
    for order in orders[18:24]:
        order.refunds.append(
            Refund(f"T{order.id}-late", order.at + timedelta(days=10), cents(rng, 500), rng.random() < 0.5)
        )
    return [*orders[3:30]]


# ------------------------------------------------------------------------------------------------ files


def orders_file(orders: Iterable[Order], rng: Random) -> str:
    """The export of orders: one row a line, the columns of the order on the first."""
    rows = []
    for order in orders:
        who = order.customer or rng.choice(GUESTS)
        gone = _instant(order.at + timedelta(hours=1)) if order.cancelled else ""
        own = (who, order.currency, order.shipping, order.tax, order.discount or "", gone)
        for place, line in enumerate(order.lines):
            at = _instant(order.at + timedelta(minutes=line.minutes))
            values = (order.name, order.id, at, line.sku, line.quantity, line.price, line.discount or "")
            rows.append((*values, *(own if place == 0 else [""] * len(own))))
    return _csv(f"{LINE_COLUMNS},{ORDER_COLUMNS}", rows)


def refunds_file(orders: Iterable[Order]) -> str:
    """The export of refunds: by product, or by amount."""
    return _csv(
        "Transaction,Order,Refunded at,Customer ID,Currency,Amount,Sku,Tax",
        (
            (
                refund.id,
                order.name,
                _instant(refund.at),
                (order.customer or "") if refund.named else "",
                order.currency,
                refund.amount,
                refund.sku,
                refund.tax,
            )
            for order in orders
            for refund in order.refunds
        ),
    )


def make_rates(seed: int) -> dict[date, Decimal]:
    """Value of one US dollar in the shop's currency on each day."""
    rng = Random(seed)
    days = [START + timedelta(days=n) for n in range((END - START).days)]
    return {day: Decimal(rng.randrange(88_000_000, 96_000_000)) / 100_000_000 for day in days}


def rates_file(rates: Mapping[date, Decimal]) -> str:
    """The exchange rates in the contract's format."""
    return _csv("day,currency,rate", ((day, "USD", rate) for day, rate in rates.items()))


def _instant(at: datetime) -> str:
    return at.replace(tzinfo=ZONE).strftime("%Y-%m-%d %H:%M:%S %z")


def _csv(header: str, rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue()


# ----------------------------------------------------------------------------------------------- totals


@dataclass(frozen=True)
class Booking:
    """An amount in the shop's currency, with its day, order and product."""

    day: date
    key: tuple[str, str | None]
    product: str | None
    column: str
    amount: Decimal


def bookings(
    orders: Iterable[Order], rates: Mapping[date, Decimal], ids: Mapping[tuple[str, str | None, str], str]
) -> list[Booking]:
    """Return every amount of the orders that were not cancelled.

    ids: the id that loading gave to the lines of an order with a product; it decides which of two lines with the same
    remainder gets a cent first.
    """
    kept = [order for order in orders if not order.cancelled]
    return [row for order in kept for row in _booked(order, rates, ids)]


def _booked(
    order: Order, rates: Mapping[date, Decimal], ids: Mapping[tuple[str, str | None, str], str]
) -> list[Booking]:
    rows = []

    def known(at: datetime, amount: Decimal) -> Decimal:
        rate = Decimal(1) if order.currency == "EUR" else rates[at.date()]
        return _rounded(amount * rate)

    def book(at: datetime, column: str, amount: Decimal, product: str | None = None) -> None:
        rows.append(Booking(at.date(), order.key, product, column, amount))

    costs = []
    for line in order.lines:
        at = order.at + timedelta(minutes=line.minutes)
        cost, discount = known(at, _rounded(line.gross - line.discount)), known(at, line.discount)
        book(at, "gross_revenue", cost + discount, line.sku)
        book(at, "discounts", discount, line.sku)
        costs.append((at, ids[*order.key, line.sku], line.sku, cost))
    costs.sort()
    book(order.at, "shipping", known(order.at, order.shipping))
    book(order.at, "tax", known(order.at, order.tax))
    spread = [("discounts", order.at, order.discount)]
    for refund in order.refunds:
        if refund.sku:
            book(refund.at, "returned_revenue", known(refund.at, refund.amount), refund.sku)
            book(refund.at, "tax", -known(refund.at, refund.tax))
        else:
            spread.append(("refunds", refund.at, refund.amount))
    for column, at, amount in spread:
        shares = largest_remainder(known(at, amount), [cost for *_, cost in costs])
        for (_, _, sku, _), share in zip(costs, shares, strict=True):
            book(at, column, share, sku)
    return rows


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"), ROUND_HALF_UP)


def summed(rows: Iterable[tuple[object, Booking]]) -> dict[object, dict[str, Decimal]]:
    """Return the sums of the columns and net revenue by key; keys without any amount are left out."""
    found: dict[object, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(COLUMNS, NOTHING))
    for key, row in rows:
        found[key][row.column] += row.amount
    for sums in found.values():
        taken = sums["discounts"] + sums["returned_revenue"] + sums["refunds"]
        sums["net_revenue"] = sums["gross_revenue"] - taken
    return {key: sums for key, sums in found.items() if any(sums.values())}
