"""Exports of known platforms, from the files to the figures of the shop.

The files lie in `exports/<source>/`: made up, in the layout of the platform's documentation. The figures are added up
by hand from what the files say. Net revenue is gross revenue less discounts, returns and refunds.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import Place, fingerprint
from clm_dagster.domains.ingest.presets import Preset, read_presets, recognise
from clm_dagster.domains.ingest.reading import open_file
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import LATER, Shop
from clm_dagster_tests.domains.ingest.test_feeds import SHOPIFY

EXPORTS = Path(__file__).parent / "exports"
ADAPTERS = PROJECT_DIR / "dbt_like_sql" / "adapters"
FILES = sorted(path for path in EXPORTS.rglob("*") if path.is_file())
CURRENT = "raw.events where superseded_at is null and not deleted"
FIGURES = f"""
    select
        count(distinct order_id) filter (event_type = 'purchase'),
        count(distinct customer_id) filter (event_type = 'purchase'),
        coalesce(sum(line_amount + coalesce(discount_amount, 0)) filter (event_type = 'purchase'), 0)::decimal(18, 2),
        coalesce(sum(case event_type when 'discount' then line_amount when 'purchase' then discount_amount end), 0)
            ::decimal(18, 2),
        coalesce(sum(line_amount) filter (event_type in ('return', 'refund')), 0)::decimal(18, 2),
        coalesce(sum(line_amount) filter (event_type = 'shipping'), 0)::decimal(18, 2),
        (coalesce(sum(line_amount) filter (event_type = 'tax'), 0) + coalesce(sum(
            case when event_type in ('return', 'refund', 'charge_refund') then -tax_amount else tax_amount end
        ), 0))::decimal(18, 2),
        coalesce(sum(case event_type when 'charge' then line_amount when 'charge_refund' then -line_amount end), 0)
            ::decimal(18, 2)
    from {CURRENT}
