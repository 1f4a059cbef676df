"""The landing area: what is landed when, once, by day, and whole."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.domains.ingest import landing as landing_module
from clm_dagster.domains.ingest.errors import InputError
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, LATEST, Shop, csv_of, line


def test_a_file_is_landed_once_whatever_its_name(shop: Shop) -> None:
    content = csv_of(line("e1"), line("e2", "2024-01-07 10:00:00"), line("e3", "?"))
    first = shop.write("events_1.csv", content)
    landed = shop.land()
    assert [(d.rows, d.history, d.landed_at) for d in landed.new] == [(3, True, str(FIRST))]
    assert landed.new[0].tables["events"].days == {"": 1, "2024-01-05": 1, "2024-01-07": 1}
    shop.write("events_2.csv", content)
    first.rename(first.with_name("events_3.csv"))
    again = shop.land(LATER)
    assert (again.new, again.known) == ([], 1)
    assert shop.source.landing.deliveries() == landed.new


def test_a_day_of_it_is_a_file_of_that_days_rows(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1"), line("e2", "2024-01-07 10:00:00"), line("e3", "?")))
    part = shop.land().new[0].tables["events"].part
    for day, event_id in [(date(2024, 1, 5), "e1"), (date(2024, 1, 7), "e2"), (None, "e3")]:
        files = shop.source.landing.files("events", part, day)
        assert [pd.read_parquet(path).event_id.tolist() for path in files] == [[event_id]]


def test_files_that_feed_nothing_are_named(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.write("README.txt", "notes")
    assert shop.land().ignored == ["README.txt"]


def test_one_content_under_two_names_feeds_both_tables(shop: Shop) -> None:
    both = "event_id,event_at,event_type,customer_id\ne1,2024-01-05,view,c1\n"
    shop.write("events.csv", both)
    shop.ingest()
    shop.write("customers.csv", both)
    landed = shop.land(LATER)
    assert [sorted(d.tables) for d in landed.new] == [["customers", "events"]]
    # It was learnt when it came first.
    assert [(d.history, d.landed_at) for d in landed.new] == [(True, str(FIRST))]
    for table in ("events", "customers"):
        shop.load(table)
        assert shop.counts(table) == (1, 1, 0, 0)
    (shop.inbox / "events.csv").unlink()
    assert shop.land(LATEST).new == []


def test_the_first_load_is_over_when_it_is_whole(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1")))
    shop.write("events_2.csv", csv_of(line("e2")))
    assert {d.history for d in shop.land().new} == {True}
    shop.write("events_3.csv", csv_of(line("e3")))
    assert {d.history for d in shop.land(LATER).new} == {False}


def test_a_first_load_that_was_killed_goes_on_as_the_first(
    shop: Shop, make_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        shop.write(f"events_{number}.csv", csv_of(line(f"e{number}")))

    def die(path: Path, content: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(landing_module, "write_json", die)  # all is written but the manifest
        with pytest.raises(KeyboardInterrupt):
            shop.land(FIRST)
    left = set(shop.settings.landing_dir.glob("events/*"))
    assert left
    assert shop.source.landing.deliveries() == []
    assert shop.all_keys()[-1:] == ["undated"]
    shop.ingest(LATER)
    undisturbed = make_shop("undisturbed", input=shop.settings.input)
    undisturbed.ingest(LATER)
    assert shop.table("raw.events") == undisturbed.table("raw.events")
    assert shop.table("raw.deliveries") == undisturbed.table("raw.deliveries")
    assert len(list(shop.settings.landing_dir.glob("events/*"))) == 1


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_landing_anew_in_part_counts_every_row_once(shop: Shop, ending: str, tmp_path: Path) -> None:
    """Parquet of one shape shares a part: what is landed anew is not read from the old one."""
    for name in ("a", "b"):
        rows = [{"event_id": f"{name}{n}", "event_at": "2024-01-05", "event_type": "view"} for n in range(3)]
        shop.write(f"events_{name}.{ending}", pd.DataFrame(rows))
    shop.ingest()
    before = shop.table("raw.events")
    # As if `a` had been landed by an older adapter.
    manifest = next(shop.settings.landing_dir.glob("manifests/*.json"))
    content = json.loads(manifest.read_text())
    for delivery in content["deliveries"]:
        if delivery["path"].endswith(f"events_a.{ending}"):
            delivery["tables"]["events"]["landing_version"] = "older"
    manifest.write_text(json.dumps(content))
    shop.inbox.joinpath(f"events_b.{ending}").unlink()
    assert [Path(d.path).name for d in shop.land(LATER).new] == [f"events_a.{ending}"]
    shop.load(keys=shop.all_keys())
    assert shop.counts() == (6, 6, 0, 0)
    assert shop.table("raw.events") == before
    # The next landing run removes parts that nothing needs any more, and only those.
    shop.write("events_c.csv", csv_of(line("c")))
    shop.ingest(LATEST)
    shop.load(keys=shop.all_keys())
    assert shop.counts() == (7, 7, 0, 0)


def test_many_small_files_land_together_and_each_row_keeps_its_file(shop: Shop) -> None:
    texts = {
        "plain": "event_id,event_at,event_type,quantity\na0,2024-01-05,view,\na1,2024-01-06,view,\n",
        "quoted": 'event_id,event_at,event_type,quantity\n"b""0",2024-01-05,view,\n"b\n1",2024-01-06,view,\n',
        "semicolons": "event_id;event_at;event_type;quantity\nc0;2024-01-05;view;\nc1;2024-01-06;view;\n",
        "other_columns": "event_id,event_at,event_type\nd0,2024-01-05,view\n",
        "day_first": "event_id,event_at,event_type,quantity\ne0,25/01/2024,view,\ne1,26/01/2024,view,\n",
    }
    for name, text in texts.items():
        shop.inbox.mkdir(exist_ok=True)
        (shop.inbox / f"events_{name}.csv").write_text(text)
    shop.ingest()
    rows = shop.query("select event_id, event_at::date::varchar from raw.events order by 1")
    assert rows == [
        ("a0", "2024-01-05"),
        ("a1", "2024-01-06"),
        ("b\n1", "2024-01-06"),
        ('b"0', "2024-01-05"),
        ("c0", "2024-01-05"),
        ("c1", "2024-01-06"),
        ("d0", "2024-01-05"),
        ("e0", "2024-01-25"),
        ("e1", "2024-01-26"),
    ]
    assert shop.counts() == (9, 9, 0, 0)
    parts = {Path(d.path).stem: d.tables["events"].part for d in shop.source.landing.deliveries()}
    assert parts["events_plain"] == parts["events_quoted"] == parts["events_semicolons"]
    assert len(set(parts.values())) == 3
    # Landing one of them anew leaves the others as they are.
    before = shop.table("raw.events")
    shop.write("events_plain.csv", csv_of(line("z")))
    shop.ingest(LATER)
    assert [row for row in shop.table("raw.events") if row in before] == before


def test_a_wrong_row_among_many_files_is_named_without_its_values(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1")))
    path = shop.write("events_2.csv", csv_of(line("e2")) + "Jane Doe,jane@example.com\n")
    with pytest.raises(InputError, match=r"events_2\.csv, line 3: expected .* columns, found 2") as raised:
        shop.land()
    assert str(path) in str(raised.value) and "jane" not in str(raised.value).lower()


def test_many_files_of_one_shape_and_of_others(shop: Shop) -> None:
    for number in range(40):
        rows = [{"event_id": f"e{number}", "event_at": f"2024-01-{1 + number % 20:02}", "event_type": "view"}]
        if number % 4 == 0:
            rows[0]["country"] = "DE"
        shop.write(f"events/{number}.parquet", pd.DataFrame(rows))
    shop.ingest()
    assert shop.counts() == (40, 40, 0, 0)
    assert shop.query("select count(*) from raw.events where country = 'DE'") == [(10,)]
    assert len(list(shop.settings.landing_dir.glob("events/*"))) == 2


def test_the_state_of_an_input_is_what_is_landed_not_what_is_still_there(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1")))
    shop.ingest()
    shutil.rmtree(shop.inbox)
    shop.write("events_2.csv", csv_of(line("e2")))
    shop.ingest(LATER)
    assert shop.query("select event_id from raw.events order by 1") == [("e1",), ("e2",)]
