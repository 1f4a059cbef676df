"""A complete run of a small shop, and a second run that gives the same."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from clm_dagster.domains.shop.summary import read_summary
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings, load_settings
from clm_dagster.shop_run import Report, run_shop
from clm_dagster_tests.shops import quiet, small_shop_events

TABLES = [
    "raw.events",
    "raw.rejects",
    "raw.deliveries",
    "core.customer_daily",
    "core.product_daily",
    "core.totals_daily",
    "core.customer_features",
    "core.rfm_scores",
    "marts.rfm_segments",
    "marts.shop_daily",
]


def tables(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    with warehouse.connect("a test") as connection:
        return {name: connection.frame(f"select * from {name} order by all") for name in TABLES}


def test_a_run_builds_segments_from_files_and_a_second_run_does_nothing(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path]
) -> None:
    settings = settings_for(end_date="2024-01-15")  # short: each day costs Dagster its events
    warehouse, shop_events = warehouse_of(settings), small_shop_events(orders=60, days=14)
    write_inbox(shop_events)
    first: Report = run_shop(settings, quiet)
    assert [run.job for run in first.runs] == ["land", "daily", "snapshots"]
    before = tables(warehouse)
    purchases = shop_events[shop_events.event_type == "purchase"]
    assert len(before["raw.events"]) == len(shop_events)
    assert read_summary(settings).orders == purchases.order_id.nunique()
    second = run_shop(settings, quiet)
    assert [run.job for run in second.runs] == ["land"]
    for name, frame in tables(warehouse).items():
        pd.testing.assert_frame_equal(frame, before[name])


@pytest.mark.slow
def test_narrower_dates_delete_the_days_outside(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path]
) -> None:
    write_inbox(small_shop_events(orders=40, days=14))
    run_shop(settings_for(end_date="2024-01-15"), quiet, models=False)
    narrow = settings_for(start_date="2024-01-08", end_date="2024-01-15")
    run_shop(narrow, quiet, models=False)
    with warehouse_of(narrow).connect("a test") as connection:
        for relation, column in [
            ("raw.events", "event_at"),
            ("core.customer_daily", "activity_date"),
            ("core.product_daily", "sales_date"),
            ("core.totals_daily", "sales_date"),
        ]:
            first, rows = connection.execute(
                f"select min({column})::date::varchar, count(*) from {relation}"
            )[0]
            assert rows > 0 and first >= "2024-01-08", relation
        features = connection.execute(
            "select min(first_order_date)::varchar from core.customer_features where as_of = '2024-01-15'"
        )
        assert features[0][0] >= "2024-01-08"
        outside = connection.scalar("select count(*) from raw.rejects where reason = 'outside_dates'")
        assert outside == connection.scalar("select sum(rejected) from raw.deliveries") > 0


@pytest.mark.slow
def test_snapshots_end_with_the_data_and_follow_it(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path]
) -> None:
    """A shop of three days has one snapshot, at its end. Later deliveries replace it; an earlier end removes some."""

    def run(events: pd.DataFrame, end: str) -> list[tuple[str, int]]:
        write_inbox(events)
        settings = settings_for(end_date=end)
        run_shop(settings, quiet, models=False)
        with warehouse_of(settings).connect("a test") as connection:
            stored = connection.execute(
                "select distinct as_of::date::varchar from core.rfm_scores "
                "union select distinct as_of::date::varchar from core.demand_keys order by 1"
            )
            ledger = (
                "select partition_key from raw.builds where relation = 'core.customer_features' order by 1"
            )
            keys = [key for (key,) in connection.execute(ledger)]
            recency = "select as_of::date::varchar, min(recency_days) from core.customer_features group by 1 order by 1"
            found = connection.execute(recency)
        assert [as_of for (as_of,) in stored] == [as_of for as_of, _ in found]
        assert len(keys) == len(found)
        return found

    events = small_shop_events(orders=60, days=14)
    before = events[events.event_at < "2024-01-04"]
    assert run(before, "2024-01-04") == [("2024-01-04", 1)]
    assert run(events, "2024-01-15") == [("2024-01-08", 1), ("2024-01-15", 1)]
    assert run(events, "2024-01-13") == [("2024-01-08", 1)]


@pytest.mark.slow
def test_unset_dates_are_measured_from_the_files_at_every_run(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings_for()
    monkeypatch.setenv("CLM_SOURCE", made.source)
    monkeypatch.setenv("CLM_INPUT", made.input)
    monkeypatch.setenv("CLM_DATA_DIR", str(made.data_dir))
    events = small_shop_events(orders=30, days=8).sort_values("event_at")
    early = events[events.event_at < "2024-01-05"]
    write_inbox(early, "events1.csv")
    report = run_shop(load_settings(), quiet, models=False)
    assert (report.settings.start_date, report.settings.end_date) == (date(2024, 1, 1), date(2024, 1, 5))
    write_inbox(events[events.event_at >= "2024-01-05"], "events2.csv")
    report = run_shop(load_settings(), quiet, models=False)
    assert report.settings.end_date == date.fromisoformat(events.event_at.max()[:10]) + timedelta(days=1)
    with warehouse_of(report.settings).connect("a test") as connection:
        assert connection.scalar("select count(*) from raw.events") == len(events)
    # Dates that a person gives are kept, also by the next run without any.
    monkeypatch.setenv("CLM_START_DATE", "2024-01-01")
    monkeypatch.setenv("CLM_END_DATE", "2024-01-05")
    run_shop(load_settings(), quiet, models=False)
    monkeypatch.delenv("CLM_START_DATE")
    monkeypatch.delenv("CLM_END_DATE")
    assert run_shop(load_settings(), quiet, models=False).settings.end_date == date(2024, 1, 5)
    with warehouse_of(report.settings).connect("a test") as connection:
        assert connection.scalar("select count(*) from raw.events") == len(early)


def test_a_run_without_models_publishes_segments_and_says_what_is_left_out(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path]
) -> None:
    settings = settings_for(end_date="2024-01-15", train_count=1, score_count=2)
    write_inbox(small_shop_events(orders=60, days=14))
    report = run_shop(settings, quiet, models=False)
    assert [run.job for run in report.runs] == ["land", "daily", "snapshots"]
    (left_out,) = report.notes
    assert left_out.startswith("Left out: ") and "6 trainings of 2024-01-08 (as_of 2024-01-15)" in left_out
    assert "scores of 2024-01-08 (as_of 2024-01-15)." in left_out
    summary = read_summary(settings)
    assert summary.segments and summary.as_of == "2024-01-15"
    assert run_shop(settings, quiet, models=False).notes == [left_out]
