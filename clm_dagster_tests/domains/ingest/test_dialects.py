"""Delimited text as programs and people write it: found, said, and read to the row."""

import codecs
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import InputFile
from clm_dagster.domains.ingest.reading import is_rewritten, open_file, rewritten, select_rows
from clm_dagster.platform.warehouse import Connection
from clm_dagster_tests.domains.ingest.shop import Shop, csv_of, line

HEADER = "event_id,event_at,event_type,customer_id,order_id,product_id,quantity,unit_price,description"
ROW = "e1,2025-03-01 10:00:00,purchase,a,O1,P1,2,10.00,"
WINDOWS = "Café 5€ “mug”"
FIRST_2025 = {"start_date": "2025-01-01", "end_date": "2026-01-01"}


def table(description: str = "x", delimiter: str = ",", end: str = "\n") -> str:
    return (HEADER + end + ROW + description + end).replace(",", delimiter)


CASES: dict[str, tuple[str, bytes, str]] = {
    "gbk": ("events.csv", table("蓝色杯子").encode("gbk"), "蓝色杯子"),
    "big5": ("events.csv", table("藍色杯子").encode("big5"), "藍色杯子"),
    "shift_jis": ("events.csv", table("青いマグカップ").encode("shift_jis"), "青いマグカップ"),
    "gb18030 with signs of four bytes": (
        "events.csv",
        table("红色棉质衬衫㐂").encode("gb18030"),
        "红色棉质衬衫㐂",
    ),
    "cp1251": ("events.csv", table("Синяя кружка").encode("cp1251"), "Синяя кружка"),
    "cp1250": ("events.csv", table("Żółty kubek").encode("cp1250"), "Żółty kubek"),
    "cp1252": ("events.csv", table(WINDOWS).encode("cp1252"), WINDOWS),
    "utf-8 with BOM": ("events.csv", table("Café").encode("utf-8-sig"), "Café"),
    "utf-16 with BOM": ("events.csv", table("Café").encode("utf-16"), "Café"),
    "utf-16-be with BOM, tabs": (
        "events.csv",
        codecs.BOM_UTF16_BE + table("Café go", "\t").encode("utf-16-be"),
        "Café go",
    ),
    "utf-16-le without BOM": ("events.csv", table("Café", "\t").encode("utf-16-le"), "Café"),
    "utf-16-be without BOM": ("events.csv", table("Café").encode("utf-16-be"), "Café"),
    "utf-32 with BOM": ("events.csv", table("Café").encode("utf-32"), "Café"),
    "utf-32-be without BOM": ("events.csv", table("Café").encode("utf-32-be"), "Café"),
    "tsv": ("events.tsv", table(delimiter="\t").encode(), "x"),
    "txt with pipes": ("events.txt", table(delimiter="|").encode(), "x"),
    "semicolons": ("events.csv", table(delimiter=";").encode(), "x"),
    "carets": ("events.csv", table(delimiter="^").encode(), "x"),
    "sep line": ("events.csv", b"sep=,\n" + table().encode(), "x"),
    "sep line with semicolons": ("events.csv", b"sep=;\r\n" + table(delimiter=";", end="\r\n").encode(), "x"),
    "blank line above": ("events.csv", b"\n" + table().encode(), "x"),
    "titles above": ("events.csv", b"Orders of March\n\nShop: x, y\n" + table().encode(), "x"),
    "blank cells above": ("events.csv", b",,,,,,,,\n" + table().encode(), "x"),
    "old Macs": ("events.csv", table(end="\r").encode(), "x"),
    "CRLF header, LF rows": ("events.csv", table().encode().replace(b"\n", b"\r\n", 1), "x"),
    "backslash before quotes": ("events.csv", table('"12\\" vinyl, blue"').encode(), '12" vinyl, blue'),
    "doubled quotes": ("events.csv", table('"12"" vinyl, blue"').encode(), '12" vinyl, blue'),
    "a stray quote": ("events.csv", table('5" mug').encode(), '5" mug'),
    "a newline in a field": ("events.csv", table('"one\ntwo"').encode(), "one\ntwo"),
    "another newline in a field": ("events.csv", table('"one\ntwo"', end="\r\n").encode(), "one\ntwo"),
    "a newline in the header": (
        "events.csv",
        table().replace("description", 'description,"birth\nyear"').replace(",x\n", ",x,1980\n").encode(),
        "x",
    ),
    "surplus empty fields": ("events.csv", table("x,,").encode(), "x"),
    "Zstandard": ("events.csv.zst", zstandard.compress(table().encode()), "x"),
}


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    return make_shop(**FIRST_2025)


