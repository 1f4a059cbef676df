"""What runs by itself when files arrive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.assets import TOUCHED
from clm_dagster.domains.ingest.sensors import LAND, ingest_sensors
from clm_dagster.platform.job_names import DAILY
from clm_dagster.platform.job_names import RANGE_END as END
from clm_dagster.platform.job_names import RANGE_START as START
from clm_dagster.platform.naming import LANDING
from clm_dagster.settings import Settings


def sensor(settings: Settings, name: str) -> Any:
    (found,) = [sensor for sensor in ingest_sensors(settings) if sensor.name == name]
    return found


def test_the_sensor_on_files_asks_once_for_what_is_new(
    settings: Settings, write_inbox: Callable[..., Path], instance: dg.DagsterInstance
) -> None:
    look = sensor(settings, "new_files")
    assert look.job_name == LAND

    def evaluate(cursor: str | None) -> Any:
        return look.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))

    nothing = evaluate(None)
    assert not nothing.run_requests and settings.input in nothing.skip_message
    path = write_inbox(pd.DataFrame({"event_id": ["a"]}))
    first = evaluate(None)
    assert len(first.run_requests) == 1
    again = evaluate(first.cursor)
    assert not again.run_requests and "no new files at" in again.skip_message
    path.write_text("event_id\nb\nc\n")
    changed = evaluate(first.cursor)
    assert len(changed.run_requests) == 1
    write_inbox(pd.DataFrame({"event_id": ["d"]}), "more/events_2.csv")
    assert len(evaluate(changed.cursor).run_requests) == 1


def landed(instance: dg.DagsterInstance, days: list[str]) -> None:
    @dg.asset(key=LANDING)
    def files() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={TOUCHED: days})

    dg.materialize([files], instance=instance)


def touched(settings: Settings, instance: dg.DagsterInstance) -> Any:
    look = sensor(settings, "touched_days")
    assert look.job_name == DAILY
    definitions = build_definitions(settings)
    context = dg.build_sensor_context(instance=instance, definitions=definitions)
    return look.evaluate_tick(context)


def test_days_that_new_files_touch_are_loaded_however_old(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    landed(instance, ["2024-01-02", "2024-01-05", "2024-02-20"])
    result = touched(settings, instance)
    assert [(r.tags[START], r.tags[END]) for r in result.run_requests] == [
        ("2024-01-02", "2024-01-05"),
        ("2024-02-20", "2024-02-20"),
    ]
    assert len({request.run_key for request in result.run_requests}) == 2


@pytest.mark.parametrize("days", [[], ["1999-01-01", "2030-01-01"]])
def test_a_landing_that_touches_no_day_of_the_shop_asks_for_nothing(
    days: list[str], settings: Settings, instance: dg.DagsterInstance
) -> None:
    landed(instance, days)
    result = touched(settings, instance)
    assert not result.run_requests and "no day" in result.skip_message