"""


@dataclass(frozen=True)
class Figures:
    """What a sample has to give: two counts, and amounts as text."""

    orders: int = 0
    customers: int = 0
    gross: str = "0.00"
    discounts: str = "0.00"
    refunds: str = "0.00"
    shipping: str = "0.00"
    tax: str = "0.00"
    charges: str = "0.00"

    @property
    def row(self) -> tuple[Any, ...]:
        amounts = (self.gross, self.discounts, self.refunds, self.shipping, self.tax, self.charges)
        return (self.orders, self.customers, *map(Decimal, amounts))


@dataclass(frozen=True)
class Sample:
    """The files of a source. facts: SQL -> its rows. rejected: reason -> rows. tables: those besides events."""

    figures: Figures
    settings: dict[str, str] = field(default_factory=dict)
    facts: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    tables: tuple[str, ...] = ()


BERLIN = {"timezone": "Europe/Berlin"}
YEARS = {"start_date": "2024-01-01", "end_date": "2025-01-01"}
# Adapters without orders, which others include.
INCLUDED = {"klaviyo", "mailchimp"}
DAYS = f"select order_id, event_at::date::varchar from {CURRENT} and event_type = 'purchase' group by all order by 1"
SAMPLES = {
    "shopify": Sample(
        # Lines: 116.70 + 12 + 24 + 12 + 34.90 + 69.80 + 24. Refunded: 20 of one order, and all of another.
        Figures(7, 4, "293.40", "16.98", "44.00", "9.50", "20.27", "53.00"),
        BERLIN,
        {
            f"select order_id, line_amount from {CURRENT} and event_type = 'refund' order by 1": [
                ("#1001", Decimal(20)),
                ("#1006", Decimal(24)),
            ],
            f"select event_type, description from {CURRENT} and event_type in ('charge', 'gift') order by 2": [
                ("charge", "Gift Card - 50"),
                ("gift", "Sample"),
                ("charge", "Tip"),
            ],
            f"select event_at::varchar, customer_id, channel from {CURRENT} and order_id = '#1002'": [
                ("2024-03-08 00:30:00", None, "pos")
            ],
            "select count(*), count(*) filter (consent_marketing), count(distinct country) from raw.customers": [
                (4, 2, 3)
            ],
            "select c.country, count(distinct order_id) from raw.customers as c join raw.events as e "
            "using (customer_id) where event_type = 'purchase' group by 1 order by 1": [
                ("AT", 1),
                ("CH", 1),
                ("DE", 4),
            ],
            "select product_id, name, category, list_price, unit_cost from raw.products order by 1": [
                ("0011", "Mask - Small", "Face", Decimal("29.90"), Decimal(8)),
                ("0012", "Mask - Large", "Face", Decimal("39.90"), Decimal("9.50")),
                ("0013", "Cream", "Body", Decimal(12), Decimal("3.20")),
            ],
            "select count(*) from raw.events where deleted": [(8,)],
        },
        tables=("customers", "products"),
    ),
    # Orders: 100 + 40 + 20 + 40. One is refunded with its shipping and taxes, of another 15.
    "woocommerce": Sample(Figures(4, 2, "200.00", "10.00", "35.00", "5.00", "18.05")),
    "woocommerce_analytics": Sample(
        Figures(2, 2, "130.00", refunds="15.00"),
        facts={
            f"select product_id, event_at::date::varchar from {CURRENT} order by 2": [
                ("(several products)", "2024-03-05"),
                ("Mask", "2024-03-06"),
                (None, "2024-03-09"),
            ]
        },
    ),
    "stripe": Sample(
        Figures(4, 2, "174.50", refunds="50.00"),
        BERLIN,
        {
            DAYS: [
                ("ch_1", "2024-03-06"),
                ("ch_2", "2024-03-06"),
                ("ch_3", "2024-03-07"),
                ("ch_6", "2024-03-07"),
            ],
            f"select order_id, event_at::varchar from {CURRENT} and event_type = 'refund' order by 1": [
                ("ch_2", "2024-03-20 09:00:00"),
                ("ch_3", "2024-03-08 11:00:00"),
            ],
        },
    ),
    "square": Sample(
        Figures(3, 2, "1320.00", "10.00", "35.00", "0.00", "102.00", "50.00"),
        {"timezone": "America/New_York"},
        {
            f"select event_at::varchar, product_id from {CURRENT} and event_type = 'return'": [
                ("2024-03-09 10:00:00", "M1")
            ],
            f"select distinct product_id from {CURRENT} and event_type <> 'return' order by 1": [
                ("Cream - Large",),
                ("Gift Card",),
                ("M1",),
                ("Soap",),
                ("Sticker",),
            ],
        },
    ),
    "olist": Sample(
        Figures(3, 2, "223.68", shipping="40.20"),
        {"start_date": "2016-09-01", "end_date": "2018-10-18"},
        {
            "select customer_id from raw.customers order by 1": [("u1",), ("u2",), ("u3",)],
            "select product_id, category from raw.products order by 1": [
                ("p1", "perfumaria"),
                ("p2", "bebes"),
                ("p3", None),
            ],
            "select customer_id, product_id, rating, text from raw.reviews order by 1": [
                ("u1", "p1", 5.0, "Muito bom,\nrecomendo"),
                ("u2", "p2", 2.0, None),
            ],
        },
        tables=("customers", "products", "reviews"),
    ),
    "ga4": Sample(
        Figures(2, 2, "93.80", refunds="16.00", shipping="5.00", tax="15.54"),
        BERLIN,
        {
            f"select event_type, count(*) from {CURRENT} and order_id is null group by 1 order by 1": [
                ("add_to_cart", 1),
                ("view", 1),
                ("visit", 1),
            ],
            DAYS: [("T100", "2024-03-06"), ("T101", "2024-03-06")],
            "select distinct session_id, country, channel, currency "
            f"from {CURRENT} and customer_id = 'dev2' order by 1": [
                ("dev2/111", "Germany", "organic", "EUR"),
                ("dev2/222", "Germany", "organic", "EUR"),
            ],
        },
        rejected={"no_transaction": 1},
    ),
    "rees46": Sample(
        Figures(2, 2, "220.00"),
        {},
        {
            f"select event_type, count(*) from {CURRENT} group by 1 order by 1": [
                ("add_to_cart", 1),
                ("purchase", 4),
                ("view", 1),
            ],
            "select product_id, category from raw.products order by 1": [
                ("1", "electronics.smartphone"),
                ("2", "2053013555631882655"),
            ],
        },
        tables=("products",),
    ),
    "complete_journey": Sample(
        Figures(2, 2, "5.25", "0.85"),
        {"start_date": "2014-01-01", "end_date": "2015-12-13"},
        {
            f"select order_id, min(event_at)::varchar, count(*) from {CURRENT} group by 1 order by 1": [
                ("26984851472", "2014-01-01 16:31:00", 2),
                ("26984896261", "2015-01-01 00:05:00", 2),
            ],
            "select product_id, name, category from raw.products": [
                ("1004906", "POTATOES RUSSET", "POTATOES")
            ],
            "select customer_id, sent_at::varchar, campaign_id from raw.touches": [
                ("2375", "2014-08-12 00:00:00", "26")
            ],
        },
        tables=("products", "touches"),
    ),
    "magento": Sample(
        Figures(4, 2, "200.00", "4.00", "35.00", "5.00", "19.95"),
        facts={
            "select signed_up_at::varchar, country, birth_year, gender from raw.customers": [
                ("2024-01-02 08:00:00", "Germany", 1980, "female")
            ],
            DAYS: [
                ("000000001", "2024-03-05"),
                ("000000002", "2024-03-06"),
                ("000000004", "2024-03-07"),
                ("000000005", "2024-03-08"),
            ],
        },
        tables=("customers",),
    ),
    # Taxes of Amazon.co.uk are in the prices.
    "amazon": Sample(
        Figures(3, 2, "128.70", "6.98", "0.00", "2.50", "10.04", "3.50"),
        {"timezone": "America/Los_Angeles"},
        {DAYS: [("111-1", "2024-03-05"), ("111-2", "2024-03-07"), ("222-1", "2024-03-09")]},
    ),
    "ebay": Sample(
        Figures(3, 2, "140.70", shipping="9.00", tax="1.50"),
        facts={
            f"select product_id, sum(quantity)::int, sum(line_amount) from {CURRENT} and event_type = 'purchase' "
            "group by 1 order by 1": [("4072", 3, Decimal(36)), ("M1", 3, Decimal("104.70"))]
        },
    ),
    "taobao": Sample(
        Figures(3, 2, "165.50", "10.00", "15.00", "8.00"),
        facts={
            f"select order_id, product_id, description from {CURRENT} and event_type = 'purchase' order by 1, 2": [
                ("3811001", "M1", "面膜"),
                ("3811001", "面霜", "面霜"),
                ("3811002", "M1", "面膜"),
                ("3811005", "礼盒", "礼盒"),
            ]
        },
    ),
    "jd": Sample(Figures(2, 2, "120.00", "10.00", "0.00", "6.00")),
}


def deliver(shop: Shop, source: str) -> None:
    shutil.copytree(EXPORTS / source, shop.inbox, dirs_exist_ok=True)


@pytest.mark.parametrize("source", SAMPLES)
def test_an_export_gives_the_figures_of_its_shop(make_shop: Callable[..., Shop], source: str) -> None:
    sample = SAMPLES[source]
    shop = make_shop(source=source, **YEARS | sample.settings)
    deliver(shop, source)
    shop.ingest(tables=("events", *sample.tables))
    assert shop.reasons() == sample.rejected
    assert shop.query(FIGURES) == [sample.figures.row]
    for sql, rows in sample.facts.items():
        assert shop.query(sql) == rows


def test_every_adapter_for_a_platform_has_a_sample() -> None:
    told = {preset.source for preset in read_presets([ADAPTERS])}
    assert told == set(SAMPLES) | INCLUDED


def test_every_adapter_is_in_the_documentation() -> None:
    text = (PROJECT_DIR / "docs" / "adapters.md").read_text()
    assert [
        path.parent.name for path in ADAPTERS.glob("*/adapter.yml") if f"| `{path.parent.name}` |" not in text
    ] == []


@pytest.fixture(scope="module")
def presets() -> list[Preset]:
    return read_presets([ADAPTERS])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_is_recognised_as_what_it_is(path: Path, presets: list[Preset], tmp_path: Path) -> None:
    known = [name for preset in presets for name in preset.columns]
    with duckdb.connect() as raw:
        file = fingerprint(Place(path, path.name), {})
        columns = open_file(Connection(raw), file, known, {}, tmp_path).columns
    found = recognise(columns, presets)
    assert found is not None
    assert found.source == path.relative_to(EXPORTS).parts[0]
    assert found.matches(path.relative_to(EXPORTS / found.source).as_posix())
    # No other source takes the file for one of its own.
    others = [preset for preset in presets if preset.source != found.source]
    assert recognise(columns, others) is None


def test_contacts_by_mail_belong_to_the_customers_of_orders(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(source="shopify", **YEARS | BERLIN)
    shop.write("orders_export.csv", shopify_text())
    for source in INCLUDED:
        deliver(shop, source)
    shop.ingest(tables=("events", "touches"))
    assert shop.query(
        "select touch_id, campaign_id, sent_at::varchar, opened_at::varchar, clicked_at::varchar, "
        "customer_id in (select customer_id from raw.events where customer_id is not null) "
        "from raw.touches order by 1"
    ) == [
        (
            "klaviyo/M1/P1",
            "Spring",
            "2024-03-01 10:00:00",
            "2024-03-01 11:30:00",
            "2024-03-01 11:31:00",
            True,
        ),
        ("klaviyo/M1/P2", "Spring", "2024-03-01 10:00:00", None, None, False),
        (
            "mailchimp/42694e9e57/h1",
            "March news",
            "2024-03-20 09:00:00",
            "2024-03-20 09:11:05",
            "2024-03-20 09:32:00",
            True,
        ),
        ("mailchimp/42694e9e57/h2", "March news", "2024-03-20 09:00:00", None, None, False),
    ]
    assert shop.query(
        "select feed, reason, row_count::int from raw.skips where contract_table = 'touches'"
    ) == [("klaviyo_touches", "no_email", 1)]


def test_an_adapter_without_orders_says_who_includes_it(make_shop: Callable[..., Shop]) -> None:
    with pytest.raises(InputError, match=r"events is required\. .*`include: \[klaviyo\]`"):
        make_shop(source="klaviyo")


# ------------------------------------------------------------------------------------ Shopify


def shopify_text() -> str:
    """The header of the export and its orders #1001 and #1002, of one day."""
    header, *lines = (EXPORTS / "shopify" / "orders_export.csv").read_text().splitlines()
    text = "\n".join([header, *(line for line in lines if line.startswith(("#1001", "#1002")))]) + "\n"
    return text.replace("2024-03-08", "2024-03-05")


