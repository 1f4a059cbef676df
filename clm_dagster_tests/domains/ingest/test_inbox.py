"""What is said about the files of an input: read, ignored, renamed, resembling; archives, workbooks, nested JSON."""

import datetime
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.formats import streams
from clm_dagster.domains.ingest.inbox import file_rows, stored_files, write_files
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.domains.ingest.shop import HEADER, LATER, Shop, csv_of, line


def remarks(shop: Shop) -> dict[str, list[str]]:
    return {row.source_file: row.remarks for row in file_rows(shop.source.landing)}


def test_names_in_another_case_are_read_and_said(shop: Shop) -> None:
    header = HEADER.replace("customer_id", "Customer ID").replace("event_id", "EVENT-ID") + ",Coutnry"
    shop.write("events.csv", csv_of(line("e1") + ",UK", header=header))
    shop.ingest()
    assert shop.query("select event_id, customer_id, country from raw.events") == [("e1", "c1", None)]
    assert remarks(shop)["events.csv"] == [
        "column 'EVENT-ID' is read as event_id",
        "column 'Customer ID' is read as customer_id",
        "unknown column 'Coutnry' resembles country",
    ]


def test_the_exact_name_wins(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1") + ",x", header=HEADER + ",EventID"))
    shop.ingest()
    assert shop.query("select event_id from raw.events") == [("e1",)]
    assert remarks(shop)["events.csv"] == []


def test_files_that_nobody_reads_are_named(shop: Shop, tmp_path: Path) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.write("Events_feb.csv", csv_of(line("e2", "2024-02-05")))
    shop.write("orders.csv", "a\n1\n")
    shop.write("_old.csv", "a\n1\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "events_3.csv").write_text(csv_of(line("e3")))
    (shop.inbox / "events_link.csv").symlink_to(elsewhere / "events_3.csv")
    (shop.inbox / "events_folder").symlink_to(elsewhere)
    (shop.inbox / "events_gone.csv").symlink_to(elsewhere / "gone.csv")
    shop.ingest()
    assert shop.counts() == (3, 3, 0, 0)
    rows = file_rows(shop.source.landing)
    assert {row.source_file: row.status for row in rows} == {
        "events.csv": "read",
        "Events_feb.csv": "read",
        "events_link.csv": "read",
        "orders.csv": "ignored",
        "_old.csv": "ignored",
        "events_folder": "ignored",
        "events_gone.csv": "ignored",
    }
    said = remarks(shop)
    assert said["orders.csv"] == ["not read: matches no table of the source generic"]
    assert "symbolic link to a folder, which is not followed" in said["events_folder"][0]
    write_files(shop.connection, rows)
    assert stored_files(shop.connection) == rows
    shop.land(LATER)
    assert file_rows(shop.source.landing) == rows


def test_every_file_of_a_zip_is_one_of_its_own(shop: Shop) -> None:
    with zipfile.ZipFile(shop.inbox / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("march/events.csv", csv_of(line("e1")))
        archive.writestr("customers.csv", "customer_id\nc1\n")
        archive.writestr("__MACOSX/march/._events.csv", b"\0\1")
        archive.writestr("readme.txt", "hello")
    shop.ingest(tables=("events", "customers"))
    assert shop.counts() == (1, 1, 0, 0)
    assert shop.query("select source_file from raw.deliveries order by 1") == [
        ("export.zip/customers.csv",),
        ("export.zip/march/events.csv",),
    ]
    assert remarks(shop)["export.zip/readme.txt"] == ["not read: matches no table of the source generic"]
    assert shop.land(LATER).known == 2


def test_a_file_that_grows_without_end_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_FREE_BYTES", 10_000)
    with zipfile.ZipFile(shop.inbox / "events.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.csv", csv_of(line("e1")) + "\n" * 20_000_000)
    with pytest.raises(InputError, match=r"events\.zip/events\.csv unpacks to more than 500 times its size"):
        shop.land()


@pytest.mark.parametrize("suffix", [".xlsx", ".ods"])
def test_a_workbook_is_read_from_the_sheet_that_fits(shop: Shop, suffix: str) -> None:
    rows: list[list[object]] = [
        ["Orders of January"],
        [],
        [*HEADER.split(",")],
        ["e1", datetime.datetime(2024, 1, 5, 10), "c1", "purchase", 1001, "0012", 2, 1.5],
        ["e2", datetime.datetime(2024, 1, 6), "c1", "purchase", 1002, "p2", 3, 2],
    ]
    path = shop.inbox / f"events{suffix}"
    if suffix == ".xlsx":
        book = openpyxl.Workbook()
        book.active.append(["Notes"])
        sheet = book.create_sheet("Data")
        for row in rows:
            sheet.append(row)
        book.save(path)
    else:
        frame = pd.DataFrame([row + [None] * (8 - len(row)) for row in rows])
        with pd.ExcelWriter(path, engine="odf") as writer:
            pd.DataFrame([["Notes"]]).to_excel(writer, sheet_name="Sheet", index=False, header=False)
            frame.to_excel(writer, sheet_name="Data", index=False, header=False)
    (delivery,) = shop.land().new
    assert delivery.decided["sheet"] == "Data"
    assert delivery.decided["header_line"] == "3"
    shop.load()
    assert shop.query(
        "select event_id, event_at::varchar, order_id, product_id, quantity::int, unit_price::double "
        "from raw.events order by 1"
    ) == [
        ("e1", "2024-01-05 10:00:00", "1001", "0012", 2, 1.5),
        ("e2", "2024-01-06 00:00:00", "1002", "p2", 3, 2.0),
    ]


OBJECTS = [
    {
        "event_id": n,
        "event_at": "2024-01-05",
        "event_type": "view",
        "customer": {"id": f"c{n}", "a": {"b": 1}},
    }
    for n in range(3)
]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=1),
        json.dumps({"events": OBJECTS}, indent=1),
        "\n".join(json.dumps(row) for row in OBJECTS),
    ],
    ids=["array", "indented", "wrapped", "lines"],
)
def test_json_is_flattened(shop: Shop, content: str) -> None:
    shop.write("events.json", content)
    (delivery,) = shop.land().new
    assert delivery.tables["events"].columns == [
        "customer",
        "customer.a",
        "customer.a.b",
        "customer.id",
        "event_at",
        "event_id",
        "event_type",
    ]
    shop.load()
    assert shop.counts() == (3, 3, 0, 0)


def test_duplicate_columns_of_parquet_are_refused(make_shop: Callable[..., Shop]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    shop = make_shop()
    names = ["event_id", "event_at", "event_type", "event_id"]
    pq.write_table(pa.table([pa.array(["x"])] * 4, names=names), shop.inbox / "events.parquet")
    with pytest.raises(InputError, match="two columns named 'event_id'"):
        shop.land()


def test_a_table_without_rows_of_files_is_empty(shop: Shop) -> None:
    shop.connection.execute("drop table raw.files")
    assert isinstance(shop.connection, Connection)
    assert stored_files(shop.connection) == []
