"""Exports of a Shopify-like shop through an adapter with feeds give its totals, to the cent and by product."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, Shop
from clm_dagster_tests.domains.ingest.shopify_export import (
    COLUMNS,
    END,
    START,
    Booking,
    Order,
    bookings,
    correct,
    make_orders,
    make_rates,
    orders_file,
    rates_file,
    refunds_file,
    summed,
)
from clm_dagster_tests.domains.ingest.test_feeds import adapter

YAML = """
tables:
  events:
    files: ["orders_export*"]
    time: "{{ instant('Created at') }}"
    required: [Name, Id, Created at]
    feeds:
      lines: {}
      discounts: {skips: {nothing: the row has no discount of the order}}
      shipping: {skips: {nothing: the row has no shipping}}
      taxes: {skips: {nothing: the row has no tax}}
      refunds:
        files: ["refunds_export*"]
        time: "{{ instant('Refunded at') }}"
        required: [Transaction, Order, Refunded at]
  exchange_rates:
    files: ["exchange_rates*"]
    time: "{{ instant('day') }}"
    required: [day, currency, rate]
"""
# The number of a line in its order: two equal lines are two, and a correction may change anything else of a line, its
# day included. What an order has once has the id of the order.
PLACE = 'row_number() over (partition by _delivery_id, "Id" order by _source_row)'
# A cancelled order is deleted, also where an earlier export had it.
ORDER = """
    {{ time() }} as event_at, "Name" as order_id, {{ fill_down('Currency', 'Id') }} as currency,
    nullif(nullif({{ fill_down('Customer ID', 'Id') }}, '0'), 'None') as customer_id,
    {{ fill_down('Cancelled at', 'Id') }} is not null as deleted
"""
OF_THE_ORDER = """
    select {{{{ provenance() }}}}, {{{{ row_id('Id', equal_rows='duplicate') }}}} as event_id, '{kind}' as event_type,
        {{{{ number('{column}') }}}} as line_amount, {order},
        case when coalesce({{{{ number('{column}') }}}}, 0) = 0 then 'nothing' end as skip_reason
    from {{{{ landed() }}}}
"""
SQL = {
    "lines": f"""
        select {{{{ provenance() }}}}, "Id" || '-' || {PLACE} as event_id,
            'purchase' as event_type, "Lineitem sku" as product_id,
            {{{{ number('Lineitem quantity') }}}} as quantity, {{{{ number('Lineitem price') }}}} as unit_price,
            {{{{ number('Lineitem discount') }}}} as discount_amount, {ORDER}
        from {{{{ landed() }}}}
    """,
    "discounts": OF_THE_ORDER.format(kind="discount", column="Discount Amount", order=ORDER),
    "shipping": OF_THE_ORDER.format(kind="shipping", column="Shipping", order=ORDER),
    "taxes": OF_THE_ORDER.format(kind="tax", column="Taxes", order=ORDER),
    "refunds": """
        select {{ provenance() }}, {{ row_id('Transaction', equal_rows='duplicate') }} as event_id,
            case when "Sku" is null then 'refund' else 'return' end as event_type,
            {{ time() }} as event_at, "Order" as order_id, "Customer ID" as customer_id, "Sku" as product_id,
            "Currency" as currency, 1 as quantity, {{ number('Amount') }} as line_amount,
            {{ number('Tax') }} as tax_amount
        from {{ landed() }}
    """,
    "exchange_rates": "select {{ provenance() }}, {{ contract_columns() }} from {{ landed() }}",
}
TABLES = (
    "totals_daily",
    "customer_daily",
    "product_daily",
    "orders",
    "revenue_by_order_date",
    "order_allocations",
)
SETTINGS = {"start_date": str(START), "end_date": str(END), "timezone": "Europe/Berlin", "currency": "EUR"}
Money = dict[object, dict[str, Decimal]]


class Built:
    """The tables of money, built from what a shop has loaded."""

    def __init__(self, shop: Shop, project: Project, schema: str) -> None:
        self.shop = shop
        as_of = datetime(END.year, END.month, END.day)
        self.relations = build(shop.connection, project, TABLES, schema, {}, as_of=as_of, start=START)

    def money(self, table: str, *keys: str) -> Money:
        """Return the sums of the table's columns of money by its keys; keys without any amount are left out."""
        known = self.shop.connection.columns(f"select * from {self.relations[table]}")
        names = [name for name in (*COLUMNS, "net_revenue") if name in known]
        sums = ", ".join(f"sum({name})" for name in names)
        rows = self.query(f"select {', '.join(keys)}, {sums} from {{{table}}} group by {', '.join(keys)}")
        found: Money = {row[: len(keys)]: dict(zip(names, row[len(keys) :], strict=True)) for row in rows}
        return {key: money for key, money in found.items() if any(money.values())}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.shop.query(sql.format(**self.relations))


