"""When a run stops after loading, and what it says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.domains.ingest.stopping import reason_to_stop
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, Shop, csv_of, line


def good(count: int) -> list[str]:
    return [line(f"good{n}") for n in range(count)]


def bad(count: int, **values: str) -> list[str]:
    return [line(f"bad{n}", **(values or {"quantity": "0"})) for n in range(count)]


def stop(shop: Shop, table: str = "events") -> str | None:
    return reason_to_stop(shop.connection, shop.source, shop.source.landing.deliveries(), table)


def test_more_rejects_than_allowed_stop_with_reasons_and_three_rows(shop: Shop) -> None:
    shop.write("events.csv", csv_of(*good(11), *bad(2), line("x", unit_price="free"), line("y", order_id="")))
    shop.ingest()
    text = stop(shop)
    assert text is not None
    assert text.splitlines()[:8] == [
        "events.csv: 4 of 15 rows of events are rejected (27%), more than the 20% that CLM_MAX_REJECTED_SHARE allows.",
        "Reasons:",
        "  bad_quantity, 2 rows: quantity is missing, not a number, or not above zero",
        "  bad_unit_price, 1 rows: unit_price is missing, not an amount, or below zero, and there is no line_amount",
        "  no_order_id, 1 rows: a purchase, discount or refund without an order_id",
        "Examples, with x for a letter and 9 for a digit:",
        "  events.csv, row 12, bad_quantity: event_id 'xxx9', event_at '9999-99-99 99:99:99', event_type 'xxxxxxxx', "
        "order_id 'x9', product_id 'x9', quantity '9', unit_price '9.99'",
        "  events.csv, row 14, bad_unit_price: event_id 'x', event_at '9999-99-99 99:99:99', event_type 'xxxxxxxx', "
        "order_id 'x9', product_id 'x9', quantity '9', unit_price 'xxxx'",
    ]
    assert sum(", row " in found for found in text.splitlines()) == 3
    assert "every rejected row is in raw.rejects" in text


def test_the_share_is_of_each_delivery_and_the_limit_is_a_setting(
    shop: Shop, make_shop: Callable[..., Shop]
) -> None:
    shop.write("events_1.csv", csv_of(*good(100)))
    shop.write("events_2.csv", csv_of(*good(4), *bad(1)))
    shop.ingest(FIRST)
    assert stop(shop) is None  # exactly a fifth
    shop.write("events_3.csv", csv_of(*good(3), *bad(1)))
    shop.ingest(LATER)
    assert (stop(shop) or "").startswith("events_3.csv: 1 of 4 rows")
    lenient = make_shop("lenient", input=shop.settings.input, max_rejected_share=0.25)
    lenient.ingest()
    assert stop(lenient) is None


def test_nothing_accepted_stops_whatever_is_allowed(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(max_rejected_share=1)
    shop.write("events.csv", csv_of(*bad(3)))
    shop.ingest()
    assert (stop(shop) or "").startswith(
        "None of the 3 rows of events is accepted.\nReasons:\n  bad_quantity, 3"
    )
    shop.write("events_2.csv", csv_of(*good(1)))
    shop.ingest(LATER)
    assert stop(shop) is None


def test_duplicates_and_rows_outside_the_shops_dates_are_no_rejects(shop: Shop) -> None:
    shop.write("events.csv", csv_of(*good(4), *good(4), *bad(20, event_at="2020-01-01")))
    shop.ingest()
    assert shop.counts() == (28, 4, 20, 4)
    assert stop(shop) is None


def test_a_delivery_is_judged_once_it_is_loaded(shop: Shop) -> None:
    shop.write("events.csv", csv_of(*bad(3), *(line(f"e{n}", "2024-01-20") for n in range(20))))
    shop.land()
    shop.load(keys=["2024-01-05"])
    assert stop(shop) is None
    shop.load()
    assert stop(shop) is None  # 3 of 23


def test_the_other_tables_are_judged_too_and_no_value_is_shown(shop: Shop) -> None:
    shop.write("events.csv", csv_of(*good(1)))
    header = "customer_id,signed_up_at,country\n"
    shop.write("customers.csv", f"{header},2024-01-05,ann@example.org\n")
    shop.ingest(tables=["events", "customers"])
    assert stop(shop) is None
    text = stop(shop, "customers") or ""
    assert (
        "customers.csv, row 1, no_customer_id: signed_up_at '9999-99-99', country 'xxx@xxxxxxx.xxx'" in text
    )


@pytest.mark.slow
def test_clm_run_stops_after_loading_says_why_and_goes_on_once_it_is_allowed(
    settings_for: Callable[..., Settings],
) -> None:
    dates = {"start_date": "2024-01-01", "end_date": "2024-01-08"}
    settings = settings_for(**dates)
    inbox = Path(settings.input)
    inbox.mkdir()
    (inbox / "events.csv").write_text(csv_of(*good(2), *bad(1), line("no", "?")))
    for _ in range(2):  # the second run has nothing to load and stops as well
        with pytest.raises(InputError, match=r"events\.csv: 2 of 4 rows of events.*\n.*\n(.*\n)*Examples, "):
            run_shop(settings, lambda title, total: lambda step, done: None)
        with warehouse_of(settings).connect("a test") as connection:
            assert connection.scalar("select count(*) from raw.rejects") == 2
            assert connection.relation_kind("core.totals_daily") is None
        assert not settings.published_path.exists()
    allowed = settings_for(**dates, max_rejected_share=0.5)
    run_shop(allowed, lambda title, total: lambda step, done: None)
    with warehouse_of(settings).connect("a test") as connection:
        assert connection.scalar("select sum(orders)::int from core.totals_daily") == 1
