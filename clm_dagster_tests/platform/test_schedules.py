"""Schedules: when they tick, in which time zone, and that what they request can be launched."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.job_names import RANGE_END, RANGE_START, range_tags
from clm_dagster.settings import Settings

LONDON = ZoneInfo("Europe/London")
START, END = RANGE_START, RANGE_END
SCHEDULES = ("daily_schedule", "snapshot_schedule", "train_schedule", "score_schedule")


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None)


def tick(settings: Settings, name: str, at: datetime) -> Any:
    definitions = build_definitions(settings)
    schedule = definitions.resolve_schedule_def(name)
    assert schedule.execution_timezone == settings.timezone
    home = settings.dagster_home  # a schedule opens its instance by the folder
    home.mkdir(parents=True, exist_ok=True)
    with (
        dg.DagsterInstance.local_temp(str(home)) as instance,
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at,
            repository_def=definitions.get_repository_def(),
        ) as context,
    ):
        return schedule.evaluate_tick(context)


def london(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=LONDON)


def test_the_daily_schedule_loads_yesterday_and_the_lookback_days_in_one_run(live: Settings) -> None:
    (request,) = tick(live, "daily_schedule", london(2024, 6, 12, 3)).run_requests
    assert request.run_key.startswith("daily_schedule 2024-06-08 2024-06-11 ")
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


@pytest.mark.parametrize("name", SCHEDULES)
def test_before_the_first_day_has_ended_there_is_nothing_to_do(name: str, live: Settings) -> None:
    result = tick(live, name, london(2024, 1, 1, 0))
    assert "the shop's history starts on 2024-01-01: no partition has ended yet" in result.skip_message


@pytest.mark.parametrize("hour", [0, 3, 23])
def test_later_jobs_are_looked_after_every_hour_of_the_day(
    hour: int, settings_for: Callable[..., Settings]
) -> None:
    definitions = build_definitions(settings_for(daily_hour=hour))
    hours = []
    for name in SCHEDULES:
        schedule = definitions.resolve_schedule_def(name)
        hours.append(str(schedule.cron_schedule).split()[1])
    later = f"{hour}-23" if hour < 23 else "23"
    assert hours == [str(hour), later, later, later]


def test_requested_runs_can_be_launched(
    settings: Settings, definitions: dg.Definitions, write_inbox: Callable[..., Path]
) -> None:
    rows = {"event_type": "visit", "customer_id": "anna", "event_id": "v1", "event_at": "2024-01-03 10:00"}
    write_inbox(pd.DataFrame([rows]))
    with dg.DagsterInstance.ephemeral() as instance:
        land = definitions.resolve_job_def("land").execute_in_process(instance=instance)
        assert land.success
    (request,) = tick(settings, "daily_schedule", london(2024, 2, 12, 3)).run_requests
    assert (request.tags[START], request.tags[END]) == ("2024-01-01", "2024-02-11")
    partitions = definitions.resolve_job_def("daily").partitions_def
    assert partitions is not None
    assert {request.tags[START], request.tags[END]} <= set(partitions.get_partition_keys())
    waiting = tick(settings, "snapshot_schedule", london(2024, 2, 12, 3, 30))
    assert not waiting.run_requests and waiting.skip_message.startswith(
        "days 2024-01-01 to 2024-02-11 comes first"
    )


def test_schedules_use_the_shops_time_zone(settings_for: Callable[..., Settings]) -> None:
    tokyo = settings_for(end_date=None, timezone="Asia/Tokyo")
    at = datetime(2024, 6, 11, 18, tzinfo=UTC)  # 03:00 on the 12th in Tokyo
    (request,) = tick(tokyo, "daily_schedule", at.astimezone(ZoneInfo("Asia/Tokyo"))).run_requests
    assert request.tags[END] == "2024-06-11"