def test_what_changes_in_a_later_export_of_shopify_replaces_what_was(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(source="shopify", **YEARS | BERLIN)
    shop.write("orders_export.csv", shopify_text())
    shop.ingest()
    assert shop.query(FIGURES) == [Figures(2, 1, "128.70", "10.00", "20.00", "5.00", "20.27").row]
    # An order is cancelled, and the refund of the other grows.
    later = shopify_text().replace(",paid,", ",voided,").replace(",20.00,Mill,", ",46.90,Mill,")
    shop.write("orders_export_1.csv", later)
    shop.ingest(LATER)
    assert shop.query(FIGURES) == [Figures(1, 1, "116.70", "10.00", "46.90", "5.00", "20.27").row]


def test_a_raw_export_of_shopify_gives_the_shops_own_net_revenue(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop(
        source="shopify", timezone="Europe/Paris", start_date="2025-10-01", end_date="2025-11-01"
    )
    shop.write("orders_export.csv", SHOPIFY)
    shop.ingest()
    figures = Figures(3, 1, "163.60", "10.00", "20.00", "5.00")
    assert shop.query(FIGURES) == [figures.row]


def test_inspecting_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my shop.csv"
    path.write_text(SHOPIFY)
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(cli, ["inspect", str(path)], catch_exceptions=False)
    assert "Looks like: Shopify, export of orders" in shown.output
    assert f"cp '{path}' data/inbox/orders_export.csv" in shown.output
    assert "CLM_SOURCE=shopify" in shown.output
    assert "another name because the source reads *order*" in shown.output
