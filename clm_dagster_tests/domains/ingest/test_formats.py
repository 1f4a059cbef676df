"""One shop, however it is written down."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster_tests.domains.ingest.shop import ONLINE_HEADER, Shop, csv_of, line
from clm_dagster_tests.shops import small_shop_events


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    events = small_shop_events(orders=120)
    events.loc[5, "quantity"] = "0"
    events.loc[6, "event_at"] = "?"
    events.loc[7, "customer_id"] = 'Zoë "Z" O\'Neil,\nsecond line; 漢字'
    return pd.concat([events, events.head(20)])


def test_all_formats_give_the_same_rows(make_shop: Callable[..., Shop], frame: pd.DataFrame) -> None:
    found = {}
    for name in (
        "events.csv",
        "events.csv.gz",
        "events.parquet",
        "events.jsonl",
        "events.ndjson.gz",
        "EVENTS.CSV",
    ):
        shop = make_shop(name)
        if name == "EVENTS.CSV":
            (shop.inbox / "events").mkdir()
            name = "events/" + name
        if "json" in name:
            path = shop.inbox / name
            frame.to_json(path, orient="records", lines=True, force_ascii=False)
        else:
            shop.write(name, frame)
        shop.ingest()
        rejects = shop.query("select event_date, source_row, reason from raw.rejects order by all")
        found[name] = (shop.table("raw.events", "delivery_id"), rejects, shop.counts())
    assert found["events.csv"][2] == (len(frame), len(frame) - 22, 2, 20)
    for name, result in found.items():
        assert result == found["events.csv"], name


def test_online_retail_event_ids_are_the_same_in_all_formats(make_shop: Callable[..., Shop]) -> None:
    shown = "5400{n:02},8512{m}A,Ü '{n}',{n},2010-12-02 09:00:00,{price},{customer},France"
    rows = [
        shown.format(n=n, m=n % 3, price=n / 4, customer="" if n % 5 else "17850.0").split(",")
        for n in range(1, 40)
    ]
    frame = pd.DataFrame(rows, columns=ONLINE_HEADER.split(","))
    typed = frame.assign(
        Quantity=frame.Quantity.astype(int),
        Price=frame.Price.astype(float),
        InvoiceDate=pd.to_datetime(frame.InvoiceDate),
        **{"Customer ID": pd.to_numeric(frame["Customer ID"])},
    )
    found = []
    for name, content in (("a.csv", frame), ("a.jsonl", frame), ("a.parquet", typed), ("b.parquet", frame)):
        shop = make_shop(name, source="online_retail_ii", start_date="2009-12-01", end_date="2011-12-10")
        shop.write(name, content)
        shop.ingest()
        found.append(shop.table("raw.events", "delivery_id"))
    assert found[0] == found[1] == found[2] == found[3]
    assert len(found[0]) == 39


def test_shuffling_rows_changes_nothing(make_shop: Callable[..., Shop], frame: pd.DataFrame) -> None:
    found = []
    for name, content in (("one", frame), ("two", frame.sample(frac=1, random_state=3))):
        shop = make_shop(name)
        shop.write("events.csv", content)
        shop.ingest()
        rejects = shop.query("select event_date, reason, source_columns from raw.rejects order by all")
        builds = shop.query(
            "select partition_key, row_count from raw.builds where relation = 'raw.events' order by 1"
        )
        found.append((shop.table("raw.events", "delivery_id"), rejects, shop.counts(), builds))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n",
        lambda text: text.replace("event_id,", '"event_id",').replace("\ne1,", '\n"e1",'),
        lambda text: text.replace("event_id,event_at", " event_id , event_at"),
    ],
    ids=[
        "windows",
        "bom",
        "windows and bom",
        "no last line end",
        "blank lines",
        "quoted",
        "spaces in the header",
    ],
)
def test_harmless_ways_to_write_a_csv(shop: Shop, change: Callable[[str], str]) -> None:
    shop.write("events.csv", change(csv_of(line("e1"), line("e2"))))
    shop.ingest()
    assert shop.query("select event_id, quantity, unit_price::varchar from raw.events order by 1") == [
        ("e1", 2, "1.5000000000"),
        ("e2", 2, "1.5000000000"),
    ]


def test_a_csv_of_one_row(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("only")))
    shop.ingest()
    assert shop.counts() == (1, 1, 0, 0)


def test_lines_that_a_guess_would_drop_are_kept(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("#1"), line("# 2"), line("'3"), line('"4 ""x"""')))
    shop.ingest()
    assert shop.query("select event_id from raw.events order by 1") == [
        ("# 2",),
        ("#1",),
        ("3",),  # an apostrophe before an id is a spreadsheet's
        ('4 "x"',),
    ]


