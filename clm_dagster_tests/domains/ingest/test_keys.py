"""Keys of events: ids that are not unique, corrections, events that move to another day, badly written ids."""

from collections.abc import Callable

import pandas as pd
import pytest

from clm_dagster.domains.ingest.loading import create_tables
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, LATEST, Shop, csv_of, line

CURRENT = (
    "select event_id, event_at::date::varchar, quantity::int from raw.events "
    "where superseded_at is null and not deleted order by all"
)


def test_rows_of_one_file_that_share_an_id_but_not_their_content_are_rejected(shop: Shop) -> None:
    rows = [
        line("O1"),
        line("O1", product_id="P2"),
        line("O1", product_id="P3", event_at="2024-01-05 10:05:00"),
        line("O2"),
        line("O2"),
    ]
    shop.write("events.csv", csv_of(*rows))
    shop.ingest()
    assert shop.counts() == (5, 1, 3, 1)
    found = shop.query("select reason, source_row from raw.rejects order by 2")
    assert found == [("conflicting_rows", 1), ("conflicting_rows", 2), ("conflicting_rows", 3)]


def test_a_file_with_the_history_of_its_rows_has_no_conflict(shop: Shop) -> None:
    header = "event_id,event_at,event_type,country,known_at"
    rows = [f"e1,2024-01-05,view,{c},2024-01-{d:02}" for c, d in (("DE", 6), ("NL", 7), ("FR", 7))]
    shop.write("events.csv", csv_of(*rows, header=header))
    shop.ingest()
    assert shop.counts() == (3, 1, 2, 0)


def test_a_later_delivery_wins_however_its_files_are_named(shop: Shop) -> None:
    shop.write("events_9.csv", csv_of(line("e1", quantity="9")))
    shop.write("events_10.csv", csv_of(line("e1", quantity="10", event_at="2024-01-05 08:00:00")))
    shop.ingest(FIRST)
    assert shop.query(CURRENT) == [("e1", "2024-01-05", 10)]
    shop.write("events_1.csv", csv_of(line("e1", quantity="1")))
    shop.ingest(LATER)
    assert shop.query(CURRENT) == [("e1", "2024-01-05", 1)]


