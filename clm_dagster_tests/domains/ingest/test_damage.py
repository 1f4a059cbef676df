"""Damage of the landing area: named, landed anew where the input still has the files, and never a silent loss."""

import os
import shutil
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.damage import is_whole
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster_tests.domains.ingest.shop import LATER, Shop, csv_of, line


def parquet(shop: Shop, day: str) -> Path:
    (path,) = shop.settings.landing_dir.glob(f"events/*/_event_date={day}/*.parquet")
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.fixture
def two_days(shop: Shop) -> Shop:
    shop.write("events.csv", csv_of(line("e1"), line("e2", "2024-01-06")))
    shop.ingest()
    return shop


@pytest.mark.parametrize("damage", ["cut", "empty", "no file", "no folder"])
def test_lost_rows_are_landed_anew_from_the_input(two_days: Shop, damage: str) -> None:
    before = two_days.table("raw.events"), two_days.source.landing.deliveries()
    path = parquet(two_days, "2024-01-06")
    if damage == "cut":
        cut(path)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "no file":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    landing, adapter = two_days.source.landing, two_days.source.adapter
    assert [p.name for p in landing.new_files(two_days.settings.input, adapter)] == ["events.csv"]
    assert [Path(d.path).name for d in two_days.land(LATER).new] == ["events.csv"]
    assert is_whole(parquet(two_days, "2024-01-06"))
    (delivery,) = two_days.source.landing.deliveries()
    assert (delivery.landed_at, delivery.history) == (before[1][0].landed_at, before[1][0].history)
    two_days.load(keys=two_days.all_keys())
    assert two_days.table("raw.events") == before[0]
    assert two_days.land(LATER).new == []


def test_lost_rows_that_the_input_does_not_have_are_named(two_days: Shop) -> None:
    path = parquet(two_days, "2024-01-05")
    cut(path)
    (two_days.inbox / "events.csv").rename(two_days.inbox.parent / "events.csv")
    two_days.write("events_2.csv", csv_of(line("e3")))
    with pytest.raises(InputError) as raised:
        two_days.land(LATER)
    text = str(raised.value)
    assert f"{path} of {two_days.inbox / 'events.csv'} (2 rows)" in text and "Put these files back" in text
    (two_days.inbox.parent / "events.csv").rename(two_days.inbox / "events.csv")
    assert len(two_days.land(LATER).new) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_manifest_is_named_with_what_to_do(two_days: Shop, content: bytes) -> None:
    (manifest,) = two_days.settings.landing_dir.glob("manifests/*.json")
    manifest.write_bytes(content)
    with pytest.raises(InputError) as raised:
        two_days.land(LATER)
    assert f"{manifest} is damaged" in str(raised.value) and "Restore it from a backup" in str(raised.value)


@pytest.mark.parametrize("name", ["inbox.json", "stamps.json"])
def test_a_damaged_file_that_is_written_anew_is_no_error(two_days: Shop, name: str) -> None:
    path = two_days.settings.landing_dir / name
    whole = path.read_text()
    path.write_bytes(b"{")
    assert two_days.land(LATER).new == []
    assert path.read_text() == whole


def test_a_file_with_other_content_of_equal_size_and_time_is_landed(two_days: Shop) -> None:
    path = two_days.inbox / "events.csv"
    before = path.stat()
    path.write_text(path.read_text().replace("e2", "e7"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    two_days.ingest(LATER)
    assert two_days.query("select event_id from raw.events order by 1") == [("e1",), ("e2",), ("e7",)]


def test_a_name_that_is_not_utf8_is_left_out_and_named(two_days: Shop) -> None:
    name = os.fsdecode(b"events_caf\xe9.csv")
    (two_days.inbox / name).write_text(csv_of(line("e9")))
    (two_days.inbox / os.fsdecode(b"f\xf6lder")).mkdir()
    (two_days.inbox / os.fsdecode(b"f\xf6lder") / "events.csv").write_text(csv_of(line("e8")))
    skipped = two_days.land(LATER).skipped
    assert set(skipped) == {r"events_caf\xe9.csv", r"f\xf6lder/events.csv"}
    assert all("not UTF-8" in why for why in skipped.values())
    with pytest.raises(InputError, match="is not UTF-8"):
        two_days.source.landing.land(str(two_days.inbox / name), two_days.source.adapter, LATER)
