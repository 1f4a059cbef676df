"""A whole run of a small shop: what a person gets, twice the same."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from clm_dagster.definitions import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import Report, run_shop
from clm_dagster.summary import read_summary
from clm_dagster.warehouse import Warehouse
from clm_dagster_tests.conftest import small_shop_events

TABLES = [
    "raw.events", "raw.rejects", "raw.deliveries", "core.customer_daily", "core.product_daily",
    "core.totals_daily", "core.customer_features", "core.rfm_scores", "marts.rfm_segments", "marts.shop_daily",
]  # fmt: skip


def quiet(title: str, total: int) -> Callable[[str, int], None]:
    return lambda step, done: None


def tables(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    with warehouse.connect("a test") as connection:
        return {name: connection.frame(f"select * from {name} order by all") for name in TABLES}


def test_runs_from_files_to_segments_and_then_has_nothing_to_do(
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
