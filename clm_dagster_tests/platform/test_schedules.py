"""Schedules: the run requests of a tick, and the reasons to skip."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.build_ledger.versions import Version, record
from clm_dagster.platform.job_names import DAILY, RANGE_END, RANGE_START, SNAPSHOTS, range_tags
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.schedules import build_schedules
from clm_dagster.settings import Settings

LONDON = ZoneInfo("Europe/London")
START, END = RANGE_START, RANGE_END


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None)


def tick(settings: Settings, name: str, at: datetime) -> Any:
    (schedule,) = [schedule for schedule in build_schedules(settings) if schedule.name == name]
    assert schedule.execution_timezone == settings.timezone
    # Dagster resolves a partition key in the job; the daily schedule requests a range by tags.
    known = build_definitions(settings).get_repository_def() if name == "snapshot_schedule" else None
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=at, repository_def=known
        )
        return schedule.evaluate_tick(context)


def london(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=LONDON)


def test_the_daily_schedule_loads_yesterday_and_the_lookback_days_in_one_run(live: Settings) -> None:
    (request,) = tick(live, "daily_schedule", london(2024, 6, 12, 3)).run_requests
    assert request.run_key == "daily 2024-06-11"
    assert {k: v for k, v in request.tags.items() if "range" in k} == range_tags("2024-06-08", "2024-06-11")


def test_the_lookback_starts_no_earlier_than_the_shop(
    live: Settings, settings_for: Callable[..., Settings]
) -> None:
    (request,) = tick(live, "daily_schedule", london(2024, 1, 2, 3)).run_requests
    assert (request.tags[START], request.tags[END]) == ("2024-01-01", "2024-01-01")
    alone = settings_for(end_date=None, lookback_days=0)
    (request,) = tick(alone, "daily_schedule", london(2024, 6, 12, 3)).run_requests
    assert (request.tags[START], request.tags[END]) == ("2024-06-11", "2024-06-11")


@pytest.mark.parametrize("day", [(2024, 3, 31), (2024, 4, 1), (2024, 10, 27), (2024, 10, 28), (2024, 2, 29)])
def test_the_daily_schedule_ticks_on_days_with_a_clock_change(
    day: tuple[int, int, int], live: Settings
) -> None:
    (request,) = tick(live, "daily_schedule", london(*day, 3)).run_requests
    assert request.tags[END] == (london(*day).date() - timedelta(days=1)).isoformat()


def test_the_weekly_schedule_uses_the_previous_week(live: Settings) -> None:
    (request,) = tick(live, "snapshot_schedule", london(2024, 6, 10, 3, 30)).run_requests
    assert (request.tags["dagster/partition"], request.run_key) == ("2024-06-03", "snapshot 2024-06-03")


def test_the_weekly_schedule_waits_for_the_weeks_last_day_and_looks_every_day(live: Settings) -> None:
    with warehouse_of(live).connect("a test") as connection:
        connection.execute("create schema if not exists raw")
        days = {"2024-06-08": 12, "2024-06-09": 0}  # Sunday's file is late: the day is loaded, and empty
        rows = [(day, Version(day), count) for day, count in days.items()]
        record(connection, "raw.events", rows, "a run")
    late = tick(live, "snapshot_schedule", london(2024, 6, 10, 3, 30))
    assert not late.run_requests
    assert (
        "Of the snapshot 2024-06-03 (as_of 2024-06-10), the last day has no events yet" in late.skip_message
    )
    with warehouse_of(live).connect("a test") as connection:
        record(connection, "raw.events", [("2024-06-09", Version("late"), 9)], "another run")
    (request,) = tick(live, "snapshot_schedule", london(2024, 6, 11, 3, 30)).run_requests
    assert (request.tags["dagster/partition"], request.run_key) == ("2024-06-03", "snapshot 2024-06-03")


@pytest.mark.parametrize("name", ["daily_schedule", "snapshot_schedule"])
def test_a_historical_shop_is_skipped_with_a_reason_after_its_end(name: str, settings: Settings) -> None:
    result = tick(settings, name, london(2024, 6, 10, 3, 30))
    assert not result.run_requests
    assert "the shop's history ends on 2024-03-01 (setting CLM_END_DATE)" in result.skip_message
    # A snapshot is named by its key and its as_of.
    newest = {"daily_schedule": "2024-03-03", "snapshot_schedule": "2024-02-19 (as_of 2024-02-26)"}
    assert f"there is no partition after {newest[name]}:" in result.skip_message
    within = tick(settings, name, london(2024, 2, 12, 3, 30))
    assert len(within.run_requests) == 1


@pytest.mark.parametrize("name", ["daily_schedule", "snapshot_schedule"])
def test_before_the_first_day_has_ended_there_is_nothing_to_do(name: str, live: Settings) -> None:
    result = tick(live, name, london(2024, 1, 1, 0))
    assert "the shop's history starts on 2024-01-01: no partition has ended yet" in result.skip_message


def test_requested_runs_can_be_launched(definitions: dg.Definitions, settings: Settings) -> None:
    for name, job in (("daily_schedule", DAILY), ("snapshot_schedule", SNAPSHOTS)):
        (request,) = tick(settings, name, london(2024, 2, 12, 3, 30)).run_requests
        partitions = definitions.resolve_job_def(job).partitions_def
        assert partitions is not None
        wanted = {request.tags.get(tag) for tag in ("dagster/partition", START, END)} - {None}
        assert wanted and wanted <= set(partitions.get_partition_keys())


def test_schedules_use_the_shops_time_zone(settings_for: Callable[..., Settings]) -> None:
    tokyo = settings_for(end_date=None, timezone="Asia/Tokyo")
    at = datetime(2024, 6, 11, 18, tzinfo=UTC)  # 03:00 on the 12th in Tokyo
    (request,) = tick(tokyo, "daily_schedule", at.astimezone(ZoneInfo("Asia/Tokyo"))).run_requests
    assert request.tags[END] == "2024-06-11"
