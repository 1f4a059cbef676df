"""`clm inspect`: what it finds, and drafts that load and run as they are."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.drafting import draft, write_draft
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.inspecting import inspect_file
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import Shop

GERMAN = (
    "Bestellungen\n\nOrder number;Order date;E-Mail;SKU;Qty;Price;Currency;Note;Free\n"
    "1001.0;25.01.2024 10:00;ann@example.org;0012;2;1.234,50 €;EUR;x;\n"
    "1001.0;25.01.2024 10:00;ann@example.org;0013;1;12,00 €;EUR;x;\n"
    "1002.0;03.02.2024 09:05;bob@example.org;0012;-1;1.234,50 €;EUR;7;\n"
)
SHOPIFY = (
    "Name,Email,Financial Status,Fulfillment Status,Currency,Created at,Lineitem quantity,Lineitem name,"
    "Lineitem price,Lineitem sku\n"
    "#1001,ann@example.org,paid,fulfilled,EUR,2024-01-07 09:50:26 +0200,3,Mask,34.90,'0012\n"
    "#1002,bob@example.org,paid,fulfilled,EUR,2024-01-08 00:30:00 +0200,1,Cream,12.00,0013\n"
)


@pytest.fixture
def sql_dir(tmp_path: Path) -> Path:
    copy = tmp_path / "sql"
    ignored = shutil.ignore_patterns("target", "dbt_packages")
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", copy, ignore=ignored)
    return copy


def test_what_is_found_in_a_file(tmp_path: Path, contract: dict[str, ContractTable]) -> None:
    path = tmp_path / "export.csv"
    path.write_text(GERMAN, encoding="cp1252")
    (found,) = inspect_file(str(path), contract, "Europe/Berlin")
    assert found.decided == {"encoding": "cp1252", "delimiter": "semicolon", "header_line": "3"}
    assert found.rows == 3
    columns = {column.name: column for column in found.columns}
    assert (columns["Order date"].kind, columns["Order date"].style) == ("instant", "day_first")
    assert (columns["Price"].kind, columns["Price"].style) == ("number", "decimal_comma")
    assert columns["Qty"].kind == "whole"
    assert found.first_rows[0][:6] == (
        "1001.0",
        "2024-01-25 10:00:00",
        "ann@example.org",
        "0012",
        "2",
        "1234.50",
    )
    assert "stored as floats" in columns["Order number"].remarks[0]
    assert columns["Currency"].remarks == ["the same value in every row"]
    assert columns["Note"].remarks == ["mixed: 1 of 3 values are numbers"]
    assert columns["Free"].remarks == ["no value in any row"]
    assert columns["E-Mail"].remarks == ["personal data; hash it in the adapter or leave it out"]


def test_a_draft_runs_as_it_is(
    tmp_path: Path, sql_dir: Path, contract: dict[str, ContractTable], make_shop: Callable[..., Shop]
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(GERMAN, encoding="cp1252")
    (found,) = inspect_file(str(path), contract, "Europe/London")
    written = draft(found, "mine")
    assert written.missing == ()
    write_draft(written, sql_dir / "adapters" / "mine")
    shop = make_shop(source="mine", sql_dir=sql_dir)
    shop.write("export.csv", GERMAN.encode("cp1252"))
    shop.ingest()
    assert shop.counts() == (3, 3, 0, 0)
    assert shop.query(
        "select event_type, order_id, product_id, event_at::varchar, (quantity * unit_price)::double "
        "from raw.events order by 4, 3"
    ) == [
        ("purchase", "1001", "0012", "2024-01-25 10:00:00", 2469.0),
        ("purchase", "1001", "0013", "2024-01-25 10:00:00", 12.0),
        ("return", "1002", "0012", "2024-02-03 09:05:00", 1234.5),
    ]
    with pytest.raises(InputError, match="exists already"):
        write_draft(written, sql_dir / "adapters" / "mine")


def test_a_file_with_dates_of_two_readings_is_drafted_with_a_question(
    tmp_path: Path, contract: dict[str, ContractTable]
) -> None:
    path = tmp_path / "export.csv"
    path.write_text("order,date,sku,qty,price\n1,01/02/2024,a,1,2.50\n2,03/02/2024,a,1,2.50\n")
    (found,) = inspect_file(str(path), contract, "UTC")
    assert "dates: day_first" in draft(found, "mine").yaml
    assert "two readings" in draft(found, "mine").yaml


def test_an_export_of_shopify_is_recognised(
    tmp_path: Path, sql_dir: Path, monkeypatch: pytest.MonkeyPatch, make_shop: Callable[..., Shop]
) -> None:
    path = tmp_path / "orders_export.csv"
    path.write_text(SHOPIFY)
    monkeypatch.setenv("CLM_SQL_DIR", str(sql_dir))
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(cli, ["inspect", str(path)], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "Draft of adapter.yml" not in shown.output
    for words in ("shopify_orders", "2 rows", "delimiter comma", "personal data", "CLM_SOURCE=shopify"):
        assert words in shown.output
    wrote = CliRunner().invoke(cli, ["inspect", str(path), "--write-adapter", "mine"], catch_exceptions=False)
    assert wrote.exit_code == 0
    shop = make_shop(source="mine", sql_dir=sql_dir)
    shop.write("orders_export.csv", SHOPIFY)
    shop.ingest()
    assert shop.query("select product_id, event_at::varchar from raw.events order by 1") == [
        ("0012", "2024-01-07 07:50:26"),
        ("0013", "2024-01-07 22:30:00"),
    ]
