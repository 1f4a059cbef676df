"""Days and snapshots that a delivery changes without containing them, in a shop that only sensors keep up to date."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform import ticks
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.job_names import DAILY, RANGE_END, RANGE_START, SNAPSHOTS
from clm_dagster.platform.resources import load_sql, warehouse_of
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
SENSORS = ("new_files", "touched_days", "changed_days", "changed_snapshots")


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


def record_changed(settings: Settings, model: str, *keys: str) -> None:
    """Record partitions of a model in the build ledger as built from inputs that are different now."""
    code = load_sql(settings).models[model]
    stored = [(key, Version(f"{code.code_version[:16]}-earlier"), 0) for key in keys]
    with warehouse_of(settings).connect("a test") as connection:
        versions.record(connection, code.relation, stored, "run")


def finished(
    daemon: Daemon, sensor: str = "", status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS
) -> str:
    """Add a run to the instance, and return its id. sensor: the sensor that requested it."""
    job = daemon.definitions.resolve_job_def("land")
    tags = {"dagster/sensor_name": sensor} if sensor else {}
    return daemon.instance.create_run_for_job(job, status=status, tags=tags).run_id


def test_changed_days_are_requested_once_after_each_run(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(settings, instance)
    assert daemon.tick("changed_days").skip_message == "there is no run yet"
    run = finished(daemon)
    assert "up to date" in daemon.tick("changed_days").skip_message
    assert daemon.tick("changed_days").skip_message == f"there is no run after {run}"
    # Days of another code, outside the calendar, or never built are left to backfills.
    record_changed(settings, "order_days", "2024-01-03", "2024-01-05", "2024-02-20", "1999-01-01")
    with warehouse_of(settings).connect("a test") as connection:
        versions.record(connection, "core.totals_daily", [("2024-01-30", Version("other-code"), 0)], "run")
    last = finished(daemon)
    found = daemon.tick("changed_days")
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in found.run_requests] == [
        ("2024-01-03", "2024-01-05"),
        ("2024-02-20", "2024-02-20"),
    ]
    assert all(last in request.run_key for request in found.run_requests)


def test_a_rebuild_that_leaves_its_days_out_of_date_is_not_requested_again(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(settings, instance)
    record_changed(settings, "order_days", "2024-01-03", "2024-01-09")
    finished(daemon)
    assert daemon.tick("changed_days").run_requests
    own = finished(daemon, "changed_days")
    again = daemon.tick("changed_days")
    assert not again.run_requests
    assert (
        f"2 partitions, 2024-01-03 to 2024-01-09, are still out of date after the run {own}"
        in again.skip_message
    )
    # A rebuild may change another day; and a later run of any other kind is a reason to try again.
    record_changed(settings, "order_days", "2024-01-20")
    finished(daemon, "changed_days")
    assert daemon.tick("changed_days").run_requests
    finished(daemon)
    assert daemon.tick("changed_days").run_requests


def test_the_sensors_wait_for_unfinished_runs_and_snapshots_for_days(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(settings, instance)
    record_changed(settings, "order_days", "2024-01-03")
    record_changed(settings, "customer_features", "2024-01-08")
    finished(daemon)
    waiting = daemon.tick("changed_snapshots")
    assert not waiting.run_requests and "days before the snapshots" in waiting.skip_message
    busy = finished(daemon, status=dg.DagsterRunStatus.STARTED)
    for name in ("changed_days", "changed_snapshots"):
        result = daemon.tick(name)
        assert not result.run_requests and busy in result.skip_message
    instance.delete_run(busy)
    assert daemon.tick("changed_days").run_requests
    with warehouse_of(settings).connect("a test") as connection:
        connection.execute("delete from raw.builds where relation = 'core.order_days'")
    (request,) = daemon.tick("changed_snapshots").run_requests
    assert request.tags[RANGE_START] == "2024-01-08"


def test_a_sensor_does_not_wait_long_for_the_warehouse(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_WAIT", 0.1)
    daemon = Daemon(settings, instance)
    record_changed(settings, "order_days", "2024-01-03")
    finished(daemon)
    with warehouse_of(settings).connect("a long step"):
        waiting = daemon.tick("changed_days")
        assert not waiting.run_requests and "a long step" in waiting.skip_message
    assert daemon.tick("changed_days").run_requests
