"""What runs by itself when files arrive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from clm_dagster.domains.ingest.sensors import LAND, ingest_sensors
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
