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
    assert told == set(SAMPLES)


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
