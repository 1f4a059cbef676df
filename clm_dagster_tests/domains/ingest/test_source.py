"""Which days wait to be loaded."""

from datetime import date

from clm_dagster.domains.ingest.loading import EVERYTHING
from clm_dagster.domains.ingest.source import UNDATED, consecutive, landing_end
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, Shop, csv_of, line


def test_before_the_first_load_every_day_waits_and_afterwards_none(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.land()
    assert set(shop.pending()) == set(shop.all_keys())
    shop.load()
    assert shop.pending() == []


def test_only_what_was_loaded_stops_waiting(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1"), line("e2", "?")))
    shop.land()
    shop.load(keys=["2024-01-05", "2024-01-06"])
    assert set(shop.all_keys()) - set(shop.pending()) == {"2024-01-05", "2024-01-06"}
    shop.load(keys=[UNDATED])
    assert UNDATED not in shop.pending()
    assert shop.reasons() == {"unreadable_event_at": 1}


def test_a_delivery_makes_the_days_it_touches_wait(shop: Shop) -> None:
    shop.write("events_1.csv", csv_of(line("e1")))
    shop.ingest()
    rows = [
        line("e2", "2024-01-02"),
        line("e3", "2024-02-29 23:59:59"),
        line("e4", "1999-01-01"),
        line("e5", "?"),
    ]
    shop.write("events_2.csv", csv_of(*rows, *(line(f"m{n}", "2024-01-02") for n in range(9))))
    shop.land(LATER)
    assert sorted(shop.pending()) == ["2024-01-02", "2024-02-29", UNDATED]


def test_the_order_in_which_deliveries_came_makes_nothing_wait(shop: Shop) -> None:
    for number in range(3):
        shop.write(f"events_{number}.csv", csv_of(line(f"e{number}")))
    shop.ingest()
    deliveries = shop.source.landing.deliveries()
    assert shop.source.input_versions(deliveries, "events") == shop.source.input_versions(
        deliveries[::-1], "events"
    )


def test_a_table_without_time_waits_as_a_whole(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.write("customers.csv", "customer_id\nc1\n")
    shop.land()
    assert shop.pending("customers") == shop.pending("promotions") == [UNDATED]
    shop.load("customers")
    assert shop.pending("customers") == []
    shop.write("customers_2.csv", "customer_id\nc2\n")
    shop.land(LATER)
    assert shop.pending("customers") == [UNDATED]
    assert shop.pending("events") != []


def test_a_table_that_the_adapter_drops_is_emptied(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    shop.write("reviews.csv", "review_id,product_id,written_at\nr1,p1,2024-01-05\n")
    shop.ingest(tables=["events", "reviews"])
    assert shop.counts("reviews") == (1, 1, 0, 0)
    del shop.source.adapter.tables["reviews"]
    assert shop.pending("reviews") == [UNDATED]
    shop.load("reviews")
    assert shop.pending("reviews") == []
    left = "from raw.deliveries where contract_table = 'reviews'"
    assert shop.query(left) == shop.query("from raw.reviews") == []


def test_an_open_shop_has_days_until_its_last_delivery(shop: Shop) -> None:
    shop.write("events.csv", csv_of(line("e1")))
    deliveries = shop.land(FIRST).new
    assert landing_end(deliveries) == date(2024, 2, 2)
    assert landing_end([]) is None


def test_ranges_are_runs_of_days() -> None:
    keys = ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-03", UNDATED, "2024-03-04"]
    assert consecutive(keys) == [
        ["2024-02-28", "2024-02-29", "2024-03-01"],
        ["2024-03-03"],
        [UNDATED],
        ["2024-03-04"],
    ]
    assert consecutive([]) == []
    assert EVERYTHING.contains(None)
    assert EVERYTHING.contains(date(2024, 1, 1))
