"""Stale partitions after a late delivery, after changed SQL, and without a change."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest

from clm_dagster.domains.ingest.source import LandedFiles, ShopSource
from clm_dagster.platform.build_ledger.staleness import (
    ranges,
    stale_days,
    stale_files,
    stale_snapshots,
)
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.settings import Settings
from clm_dagster_tests.shops import small_shop_events
from clm_dagster_tests.two_weeks import copy_shop, edit

WEEKS = ["2024-01-01", "2024-01-08"]
DAYS = [f"2024-01-{day:02d}" for day in range(1, 15)]


def test_ranges_merge_neighbouring_keys() -> None:
    assert ranges([]) == []
    assert ranges(["2024-01-01"]) == [("2024-01-01", "2024-01-01")]
    assert ranges(["2024-01-01", "2024-01-02", "2024-01-16"]) == [("2024-01-01", "2024-01-16")]
    assert ranges(["2024-01-01", "2024-01-17", "2024-01-18"]) == [
        ("2024-01-01", "2024-01-01"),
        ("2024-01-17", "2024-01-18"),
    ]
    assert ranges(["2024-01-01", "2024-01-22"], step_days=21) == [("2024-01-01", "2024-01-22")]


@dataclass(frozen=True)
class Plan:
    """The stale partitions by kind."""

    days: list[str]
    snapshots: list[str]
    tables: bool
    views: bool


NOTHING = Plan([], [], False, False)


def plan(settings: Settings) -> Plan:
    project = load_sql(settings)
    landed = LandedFiles.read(ShopSource.open(settings, project))
    with warehouse_of(settings).connect("a test") as connection:
        builds = Builds.read(connection)
    return Plan(
        stale_days(project, landed, builds),
        stale_snapshots(project, builds, WEEKS),
        landed.has_pending_tables(builds),
        bool(stale_files(project, builds)),
    )


@pytest.fixture
def shop(two_weeks: Settings, tmp_path: Path) -> Settings:
    """A copy of that shop with its SQL, to change."""
    return copy_shop(two_weeks, tmp_path)


def deliver(settings: Settings, tmp_path: Path, days: list[str], name: str = "events_late.csv") -> None:
    """Land another file with an order on each of the days."""
    source = ShopSource.open(settings, load_sql(settings))
    rows = (
        small_shop_events(customers=12, orders=40, days=14).query("event_type == 'purchase'").head(len(days))
    )
    late = rows.assign(
        event_id=[f"{name}{n}" for n in range(len(days))], event_at=[f"{d} 10:00" for d in days]
    )
    path = tmp_path / name
    late.to_csv(path, index=False)
    source.landing.land(str(path), source.adapter, datetime(2024, 2, 1))


def test_nothing_is_stale_after_a_run(shop: Settings) -> None:
    assert plan(shop) == NOTHING


def test_before_any_run_everything_is_stale(shop: Settings, tmp_path: Path) -> None:
    fresh = shop.replace(data_dir=tmp_path / "fresh")
    deliver(fresh, tmp_path, ["2024-01-03"])
    assert plan(fresh) == Plan(DAYS, WEEKS, True, True)


@pytest.mark.parametrize(
    ("days", "weeks"),
    [(["2024-01-03"], WEEKS), (["2024-01-10"], WEEKS[1:]), (["2024-01-02", "2024-01-14"], WEEKS)],
)
def test_a_late_delivery_makes_its_days_and_then_everything_downstream_stale(
    days: list[str], weeks: list[str], shop: Settings, tmp_path: Path
) -> None:
    deliver(shop, tmp_path, days)
    assert plan(shop).days == days
    assert plan(shop).snapshots == []  # snapshots depend on loaded days, not on landed ones
    with warehouse_of(shop).connect("a test") as connection:
        for day in days:
            connection.execute(
                "update raw.builds set version = 'other' where relation = 'core.customer_daily' and partition_key = ?",
                [day],
            )
    assert plan(shop).snapshots == weeks


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("models/core/product_daily.sql", "'gift' then 1", "'gift' then 2", Plan(DAYS, [], False, False)),
        (
            "models/staging/stg_order_lines.sql",
            "'return' then quantity",
            "'return' then -quantity",
            Plan(DAYS, WEEKS, False, True),
        ),
        (
            "models/core/customer_features.sql",
            "states.orders_30 as",
            "states.orders_90 as",
            Plan([], WEEKS, False, False),
        ),
        (
            "models/core/rfm_scores.sql",
            "5 * (recency_rank",
            "4 * (recency_rank",
            Plan([], WEEKS, False, False),
        ),
        ("models/marts/shop_daily.sql", "as orders,", "as orders, 1 as more,", Plan([], [], False, True)),
        (
            "macros/as_known.sql",
            "superseded_at is null",
            "superseded_at is not null",
            Plan(DAYS, WEEKS, False, True),
        ),
        ("seeds/rfm_segment_map.csv", "5,1,new", "5,1,loyal", Plan([], WEEKS, False, True)),
        ("seeds/rfm_segment_names.csv", "Average", "Middle", Plan([], [], False, True)),
        ("models/core/customer_daily.yml", 'owners: ["team:data"]', 'owners: ["team:other"]', NOTHING),
        ("models/core/customer_daily.yml", "Purchases before discounts.", "What was bought.", NOTHING),
    ],
)
def test_changed_code_makes_its_tables_stale(
    file: str, old: str, new: str, expected: Plan, shop: Settings
) -> None:
    edit(shop, file, old, new)
    assert plan(shop) == expected


def test_a_longer_history_keeps_existing_days(shop: Settings) -> None:
    later = shop.replace(end_date=date(2024, 1, 20))
    found = plan(later)
    # The dates decide which rows are rejected, so every day is checked again, and five days are added.
    assert found.days[-1] == "2024-01-21"
    assert found.snapshots == []
