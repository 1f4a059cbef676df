"""Finding files, and every kind of bad input: the message names the file, what was found and expected."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.domains.ingest import files
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.files import find_paths
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, Shop, csv_of, line

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10
EXCEL = b"PK\x03\x04" + bytes(range(256)) * 10
GOOD = csv_of(*(line(f"e{n}") for n in range(500)))
PACKED = gzip.compress(GOOD.encode())
LATIN = csv_of(line("e1"), *(line(f"e{n}", customer_id="café") for n in range(2, 900))).encode()

BAD: dict[str, tuple[str, bytes, list[str]]] = {
    "empty file": ("events.csv", b"", ["empty (0 bytes)", "expected a CSV with at least a header"]),
    "empty Parquet": ("events.parquet", b"", ["empty (0 bytes)", "expected Parquet"]),
    "binary": ("events.csv", bytes(range(256)) * 20, ["expected a CSV", "found binary data"]),
    "Excel named csv": ("events.csv", EXCEL, ["expected a CSV", "found an Excel workbook"]),
    "picture named csv": ("events.csv", PNG, ["expected a CSV", "found a picture"]),
    "web page": ("events.csv", b"<!DOCTYPE html><p>Sign in</p>", ["expected a CSV", "found a web page"]),
    "Excel in gzip": ("events.csv.gz", gzip.compress(EXCEL), ["expected a CSV", "found an Excel workbook"]),
    "plain text named gz": ("events.csv.gz", GOOD.encode(), ["expected gzip", "found plain text"]),
    "gzip named csv": ("events.csv", PACKED, ["expected a CSV", "found gzip"]),
    "CSV named parquet": ("events.parquet", GOOD.encode(), ["expected Parquet", "found plain text"]),
    "Parquet cut off": ("events.parquet", b"PAR1" + b"x" * 500, ["events.parquet", "cannot be read"]),
    "CSV named jsonl": (
        "events.jsonl",
        GOOD.encode(),
        ["line 1", "expected one JSON object on each", "found Expecting value"],
    ),
    "JSON of lists": (
        "events.jsonl",
        b"[1]\n[2]\n",
        ["expected one JSON object on each line", "found array"],
    ),
    "JSON cut off": (
        "events.jsonl",
        b'{"event_id": "a"}\n{"event_i',
        ["line 2", "one JSON object", "Unterminated string"],
    ),
    "header only": ("events.csv", csv_of().encode(), ["found only a header", "expected at least one row"]),
    "blank header": ("events.csv", b",,\n,,\n", ["expected a header of column names", "found none"]),
    "no header": (
        "events.csv",
        b",,\n1,2,3\n",
        ["'event_id' is missing", "a row of data of the form '9', '9', '9' (is the header missing?)"],
    ),
    "column gone": (
        "events.csv",
        b"event_id,event_at,country\ne1,2024-01-05,DE\n",
        [
            "'event_type' is missing",
            "Expected the columns event_id, event_at, event_type",
            "found event_id, event_at, country",
        ],
    ),
    "column renamed": (
        "events.csv",
        b"event_id,Event Time,event_type\ne1,2024-01-05,view\n",
        ["'event_at' is missing", "was it renamed to 'Event Time'?"],
    ),
    "two columns for one name": (
        "events.csv",
        b"Event-ID,event_at,event_type,EVENT ID\ne1,2024-01-05,view,e2\n",
        ["'Event-ID' and 'EVENT ID'", "both read as 'event_id'", "rename or remove one"],
    ),
    "column renamed in JSON": (
        "events.jsonl",
        b'{"event_id": "e1", "at": "2024-01-05", "event_type": "view"}\n',
        ["'event_at' is missing", "found at, event_id, event_type"],
    ),
    "two columns of a name": (
        "events.csv",
        b"event_id,event_at,event_type,Event_ID\na,b,c,d\n",
        ["two columns named 'Event_ID'"],
    ),
    "a name of ours": (
        "events.csv",
        b"event_id,event_at,event_type,_part\na,b,c,d\n",
        ["'_part'", "rename the column"],
    ),
    "wrong types": (
        "events.csv",
        csv_of(*(line(f"e{n}", "soon") for n in range(9))).encode(),
        ["expected TIMESTAMP in column 'event_at'", "9 of 9 values have another type, of the form 'xxxx'"],
    ),
    "day or month first": (
        "events.csv",
        csv_of(*(line(f"e{n}", f"0{n}.02.2024") for n in range(1, 9))).encode(),
        [
            "column 'event_at' can be read with the day first or with the month first",
            "'01.02.2024' and '08.02.2024'",
            "dates: day_first",
        ],
    ),
    "day and month first": (
        "events.csv",
        csv_of(line("e1", "25/01/2024"), line("e2", "01/26/2024")).encode(),
        ["day first, such as '25/01/2024'", "month first, such as '01/26/2024'", "dates: day_first"],
    ),
    "comma for decimals or thousands": (
        "events.csv",
        csv_of(line("e1", unit_price='"1,234"'), line("e2", unit_price='"5,678"')).encode(),
        ["column 'unit_price'", "decimal comma or with a comma between thousands", "numbers: decimal_comma"],
    ),
    "key twice": (
        "events.jsonl",
        b'{"event_id": "a", "event_at": "2024-01-05", "event_type": "view", "event_id": "b"}\n',
        ["row 1", "key 'event_id' twice"],
    ),
    "zip cut off": ("events.zip", b"PK\x03\x04" + b"x" * 99, ["truncated or damaged zip", "copy it again"]),
    "empty zip": ("events.zip", b"PK\x05\x06" + bytes(18), ["empty zip archive"]),
    "columns shifted": (
        "events.csv",
        csv_of(*(line(f"e{n}", quantity="p1", product_id="3") for n in range(9))).encode(),
        ["expected DECIMAL(18,4) in column 'quantity'", "of the form 'x9'"],
    ),
    "gzip cut in half": (
        "events.csv.gz",
        PACKED[: len(PACKED) // 2],
        ["truncated or damaged gzip", "copy it"],
    ),
    "gzip cut at its end": ("events.csv.gz", PACKED[:-3], ["truncated or damaged gzip"]),
    "gzip cut at its start": ("events.csv.gz", PACKED[:12], ["truncated or damaged gzip"]),
    "mixed encodings": (
        "events.csv",
        LATIN + line("e9", customer_id="caf\xe9").encode("latin-1") + b"\n",
        ["line 901", "not UTF-8", "one encoding throughout", "csv.encoding"],
    ),
    "last line cut off": (
        "events.csv",
        csv_of(line("e1"), "e2,2024-01-05").encode(),
        ["line 3", "expected 8 columns, found 2", "truncated"],
    ),
    "a line too long": (
        "events.csv",
        csv_of(line("e1"), line("e2") + ",surplus", line("e3")).encode(),
        ["line 3", "expected 8 columns, found 9"],
    ),
    "quote not closed": (
        "events.csv",
        csv_of(line("e1"), 'e2,2024-01-05,"c1,view,,,,').encode(),
        ["line 3", "quote that is not closed in column 3"],
    ),
    "no workbook": ("events.xlsx", EXCEL, ["no readable workbook", "Save it again, or as CSV"]),
    "unknown suffix": (
        "events.pdf",
        b"%PDF-1.7",
        ["unsupported file extension '.pdf'", "expected one of .csv, .tsv"],
    ),
    "no suffix": ("events", GOOD.encode(), ["unsupported file extension ''"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named_and_nothing_of_it_stays(shop: Shop, kind: str) -> None:
    name, content, words = BAD[kind]
    path = shop.write(name, content)
    with pytest.raises(InputError) as raised:
        shop.land()
    assert str(path) in str(raised.value)
    for word in words:
        assert word in str(raised.value)
    assert shop.source.landing.deliveries() == []
    path.unlink()
    shop.write("events.csv", csv_of(line("good")))
    assert [(d.rows, d.history) for d in shop.land(LATER).new] == [(1, True)]
    parts = [path.name for path in shop.settings.landing_dir.glob("events/*")]
    assert parts == [d.tables["events"].part for d in shop.source.landing.deliveries()]


@pytest.mark.parametrize("kind", ["binary", "wrong types", "last line cut off"])
def test_a_bad_file_beside_good_ones_leaves_what_was_there(shop: Shop, kind: str) -> None:
    shop.write("events_1.csv", csv_of(line("e1")))
    shop.ingest()
    before, raw = shop.source.landing.deliveries(), shop.table("raw.events")
    name, content, _ = BAD[kind]
    shop.write("events_2.csv", csv_of(line("e2")))
    bad = shop.write(name.replace("events", "events_3"), content)
    with pytest.raises(InputError, match="events_3"):
        shop.ingest(LATER)
    assert shop.source.landing.deliveries() == before
    assert shop.pending() == []
    assert shop.table("raw.events") == raw
    bad.unlink()
    shop.ingest(LATER)
    assert shop.query("select event_id from raw.events order by 1") == [("e1",), ("e2",)]


def test_a_header_without_rows_is_a_day_without_sales_once_there_were_some(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1")))
    shop.ingest()
    shop.write("events_2.csv", csv_of())
    landed = shop.land(LATER)
    assert [d.rows for d in landed.new] == [0]
    shop.load()
    assert shop.counts() == (1, 1, 0, 0)


def test_missing_and_empty_inputs_say_what_was_expected(tmp_path: Path) -> None:
    for given, found in [
        (tmp_path / "no.csv", "it does not exist"),
        (tmp_path / "no*.csv", "it does not exist"),
        (tmp_path, "the folder is empty"),
    ]:
        with pytest.raises(InputError) as raised:
            find_paths(str(given))
        assert str(given) in str(raised.value)
        assert found in str(raised.value)
        assert "Expected a file, a folder or a glob of .csv" in str(raised.value)
    (tmp_path / ".hidden.csv").write_text("x")
    (tmp_path / "_part.csv").write_text("x")
    with pytest.raises(InputError, match="all 2 files are hidden"):
        find_paths(str(tmp_path))


def test_a_folder_of_other_files_names_them_and_what_would_be_read(shop: Shop) -> None:
    shop.write("orders.csv", GOOD)
    with pytest.raises(InputError, match=r"found orders\.csv; expected events: events\*"):
        shop.land()


def test_a_source_without_any_events_is_refused(shop: Shop) -> None:
    shop.write("customers.csv", "customer_id\nc1\n")
    with pytest.raises(
        InputError, match=r"matches the required table events.*found customers\.csv; expected events\*"
    ):
        shop.land()


def test_a_file_that_nobody_may_read_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop.write("events.csv", GOOD)

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files, "_hash", refuse)
    with pytest.raises(InputError, match=f"{path} cannot be read: Permission denied"):
        shop.land()


def test_files_folders_and_globs_are_found_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("a.csv", "deep/b.csv", ".git/c.csv", "_tmp/d.csv", "deep/.e.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert [r for _, r in find_paths(str(tmp_path))] == ["a.csv", "deep/b.csv"]
    assert [r for _, r in find_paths(str(tmp_path / "a.csv"))] == ["a.csv"]
    assert [r for _, r in find_paths(str(tmp_path / "*.csv"))] == ["a.csv"]
    assert [r for _, r in find_paths(str(tmp_path / "**" / "*.csv"))] == ["a.csv", "deep/b.csv"]


def test_what_was_hashed_once_is_not_hashed_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    original: Callable[[Path], str] = files._hash

    def note(path: Path) -> str:
        hashed.append(path.name)
        return original(path)

    monkeypatch.setattr(files, "_hash", note)
    first = shop.write("events_1.csv", csv_of(line("e1")))
    shop.write("events_2.csv", csv_of(line("e2")))
    assert len(shop.land().new) == 2
    assert hashed == ["events_1.csv", "events_2.csv"]
    hashed.clear()
    assert shop.land(LATER).known == 2
    assert hashed == []
    # Another time of change: hashed, and found to be the same. Other bytes: landed.
    os.utime(first, ns=(1, 1))
    assert shop.land(LATER).new == []
    assert hashed == ["events_1.csv"]
    first.write_text(csv_of(line("e3")))
    assert [d.path for d in shop.land(LATER).new] == [str(first)]


def test_a_file_that_changes_while_it_is_read_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop.write("events.csv", csv_of(line("e1")))
    original: Callable[[Path], str] = files._hash

    def grow(found: Path) -> str:
        digest = original(found)
        with found.open("a") as file:
            file.write(line("e2") + "\n")
        return digest

    monkeypatch.setattr(files, "_hash", grow)
    with pytest.raises(InputError, match=f"{path} changed while it was read"):
        shop.land()
    assert shop.source.landing.deliveries() == []


NAMES = [
    "events 1.csv",
    "events'1.csv",
    'events"1.csv',
    "events[1].csv",
    "events*?.csv",
    "events\\1.csv",
    "events\\[1].csv",
    "events_ü☃.csv",
    "events,1;.csv",
    "event_date=2024-01-01/events.csv",
    "a[b]/'c'/events.csv",
]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_any_name_of_a_file_works(shop: Shop, ending: str) -> None:
    names = [name.replace(".csv", ending) for name in NAMES]
    for number, name in enumerate([*names, f"events1{ending}"]):  # the last is what a glob would find as well
        rows = [
            {"event_id": f"e{number}", "event_at": "2024-01-05", "event_type": "view"},
            {"event_id": f"x{number}", "event_at": "2024-01-05", "event_type": "?"},
        ]
        shop.write(name, pd.DataFrame(rows))
    shop.ingest()
    assert shop.counts() == (24, 12, 12, 0)
    assert shop.query("select count(distinct event_id) from raw.events") == [(12,)]
    found = shop.query("select source_file, source_row, source_columns ->> 'event_id' from raw.rejects")
    assert sorted(found) == sorted((n, 2, f"x{i}") for i, n in enumerate([*names, f"events1{ending}"]))


def test_any_name_of_the_data_folder_works(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop("it's [a] *folder* x=1 é")
    shop.write("events.csv", csv_of(line("e1")))
    shop.ingest(FIRST)
    assert shop.counts() == (1, 1, 0, 0)
