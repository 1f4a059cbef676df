"""Moving a landing area of version 0.1.0, whole and after a kill."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.first_layout import move_first_layout
from clm_dagster.domains.ingest.landing import Landing

DELIVERY = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A landing area of one file with two rows, one of them without a date."""
    for name, day in (("2024-01-02", "date '2024-01-02'"), ("__HIVE_DEFAULT_PARTITION__", "null::date")):
        place = tmp_path / "events" / f"event_date={name}"
        place.mkdir(parents=True)
        row = f"{day}::varchar as event_at, '{DELIVERY}' as _delivery_id, 'a.csv' as _source_file, 1 as _source_row"
        duckdb.execute(f"copy (select {row}) to '{place / f'{DELIVERY}_0.parquet'}'").fetchall()
    (tmp_path / "manifests").mkdir()
    feed = {
        "part": DELIVERY,
        "columns": ["event_at"],
        "landing_version": "v",
        "days": {"2024-01-02": 1, "": 1},
    }
    manifest = {
        "delivery_id": DELIVERY,
        "path": "/shop/a.csv",
        "size": 10,
        "landed_at": "2024-01-03 00:00:00",
        "history": True,
        "tables": {"events": feed},
    }
    (tmp_path / "manifests" / f"{DELIVERY}.json").write_text(json.dumps(manifest))
    (tmp_path / "first_load.json").write_text("{}")
    return tmp_path


def _check_moved(folder: Path) -> None:
    (delivery,) = Landing(folder).deliveries()
    assert (delivery.delivery_id, delivery.landed_at, delivery.history) == (
        DELIVERY,
        "2024-01-03 00:00:00",
        True,
    )
    feed = delivery.tables["events"]
    for day in (date(2024, 1, 2), None):
        (file,) = Landing(folder).files("events", feed.part, day)
        rows = duckdb.execute(
            f"select _delivery_id, _source_row, _part, _event_date from '{file}'"
        ).fetchall()
        assert rows == [(DELIVERY, 1, feed.part, day)]
    assert [path.name for path in (folder / "manifests").iterdir()] == ["000001.json"]
    assert not list(folder.glob("events/event_date=*")) and not (folder / "first_load.json").exists()


def test_rows_and_deliveries_are_moved_once(folder: Path) -> None:
    assert move_first_layout(folder) == 1
    _check_moved(folder)
    assert move_first_layout(folder) == 0
    _check_moved(folder)


def test_a_move_that_was_killed_before_its_manifest_is_begun_anew(folder: Path) -> None:
    torn = folder / "events" / "000001-0000-0000" / "_event_date=2024-01-02" / "data_0.parquet"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"PAR1")
    assert move_first_layout(folder) == 1
    _check_moved(folder)


def test_a_move_that_was_killed_after_its_manifest_is_completed(folder: Path) -> None:
    old = (folder / "manifests" / f"{DELIVERY}.json").read_text()
    move_first_layout(folder)
    (folder / "manifests" / f"{DELIVERY}.json").write_text(old)
    (folder / "events" / "event_date=2024-01-02").mkdir()
    assert len(Landing(folder).deliveries()) == 1
    move_first_layout(folder)
    _check_moved(folder)


def test_missing_rows_are_named_and_nothing_is_moved(folder: Path) -> None:
    place = folder / "events" / "event_date=2024-01-02"
    (place / f"{DELIVERY}_0.parquet").unlink()
    with pytest.raises(InputError, match=f"{place}.*landed rows are lost"):
        move_first_layout(folder)
    assert (folder / "manifests" / f"{DELIVERY}.json").exists()
