"""Dates and numbers as shops write them: the style of a column is decided by all of its values."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from clm_dagster.domains.ingest import values
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.identifiers import identifier
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.settings import PROJECT_DIR
from clm_dagster_tests.domains.ingest.shop import Shop, csv_of, line

YEAR = {"start_date": "2025-01-01", "end_date": "2026-01-01"}


def value(sql: str, text: str | None) -> str | None:
    with duckdb.connect() as connection:
        rows = connection.execute(f"select cast({sql} as varchar) from (select ? as x)", [text]).fetchall()
    found = rows[0][0]
    return None if found is None else str(found)


def days(shop: Shop) -> list[str]:
    return [day for (day,) in shop.query("select event_at::varchar from raw.events order by event_id")]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["25/03/2025", "01/02/2025 9:05"], ["2025-03-25 00:00:00", "2025-02-01 09:05:00"]),
        (["3/25/2025 1:05:00 PM", "1/2/25"], ["2025-03-25 13:05:00", "2025-01-02 00:00:00"]),
        (["25.03.2025, 10:00", "01.02.2025 10:00:01"], ["2025-03-25 10:00:00", "2025-02-01 10:00:01"]),
        (["1741255200", "1741255201.5"], ["2025-03-06 10:00:00", "2025-03-06 10:00:01.5"]),
        (["1741255200123", "1741255200000"], ["2025-03-06 10:00:00.123", "2025-03-06 10:00:00"]),
        (["45723.4375", "45724"], ["2025-03-07 10:30:00", "2025-03-08 00:00:00"]),
        (["20250311", "20250312"], ["2025-03-11 00:00:00", "2025-03-12 00:00:00"]),
        (["Mar 7, 2025 10:00:00 AM PST", "8 March 2025"], ["2025-03-07 18:00:00", "2025-03-08 00:00:00"]),
        (["2025-03-08 10:00:00 PM", "2025-03-09"], ["2025-03-08 22:00:00", "2025-03-09 00:00:00"]),
    ],
)
def test_dates_of_a_column(make_shop: Callable[..., Shop], written: list[str], expected: list[str]) -> None:
    shop = make_shop(**YEAR)
    shop.write("events.csv", csv_of(*(line(f"e{n}", f'"{text}"') for n, text in enumerate(written))))
    shop.ingest()
    assert days(shop) == expected
    assert shop.query("select count(*) from raw.deliveries where event_date is null") == [(0,)]


def test_offsets_with_and_without_a_blank(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(timezone="America/New_York", **YEAR)
    written = ("2025-03-09 10:00:00 -05:00", "2025-03-12 10:00:00 +0000 UTC", "2025-03-13 10:00:00.000 +0000")
    good = [line(f"z{n}", f"2025-03-0{n} 10:00") for n in range(1, 9)]
    shop.write("events.csv", csv_of(*(line(f"e{n}", text) for n, text in enumerate(written)), *good))
    shop.ingest()
    assert days(shop)[:3] == ["2025-03-09 11:00:00", "2025-03-12 06:00:00", "2025-03-13 06:00:00"]


def test_the_other_dates_of_a_file_decide(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    rows = "c1,01/02/2024,x\nc2,03/02/2024,y\n"
    shop.write("customers.csv", "customer_id,signed_up_at,country\n" + rows)
    with pytest.raises(InputError, match="column 'signed_up_at' can be read with the day first or"):
        shop.land()


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        (["1.234,56", "7,5", "1.000"], ["1234.5600", "7.5000", "1000.0000"]),
        (["1,23,456.78", "5"], ["123456.7800", "5.0000"]),
        (["€ 1.234,50", "12,00 €"], ["1234.5000", "12.0000"]),
        (["$1,234.50", "USD 3"], ["1234.5000", "3.0000"]),
        (["1 234,50", "1\u00a0234,50", "1\u202f234,50"], ["1234.5000"] * 3),
        (["1.234", "5.678"], ["1.2340", "5.6780"]),
        (["1'234.50", "2"], ["1234.5000", "2.0000"]),
    ],
)
def test_numbers_of_a_column(shop: Shop, prices: list[str], expected: list[str]) -> None:
    shop.write("events.csv", csv_of(*(line(f"e{n}", unit_price=f'"{p}"') for n, p in enumerate(prices))))
    shop.ingest()
    found = shop.query("select unit_price::decimal(18, 4)::varchar from raw.events order by event_id")
    assert [price for (price,) in found] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(1,200.00)", "-1200"),
        ("\u22125", "-5"),
        ("5-", "-5"),
        ("$-3", "-3"),
        ("p1", None),
        ("1,23,45", None),
    ],
)
def test_signs_of_numbers(text: str, expected: str | None) -> None:
    found = value(values.number("x", values.DECIMAL_POINT), text)
    assert (None if found is None else f"{float(found):g}") == expected


def test_a_number_with_more_decimals_than_fit_is_null() -> None:
    assert value(values.number("x"), "0.1234567890123") is None
    assert value(values.number("x"), "1e-13") is None
    assert value(values.number("x"), "0.12345678901200") == "0.123456789012"


def test_the_noise_of_a_floating_point_number_is_no_decimal() -> None:
    assert value(values.number("x"), str(0.1 + 0.2)) == "0.300000000000"
    assert value(values.number("x", values.DECIMAL_COMMA), "26,991000000000003") == "26.991000000000"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('="0012"', "0012"),
        ("'0012", "0012"),
        ("12345.0", "12345"),
        (" 0012 ", "0012"),
        ("12.50", "12.50"),
        ("nan", None),
        ("#N/A", None),
        ("\\N", None),
        ("None", None),
        ("1.23E+12", "1.23E+12"),
        (None, None),
    ],
)
def test_identifiers_as_they_were_meant(text: str | None, expected: str | None) -> None:
    assert value(identifier("x"), text) == expected


@pytest.mark.parametrize("column", ["Order date (UTC)", 'it\'s "at"'])
def test_time_of_any_name_is_rendered(tmp_path: Path, make_shop: Callable[..., Shop], column: str) -> None:
    sql_dir = tmp_path / "sql"
    ignored = shutil.ignore_patterns("target", "dbt_packages")
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", sql_dir, ignore=ignored)
    folder = sql_dir / "adapters" / "mine"
    folder.mkdir()
    literal = "'" + column.replace("'", "\\'") + "'"
    yaml = "tables:\n  events:\n    time: |\n      {{ instant(" + literal + ") }}\n"
    (folder / "adapter.yml").write_text(yaml)
    (folder / "events.sql").write_text(
        "select {{ provenance() }}, id as event_id, {{ time() }} as event_at, 'view' as event_type "
        "from {{ landed() }}"
    )
    shop = make_shop(source="mine", sql_dir=sql_dir)
    quoted = '"' + column.replace('"', '""') + '"'
    shop.write("orders.csv", f"id,{quoted}\n1,2024-01-05 10:00:00\n")
    shop.ingest()
    assert days(shop) == ["2024-01-05 10:00:00"]
    (folder / "adapter.yml").write_text(yaml.replace("instant(", "instnat("))
    other = make_shop("other", source="mine", sql_dir=sql_dir)
    other.write("orders.csv", "id\n1\n")
    with pytest.raises(ProjectError, match=r"adapter\.yml: `time` of events: 'instnat' is undefined"):
        other.land()


def test_files_of_several_styles_are_typed_each_in_its_own(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1", "25/01/2024", unit_price='"1,50"')))
    shop.write("events_2.csv", csv_of(line("e2", "01/26/2024", unit_price="1.50")))
    shop.write("events_3.csv", csv_of(line("e3", "2024-01-27", unit_price="1.50")))
    shop.ingest()
    assert [day[:10] for day in days(shop)] == ["2024-01-25", "2024-01-26", "2024-01-27"]
    assert shop.query("select sum(quantity * unit_price)::double from raw.events") == [(9.0,)]
