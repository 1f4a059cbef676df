"""Days and snapshots that a delivery changes without containing them, in a shop that only sensors keep up to date."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.job_names import DAILY, RANGE_END, RANGE_START, SNAPSHOTS
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.shops import quiet, write_shop

LINE = {
    "event_type": "purchase",
    "customer_id": "anna",
    "order_id": "o1",
    "product_id": "p1",
    "quantity": "1",
    "unit_price": "10",
}
SENSORS = ("new_files", "changed_days", "changed_snapshots")


def events(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Purchases, each with id, order and time."""
    return pd.DataFrame([LINE | {"event_id": i, "order_id": o, "event_at": at} for i, o, at in rows])


class Daemon:
    """Dagster's daemon: evaluates the sensors one after the other, and runs what they request."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.definitions, self.instance = build_definitions(settings), instance
        self.cursors: dict[str, str | None] = dict.fromkeys(SENSORS)

    def tick(self, name: str) -> Any:
        """Evaluate one sensor and keep its cursor."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors[name],
            definitions=self.definitions,
            sensor_name=name,
        )
        result = self.definitions.resolve_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = result.cursor or context.cursor or self.cursors[name]
        return result

    def work(self, most: int = 10) -> list[tuple[str, ...]]:
        """Tick until no sensor requests a run. Return job, first and last partition of each run."""
        done: list[tuple[str, ...]] = []
        for _ in range(most):
            requested = [(name, request) for name in SENSORS for request in self.tick(name).run_requests]
            if not requested:
                return done
            for name, request in requested:
                job = str(self.definitions.resolve_sensor_def(name).job_name)
                tags = request.tags | {"dagster/sensor_name": name}
                self.run(job, tags)
                done.append((job, *(tags[t] for t in (RANGE_START, RANGE_END) if t in tags)))
        raise AssertionError(f"the sensors still request runs after {done}")

    def run(self, job: str, tags: dict[str, str]) -> None:
        result = self.definitions.resolve_job_def(job).execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.instance,
            tags=tags,
        )
        assert result.success


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A shop that has run: four weeks, one order in the first, one in the second and one on the last day."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    first = events(
        ("e1", "o1", "2024-01-03 10:00"), ("e2", "o2", "2024-01-09 10:00"), ("e3", "o3", "2024-01-28 10:00")
    )
    settings = write_shop(tmp_path, first, "2024-01-29")
    assert [run.job for run in run_shop(settings, quiet).runs] == ["land", DAILY, SNAPSHOTS]
    return settings


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with warehouse_of(settings).connect("a test") as connection:
        return connection.execute(sql)


@pytest.mark.slow
def test_the_day_that_a_moved_event_left_is_rebuilt_with_the_snapshots_after_it(loaded: Settings) -> None:
    events(("e1", "o1", "2024-01-25 10:00")).to_csv(Path(loaded.input) / "events_2.csv", index=False)
    with dg.DagsterInstance.get() as instance:
        done = Daemon(loaded, instance).work()
    assert done == [
        ("land",),
        (DAILY, "2024-01-25", "2024-01-25"),
        (DAILY, "2024-01-03", "2024-01-03"),
        # Only now is the order one of 25 January alone, and no longer continued there.
        (DAILY, "2024-01-25", "2024-01-25"),
        (SNAPSHOTS, "2024-01-01", "2024-01-22"),
    ]
    totals = "select sales_date::varchar, orders, gross_revenue::int from core.totals_daily where orders > 0 order by 1"
    assert rows(loaded, totals) == [
        ("2024-01-09", 1, 10),
        ("2024-01-25", 1, 10),
        ("2024-01-28", 1, 10),
    ]
    features = "select as_of::date::varchar, orders from core.customer_features order by 1"
    assert rows(loaded, features) == [("2024-01-15", 1), ("2024-01-22", 1), ("2024-01-29", 3)]
    # Nothing is left for `clm run`.
    assert [run.job for run in run_shop(loaded, quiet).runs] == ["land"]


def finished(
    daemon: Daemon, job: str = "land", status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS
) -> str:
    """Add a run to the instance, and return its id."""
    return daemon.instance.create_run_for_job(daemon.definitions.resolve_job_def(job), status=status).run_id


def test_a_sensor_looks_once_after_each_run_and_waits_for_unfinished_ones(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(settings, instance)
    assert daemon.tick("changed_days").skip_message == "there is no run yet"
    # A shop that has ended has all days of its calendar, also those without rows.
    run = finished(daemon)
    (request,) = daemon.tick("changed_days").run_requests
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2024-01-01", "2024-03-03")
    assert daemon.tick("changed_days").skip_message == f"there is no run after {run}"
    assert "comes first" in daemon.tick("changed_snapshots").skip_message
    assert daemon.tick("changed_snapshots").skip_message == f"there is no run after {run}"
    busy = finished(daemon, status=dg.DagsterRunStatus.STARTED)
    for _ in range(2):  # the cursor stays where it is
        assert busy in daemon.tick("changed_days").skip_message
    instance.delete_run(busy)
    later = finished(daemon)
    (request,) = daemon.tick("changed_days").run_requests
    assert request.run_key and later


@pytest.mark.slow
def test_days_in_new_files_are_loaded_however_old(loaded: Settings) -> None:
    events(("e4", "o4", "2024-01-02 10:00"), ("e5", "o5", "2024-01-26 10:00")).to_csv(
        Path(loaded.input) / "events_2.csv", index=False
    )
    with dg.DagsterInstance.get() as instance:
        done = Daemon(loaded, instance).work()
    # One run covers the days between, too: scattered days would take a run each.
    assert done[:2] == [("land",), (DAILY, "2024-01-02", "2024-01-26")]
    assert [run.job for run in run_shop(loaded, quiet).runs] == ["land"]