def test_an_event_moves_to_another_day_once(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1", "2024-01-01 23:30:00")))
    shop.write("events_2.csv", csv_of(line("e1", "2024-01-02 00:30:00")))
    shop.ingest()
    assert shop.query(CURRENT) == [("e1", "2024-01-02", 2)]


def test_a_late_move_changes_the_version_of_the_old_day(shop: Shop) -> None:
    versions = "select partition_key, version from raw.builds where relation = 'raw.events' order by 1"
    shop.write("events_1.csv", csv_of(line("e1", "2024-01-01 23:30:00"), line("e2", "2024-01-03")))
    shop.ingest(FIRST)
    before = dict(shop.query(versions))
    shop.write("events_2.csv", csv_of(line("e1", "2024-01-02 00:30:00")))
    shop.ingest(LATER)
    after = dict(shop.query(versions))
    assert {day for day in after if after[day] != before[day]} == {"2024-01-01", "2024-01-02"}
    assert shop.query(CURRENT) == [("e1", "2024-01-02", 2), ("e2", "2024-01-03", 2)]
    shop.write("events_3.csv", csv_of(line("e1", "2024-01-04 00:30:00")))
    shop.ingest(LATEST)
    assert shop.query(CURRENT) == [("e1", "2024-01-04", 2), ("e2", "2024-01-03", 2)]


def test_a_warehouse_of_an_earlier_version_finds_events_that_move(shop: Shop) -> None:
    """It has no numbers of keys yet; the next load makes them from the stored rows."""
    shop.write("events_1.csv", csv_of(line("e1", "2024-01-01 23:30:00"), line("e2", "2024-01-03")))
    shop.ingest(FIRST)
    made = shop.table("raw.key_days")
    assert [table for table, _, _ in made] == ["", "events", "events"]  # the first is the version of DuckDB
    for change in ("drop table raw.key_days", "update raw.key_days set key_number = 1"):
        shop.query(change)
        create_tables(shop.connection, shop.contract.values())
        assert shop.table("raw.key_days") == made
    shop.write("events_2.csv", csv_of(line("e1", "2024-01-02 00:30:00")))
    shop.ingest(LATER)
    assert shop.query(CURRENT) == [("e1", "2024-01-02", 2), ("e2", "2024-01-03", 2)]
    assert len(shop.table("raw.key_days")) == 4  # the first day still has the version that was superseded


def test_a_history_at_once_gives_the_versions_of_its_files_one_by_one(make_shop: Callable[..., Shop]) -> None:
    """Only when a version was learnt differs: the files are corrections of each other in the order of their names."""
    found = []
    days = ["2024-01-01", "2024-01-03", "2024-01-01", "2024-01-02"]
    for name in ("at once", "one by one"):
        shop = make_shop(name)
        for number, day in enumerate(days):
            shop.write(
                f"events_{number}.csv",
                csv_of(line("e1", f"{day} 10:00:00"), line("e2", quantity=f"{number}1")),
            )
            if name == "one by one":
                shop.land(FIRST)
        shop.ingest(FIRST)
        assert shop.query(CURRENT)[0] == ("e1", days[-1], 2)
        clocks = "known_at, superseded_at"
        ended = shop.query(
            "select event_id, superseded_at is null, count(*) from raw.events group by all order by all"
        )
        found.append([shop.table("raw.events", clocks), ended, shop.table("raw.deliveries", "landed_at")])
    assert found[0] == found[1]


def test_days_in_any_order_give_the_same_chains(make_shop: Callable[..., Shop]) -> None:
    """One shop; its days are loaded again in every order, which has to end in the same rows."""
    shop = make_shop()
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    for moment, day in zip((FIRST, LATER, LATEST), (days[0], days[2], days[1]), strict=True):
        shop.write(f"events_{day}.csv", csv_of(line("e1", f"{day} 10:00:00")))
        shop.land(moment)
    found = []
    for order in (days, days[::-1], (days[1], days[2], days[0])):
        for table in ("events", "deliveries", "spread_keys", "currencies", "builds"):
            shop.query(f"delete from raw.{table}")
        for day in order:
            shop.load(keys=[day])
        assert shop.query(CURRENT) == [("e1", days[1], 2)]
        versions = "select partition_key, version from raw.builds where relation = 'raw.events' order by 1"
        found.append([shop.table("raw.events"), shop.query(versions)])
    assert all(state == found[0] for state in found)


BACK = ["2024-01-01", "2024-01-02", "2024-01-01"]


@pytest.mark.parametrize("order", ["together", "one by one", "backwards", "days apart"])
def test_an_event_that_moves_back_is_on_its_first_day(shop: Shop, order: str) -> None:
    """The third delivery equals the first one, and is no duplicate of it."""
    for number, (day, moment) in enumerate(zip(BACK, (FIRST, LATER, LATEST), strict=True)):
        shop.write(f"events_{number}.csv", csv_of(line("e1", day), line(f"e{number + 2}", day)))
        shop.land(moment)
        if order == "one by one":
            shop.load()
    if order in ("backwards", "days apart"):
        for day in BACK[1::-1] if order == "backwards" else BACK[:2]:
            shop.load(keys=[day])
    shop.ingest(LATEST)
    others = [("e2", BACK[0], 2), ("e3", BACK[1], 2), ("e4", BACK[0], 2)]
    assert shop.query(CURRENT) == [("e1", BACK[0], 2), *others]
    found = shop.query(
        "select event_at::date::varchar, superseded_at::varchar from raw.events where event_id = 'e1' order by known_at"
    )
    assert found == [(BACK[0], str(LATER)), (BACK[1], str(LATEST)), (BACK[0], None)]
    assert shop.counts() == (6, 6, 0, 0)


@pytest.mark.parametrize("days", [("2024-01-04", "2024-01-05"), ("2024-01-05", "2024-01-04")])
def test_rows_of_one_file_that_share_an_id_on_two_days_are_rejected(
    shop: Shop, days: tuple[str, str]
) -> None:
    shop.write(
        "events.csv", csv_of(line("e1", "2024-01-04"), line("e1", "2024-01-05"), line("e2", "2024-01-05"))
    )
    shop.land()
    for day in days:
        shop.load(keys=[day])
    shop.ingest()
    assert shop.query(CURRENT) == [("e2", "2024-01-05", 2)]
    said = shop.query("select event_date::varchar, reason, source_row from raw.rejects order by 3")
    assert said == [("2024-01-04", "conflicting_rows", 1), ("2024-01-05", "conflicting_rows", 2)]
    # A later file that names the event once decides.
    shop.write("events_2.csv", csv_of(line("e1", "2024-01-06")))
    shop.ingest(LATER)
    assert shop.query(CURRENT) == [("e1", "2024-01-06", 2), ("e2", "2024-01-05", 2)]
    assert shop.counts() == (4, 2, 2, 0)


def test_a_deleted_row_on_another_day_deletes_the_event(shop: Shop) -> None:
    header = "event_id,event_at,event_type,deleted"
    shop.write("events_1.csv", csv_of("e1,2024-01-01,view,", header=header))
    shop.ingest(FIRST)
    shop.write("events_2.csv", csv_of("e1,2024-01-04,,true", header=header))
    shop.ingest(LATER)
    assert shop.query(CURRENT) == []


def test_ids_that_other_programs_wrote(shop: Shop) -> None:
    guests = ["0", "NULL", "\\N", "nan", "#N/A", "None", "0.0", ""]
    rows = [line(f"g{n}", customer_id=token) for n, token in enumerate(guests)]
    rows += [line("a", customer_id="12345"), line("b", customer_id="12345.0"), line("c", customer_id="'007")]
    rows += [line("mangled", customer_id="1.23457E+12"), line('="000123"', product_id='="0012"')]
    shop.write("events.csv", csv_of(*rows))
    shop.ingest()
    customers = "select customer_id, count(*) from raw.events group by 1 order by 1 nulls last"
    assert shop.query(customers) == [("007", 1), ("12345", 2), ("c1", 1), (None, len(guests))]
    assert shop.query("select product_id from raw.events where event_id = '000123'") == [("0012",)]
    assert shop.reasons() == {"mangled_id": 1}
    said = dict(shop.query("select customer_id, row_count from raw.no_customers"))
    assert said == dict.fromkeys(guests[:-1], 1)


def test_the_tokens_of_guests_are_a_setting(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(no_customer="guest, -1")
    shop.write(
        "events.csv",
        csv_of(line("a", customer_id="GUEST"), line("b", customer_id="0"), line("c", customer_id="-1")),
    )
    shop.ingest()
    assert shop.query("select customer_id from raw.events order by event_id") == [(None,), ("0",), (None,)]


def test_floats_of_a_parquet_file_are_ids_without_a_fraction(shop: Shop) -> None:
    row = {"event_at": "2024-01-05", "event_type": "view"}
    frame = pd.DataFrame(
        [{"event_id": 1.0, "customer_id": 12345.0} | row, {"event_id": 2.0, "customer_id": None} | row]
    )
    shop.write("events.parquet", frame)
    shop.ingest()
    assert shop.query("select event_id, customer_id from raw.events order by 1") == [
        ("1", "12345"),
        ("2", None),
    ]