def line_ids(shop: Shop) -> dict[tuple[str, str | None, str], str]:
    """The id that loading gave to the first line of an order, customer and product."""
    rows = shop.query(
        "select order_id, customer_id, product_id, min(event_id) from raw.events "
        "where event_type = 'purchase' and superseded_at is null and not deleted group by all"
    )
    return {(order, who, sku): event for order, who, sku, event in rows}


def without(money: Mapping[object, Mapping[str, Decimal]], *columns: str) -> Money:
    kept = {key: {n: v for n, v in sums.items() if n not in columns} for key, sums in money.items()}
    return {key: sums for key, sums in kept.items() if any(sums.values())}


def assert_money(built: Built, orders: Sequence[Order], rows: Sequence[Booking]) -> None:
    """Every table has the money of the shop's own books."""
    kept = [order for order in orders if not order.cancelled]
    assert built.money("totals_daily", "sales_date") == summed(((row.day,), row) for row in rows)
    by_customer = summed(((row.key[1],), row) for row in rows if row.key[1])
    assert built.money("customer_daily", "customer_id") == by_customer
    assert built.money("orders", "order_id", "customer_id") == summed((row.key, row) for row in rows)
    days = {order.key: order.at.date() for order in kept}
    by_order_date = summed(((days[row.key],), row) for row in rows)
    assert built.money("revenue_by_order_date", "order_date") == by_order_date
    of_products = summed(((row.product,), row) for row in rows if row.product)
    assert built.money("product_daily", "product_id") == without(of_products, "tax", "shipping")
    on_days = summed(((row.day, row.product), row) for row in rows if row.product)
    assert built.money("product_daily", "sales_date", "product_id") == without(on_days, "tax", "shipping")
    # Counts: an order on the day of its first line, whoever shares its name.
    found = built.query("select order_id, customer_id, order_date, lines from {orders}")
    assert sorted(found, key=str) == sorted(
        ((*order.key, order.at.date(), len(order.lines)) for order in kept), key=str
    )
    counted = built.query("select sum(orders)::int, sum(guest_orders)::int, sum(units) from {totals_daily}")
    units = sum(line.quantity for order in kept for line in order.lines)
    assert counted == [(len(kept), sum(1 for order in kept if order.customer is None), units)]
    customers = built.query("select count(distinct customer_id) from {customer_daily} where orders > 0")
    assert customers == [(len({order.customer for order in kept if order.customer}),)]
    # The parts of each discount and refund are exactly the amount.
    parts = "select event_id, sum(discounts) + sum(refunds) from {order_allocations} group by 1"
    wholes = (
        "select event_id, sum(amount) from {stg_events} where event_type in ('discount', 'refund') group by 1"
    )
    assert dict(built.query(parts)) == dict(built.query(wholes))


def test_a_shopify_like_export_and_its_corrections_give_the_shops_totals(
    tmp_path: Path, make_shop: Callable[..., Shop], sql_project: Project
) -> None:
    shop = make_shop(source="mine", sql_dir=adapter(tmp_path, YAML, SQL), **SETTINGS)
    seed = 3
    orders, rates = make_orders(seed, 70), make_rates(seed)

    def deliver(some: Sequence[Order], number: int, now: datetime) -> None:
        shop.write(f"orders_export_{number}.csv", orders_file(some, Random(seed)))
        shop.write(f"refunds_export_{number}.csv", refunds_file(some))
        shop.ingest(now, tables=("exchange_rates", "events"))
        assert shop.reasons() == {}

    def check(schema: str) -> list[Booking]:
        rows = bookings(orders, rates, line_ids(shop))
        assert_money(Built(shop, sql_project, schema), orders, rows)
        return rows

    shop.write("exchange_rates.csv", rates_file(rates))
    deliver(orders[:60], 1, FIRST)
    new, orders = orders[60:], orders[:60]
    before = check("first")
    again = correct(orders, seed)
    orders = [*orders, *new]
    deliver([*again, *new], 2, LATER)
    after = check("second")
    assert sum(row.amount for row in after) != sum(row.amount for row in before)