def test_objects_of_a_json_file_may_have_different_keys(shop: Shop) -> None:
    shop.write(
        "events.jsonl",
        '{"event_id": 1, "event_at": "2024-01-05T10:00:00Z", "event_type": "view"}\n'
        '{"event_id": "2", "event_at": "2024-01-05", "event_type": "charge", "quantity": 3, "unit_price": 2.5,'
        ' "country": null, "extra": {"a": [1, "x"]}}\n'
        '{"event_id": "3", "event_at": "2024-01-05", "event_type": "?", "extra": {"a": [1, "x"]}}\n',
    )
    shop.ingest()
    found = shop.query("select event_id, quantity, unit_price::varchar, country from raw.events order by 1")
    assert found == [("1", None, None, None), ("2", 3, "2.5000000000", None)]
    assert shop.query("select source_columns ->> 'extra' from raw.rejects") == [('{"a":[1,"x"]}',)]


def test_instants_of_parquet_with_a_zone_become_shop_local(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(timezone="America/New_York")
    rows = {
        "event_id": ["e1"],
        "event_type": ["view"],
        "event_at": pd.to_datetime(["2024-01-05 03:00"], utc=True),
    }
    shop.write("events.parquet", pd.DataFrame(rows))
    shop.ingest()
    assert shop.query("select event_at::varchar from raw.events") == [("2024-01-04 22:00:00",)]


@pytest.mark.slow
def test_the_real_sheets_and_the_csv_have_the_same_events(
    make_shop: Callable[..., Shop], reference_data: Path
) -> None:
    """Online Retail II, measured in REFERENCE.md: the CSV is the two sheets, one after the other."""
    folder = reference_data / "online_retail_ii"
    dates = {"source": "online_retail_ii", "start_date": "2009-12-01", "end_date": "2011-12-10"}
    found = []
    for name, pattern in (("csv", "online_retail_II.csv.gz"), ("sheets", "*.parquet")):
        shop = make_shop(name, input=str(folder / pattern), **dates)
        shop.ingest()
        counted = shop.query("select event_type, count(*) from raw.events group by 1 order by 1")
        digest = shop.query(
            "select bit_xor(hash(e)) from (select * exclude (delivery_id) from raw.events) as e"
        )
        found.append((shop.counts(), counted, digest, shop.reasons()))
    assert found[0] == found[1]
    assert found[0][0] == (1_067_371, 1_029_637, 3_399, 34_335)
    assert dict(found[0][1]) == {
        "purchase": 1_003_357,
        "return": 17_915,
        "charge": 4_605,
        "charge_refund": 1_188,
        "gift": 2_572,
    }


@pytest.mark.slow
def test_cdnow_is_read_whole(make_shop: Callable[..., Shop], reference_data: Path) -> None:
    """REFERENCE.md: 69,659 purchases of 23,570 customers; 255 rows are the same in all columns as another."""
    file = reference_data / "cdnow" / "cdnow_master.parquet"
    shop = make_shop("cdnow", source="cdnow", input=str(file), start_date="1997-01-01", end_date="1998-07-01")
    shop.ingest()
    assert shop.counts() == (69_659, 69_404, 0, 255)
    first, last, customers = shop.query(
        "select min(event_at), max(event_at), count(distinct customer_id) from raw.events"
    )[0]
    assert (str(first), str(last), customers) == ("1997-01-01 00:00:00", "1998-06-30 00:00:00", 23_570)
    rows = pd.read_parquet(file).drop_duplicates()
    total = shop.query("select sum(quantity * unit_price)::double from raw.events")[0][0]
    assert total == pytest.approx(rows.dollar_value.sum())