@pytest.mark.parametrize("case", CASES)
def test_one_purchase_however_it_is_written(shop: Shop, case: str) -> None:
    name, content, description = CASES[case]
    shop.write(name, content)
    shop.ingest()
    assert shop.counts() == (1, 1, 0, 0)
    found = shop.query("select event_id, quantity * unit_price, description from raw.events")
    assert found == [("e1", 20, description)]


def test_what_was_found_is_said(shop: Shop) -> None:
    shop.write("events.csv", ("Title\n" + table(WINDOWS, ";")).encode("cp1252"))
    (delivery,) = shop.land().new
    assert delivery.decided == {"encoding": "cp1252", "delimiter": "semicolon", "header_line": "2"}


def test_a_line_end_in_a_header_cell_of_another_kind_than_the_lines(shop: Shop) -> None:
    shop.write("events.csv", table())
    shop.write("customers.csv", b'customer_id,country,"birth\nyear"\r\nc0,UK,1980\r\nc1,UK,1981\r\n')
    shop.ingest(tables=("events", "customers"))
    assert shop.query("select customer_id, birth_year from raw.customers order by 1") == [
        ("c0", 1980),
        ("c1", 1981),
    ]


def test_a_truncated_zstandard_file_is_refused(shop: Shop) -> None:
    path = shop.write("events.csv.zst", zstandard.compress(table("x" * 10_000).encode())[:-4])
    with pytest.raises(InputError, match=f"{path} is a truncated or damaged Zstandard file"):
        shop.land()


def test_the_line_of_a_broken_row_counts_titles(shop: Shop) -> None:
    shop.write("events.csv", "Title\n\n" + csv_of(line("e1"), "e2,2025-01-05"))
    with pytest.raises(InputError, match="line 5: expected 8 columns, found 2"):
        shop.land()


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\ufeff", exclude_categories=["Cs", "Cc"])
    | st.just("\n"),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    copied=st.booleans(),
)
def test_any_table_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    delimiter: str,
    end: str,
    quoting: Literal[0, 1, 2, 3],
    encoding: str,
    copied: bool,
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    path = folder / "t.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("event_id", "country", "text"), *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    status = path.stat()
    file = InputFile(path, "t.csv", "csv", status.st_size, status.st_mtime_ns, "id")
    import duckdb

    with duckdb.connect() as raw:
        connection = Connection(raw)
        readable = open_file(connection, file, ("event_id", "country", "text"), {}, folder / "tmp")
        if copied and not is_rewritten(readable):
            readable = rewritten(readable, folder / "tmp")
        found = connection.execute(f"select event_id, country, text from ({select_rows([readable])})")
    expected = [tuple(cell or None for cell in row) for row in rows]
    assert (found, readable.rows) == (expected, len(rows))


def test_python_and_duckdb_count_the_same_rows(tmp_path: Path) -> None:
    """The count that reading has to confirm, over chunks, quotes and line ends."""
    from clm_dagster.domains.ingest.formats.delimited import scan

    for end in ("\n", "\r\n"):
        text = "a,b" + end + end.join(f'{n},"x{end if n % 7 == 0 else ""}""y"""' for n in range(60_000)) + end
        path = tmp_path / "t.csv"
        path.write_bytes((text + end).encode())
        found = scan(path, path, '"')
        with path.open(newline="") as lines:
            assert found.records == sum(bool(row) for row in csv.reader(lines)) == 60_001
        assert found.is_plain == (end == "\n")
