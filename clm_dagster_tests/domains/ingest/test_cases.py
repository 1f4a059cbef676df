"""Files as real shops deliver them: each was once read wrongly, refused without a reason, or read to nothing.

The files lie in `cases/`, one folder a case. Net revenue is what purchases cost, less returns, discounts and refunds.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.inbox import file_rows
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import Shop
from clm_dagster_tests.domains.ingest.test_feeds import SHOPIFY_SQL, SHOPIFY_YAML, adapter

CASES = Path(__file__).parent / "cases"
YEARS = {"start_date": "2024-01-01", "end_date": "2026-01-01"}
NET = """
    sum(line_amount * case event_type when 'purchase' then 1 else -1 end)
    filter (event_type in ('purchase', 'return', 'discount', 'refund'))
"""
# A known customer is not null; a guest is.
CUSTOMERS = f"""
    select customer_id, count(distinct order_id) filter (event_type = 'purchase'), {NET}
    from raw.events where superseded_at is null group by 1 order by 1 nulls last
"""
DESCRIPTIONS = "select description from raw.events order by event_id"
CURLY = [("Café 5€ “mug”",)]


@dataclass(frozen=True)
class Case:
    """What a case has to give. rejected: reason -> rows. facts: SQL -> its rows. remarks: parts of what is said."""

    net: str
    rejected: dict[str, int] = field(default_factory=dict)
    facts: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)


NEW_YORK = {"timezone": "America/New_York"}
PARIS = {"timezone": "Europe/Paris"}
GENERIC = {
    "barcode_quantity": Case("20.00", {"amount_too_large": 1}),
    "blank_first_line": Case("30.00"),
    "blank_first_line_customers": Case(
        "20.00", facts={"select customer_id, country from raw.customers": [("a", "DE")]}
    ),
    "cp1252_utf8": Case("20.00", facts={DESCRIPTIONS: CURLY}),
    # A serial number, an epoch and a date without hyphens among written dates are rejected.
    "dates_mixed": Case(
        "800.00",
        {"unreadable_event_at": 3},
        {
            "select event_at::varchar from raw.events where event_id in ('e7', 'e10', 'e11') order by event_at": [
                ("2025-03-09 11:00:00",),
                ("2025-03-12 06:00:00",),
                ("2025-03-13 06:00:00",),
            ]
        },
        settings=NEW_YORK,
    ),
    # An order number is no id of a line: all its lines are rejected, none is chosen.
    "event_id_is_order": Case("10.00", {"conflicting_rows": 3}),
    "excel_guard": Case(
        "20.00",
        facts={"select event_id, customer_id, product_id from raw.events": [("000123", "00a", "0012")]},
    ),
    "fine_prices": Case("40.00"),
    "gbk": Case("20.00", facts={DESCRIPTIONS: [("蓝色杯子",)]}),
    "guest_ids": Case(
        "100.00", {"mangled_id": 1}, {CUSTOMERS: [("12345", 2, Decimal(20)), (None, 8, Decimal(80))]}
    ),
    "header_cell_newline": Case(
        "10.00",
        facts={"select customer_id, birth_year from raw.customers order by 1": [("c0", 1980), ("c1", 1981)]},
        remarks=("column 'birth year' is read as birth_year",),
    ),
    "huge_amount": Case("10.00", {"amount_too_large": 1}),
    "mixed_eol": Case("21.00"),
    "moved_day": Case("20.00"),
    "optional_column_case": Case(
        "10.00",
        facts={"select customer_id, country from raw.events": [("c1", "UK")]},
        remarks=("column 'Customer_ID' is read as customer_id", "column 'Country' is read as country"),
    ),
    # Twice a third of a million, with the digits of a floating-point number, and 9.99 and 5.00.
    "parquet_float_ids": Case("666681.6567"),
    "return_without_product": Case(
        "70.00",
        facts={
            "select event_type, order_id, event_at::varchar from raw.events where event_id = 'e2'": [
                ("refund", "O1", "2025-03-05 10:00:00")
            ]
        },
    ),
    "second_file_ignored": Case("20.00"),
    "sep_line": Case("20.00"),
    "shopify_multi": Case(
        "152.70",
        facts={
            CUSTOMERS: [
                ("c1", 2, Decimal("128.70")),
                ("c2", 1, Decimal(0)),
                (None, 1, Decimal(24)),
            ],
            "select sum(line_amount), count(distinct order_id) from raw.events where event_type = 'purchase'": [
                (Decimal("187.60"), 4)
            ],
        },
        settings=PARIS,
    ),
    "tsv": Case("20.00"),
    "utf16_as_utf8": Case("20.00"),
    "utf16be_bom": Case("20.00"),
    "utf16le_nobom": Case("20.00"),
}


def deliver(shop: Shop, name: str) -> None:
    shutil.copytree(CASES / name, shop.inbox, dirs_exist_ok=True)


def net(shop: Shop) -> Decimal:
    return Decimal(shop.query(f"select {NET} from raw.events where superseded_at is null")[0][0])


@pytest.mark.parametrize("name", GENERIC)
def test_a_real_file_gives_its_shops_figures(make_shop: Callable[..., Shop], name: str) -> None:
    case = GENERIC[name]
    shop = make_shop(**YEARS | case.settings)
    deliver(shop, name)
    shop.ingest(tables=("customers", "events"))
    assert (shop.reasons(), net(shop)) == (case.rejected, Decimal(case.net))
    for sql, rows in case.facts.items():
        assert shop.query(sql) == rows
    said = [remark for row in file_rows(shop.source.landing) for remark in row.remarks]
    assert all(any(part in remark for remark in said) for part in case.remarks), said


def test_a_given_encoding_is_that_of_windows_where_latin_1_is_meant(
    tmp_path: Path, make_shop: Callable[..., Shop]
) -> None:
    generic = PROJECT_DIR / "dbt_like_sql" / "adapters" / "generic"
    yaml = "csv: {encoding: latin-1}\ntables: {events: {files: ['*'], time: \"{{ instant('event_at') }}\"}}\n"
    sql = adapter(tmp_path, yaml, {"events": (generic / "events.sql").read_text()})
    shop = make_shop(source="mine", sql_dir=sql, **YEARS)
    deliver(shop, "cp1252_latin1")
    shop.ingest()
    assert (net(shop), shop.query(DESCRIPTIONS)) == (Decimal(20), CURLY)


def test_two_currencies_are_not_added_up(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(**YEARS)
    deliver(shop, "currencies")
    shop.land()
    with pytest.raises(InputError, match="CLM_CURRENCY"):
        shop.load()
    assert shop.query("select * from raw.events") == []


def test_a_prorated_discount_counts_to_the_cent_where_the_amount_of_the_line_is_given(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop(**YEARS)
    header, *lines = (CASES / "prorated_discount" / "events.csv").read_text().splitlines()
    amounts = ["29.00", "10.00"]
    rows = [f"{line},{amount}" for line, amount in zip(lines, amounts, strict=True)]
    shop.write("events.csv", "\n".join([f"{header},line_amount", *rows]) + "\n")
    shop.ingest()
    assert (shop.reasons(), net(shop)) == ({}, Decimal(39))


def test_ids_that_were_stored_as_floats_join_customers(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(**YEARS)
    deliver(shop, "parquet_float_ids")
    shop.write("customers.csv", "customer_id,country\n12345,DE\n")
    shop.ingest(tables=("customers", "events"))
    joined = "select count(*) from raw.events as e join raw.customers as c using (customer_id)"
    assert shop.query(joined) == [(2,)]
    ids = shop.query("select customer_id, order_id, product_id from raw.events")
    assert not [value for row in ids for value in row if value and value.endswith(".0")]


def test_a_file_that_only_pretends_to_be_a_workbook_is_refused_by_name(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop(**YEARS)
    deliver(shop, "xlsx")
    with pytest.raises(InputError, match=r"events\.xlsx.*workbook"):
        shop.land()


def test_a_time_column_with_parentheses_in_its_name(tmp_path: Path, make_shop: Callable[..., Shop]) -> None:
    yaml = "tables: {events: {files: ['*'], time: \"{{ instant('Order date (UTC)') }}\", required: [id]}}\n"
    sql = """
        select {{ provenance() }}, {{ identifier('id') }} as event_id, {{ time() }} as event_at,
            'purchase' as event_type, id as order_id, who as customer_id, sku as product_id,
            {{ whole('qty') }} as quantity, {{ number('price') }} as unit_price
        from {{ landed() }}
    """
    shop = make_shop(source="mine", sql_dir=adapter(tmp_path, yaml, {"events": sql}), **YEARS)
    deliver(shop, "time_column_name")
    shop.ingest()
    assert shop.query("select event_at::varchar, line_amount from raw.events") == [
        ("2024-01-05 10:00:00", Decimal(10))
    ]


@pytest.mark.parametrize(
    "time",
    [
        "try_strptime(\"Created at\", '%Y-%m-%d %H:%M:%S %z') at time zone 'Europe/Paris'",
        "\"{{ instant('Created at') }}\"",
    ],
)
def test_a_raw_shopify_export_gives_net_revenue_by_customer(
    tmp_path: Path, make_shop: Callable[..., Shop], time: str
) -> None:
    yaml = "\n".join(
        f"    time: {time}" if line.strip().startswith("time:") else line
        for line in SHOPIFY_YAML.splitlines()
    )
    shop = make_shop(source="mine", sql_dir=adapter(tmp_path, yaml, SHOPIFY_SQL), **YEARS | PARIS)
    deliver(shop, "shopify_raw")
    shop.ingest()
    assert (shop.reasons(), net(shop)) == ({}, Decimal("133.60"))
    assert [(known is not None, orders, amount) for known, orders, amount in shop.query(CUSTOMERS)] == [
        (True, 2, Decimal("98.70")),
        (False, 1, Decimal("34.90")),
    ]


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("9,1234567890123", "too_many_decimals"),  # finer than number() reads
        ("9,12345678901", "too_many_decimals"),  # finer than the contract holds
        ("1" + 29 * "0", "amount_too_large"),
        ("1" + 20 * "0", "amount_too_large"),
    ],
)
def test_an_adapters_number_is_rejected_for_its_true_reason(
    tmp_path: Path, make_shop: Callable[..., Shop], price: str, reason: str
) -> None:
    yaml = "tables: {events: {files: ['*'], time: \"{{ instant('at') }}\", required: [id]}}\n"
    sql = """
        select {{ provenance() }}, id as event_id, {{ time() }} as event_at, 'purchase' as event_type,
            id as order_id, 'P1' as product_id, 1 as quantity,
            {{ number('price') }} as unit_price, {{ number_text('price') }} as unit_price__text
        from {{ landed() }}
    """
    shop = make_shop(source="mine", sql_dir=adapter(tmp_path, yaml, {"events": sql}), **YEARS)
    shop.write("orders.csv", f"id;at;price\n1;2024-01-05;1.234,5\n2;2024-01-05;{price}\n3;2024-01-05;2,5\n")
    shop.ingest()
    assert (shop.reasons(), net(shop)) == ({reason: 1}, Decimal("1237.00"))
