"""Months that only ticks keep up to date, with outages, killed runs and late files, against one `clm run`."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.runs import open_instance
from clm_dagster.platform.warehouse import Connection
from clm_dagster.shop_run import plan_shop, run_shop
from clm_dagster_tests.platform.daemons import Daemon, DeclarativeDaemon
from clm_dagster_tests.shops import quiet, write_shop

START, END = "2024-01-01", "2024-07-01"
# What differs between two runs over the same rows: when, and by which run, a row was stored.
OWN = ("run_id", "mlflow_run_id", "model_version", "trained_at", "loaded_at", "known_at", "delivery_id")


def purchases(seed: int, count: int) -> pd.DataFrame:
    """Purchases of half a year, in order, half of them of returning customers."""
    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.integers(0, 182 * 24 * 60, count))
    at = pd.Timestamp(START) + pd.to_timedelta(minutes, unit="min")
    return pd.DataFrame(
        {
            "event_id": [f"e{number}" for number in range(count)],
            "event_at": at.astype(str),
            "customer_id": [f"c{number}" for number in rng.integers(0, 30, count)],
            "event_type": "purchase",
            "order_id": [f"o{number}" for number in range(count)],
            "product_id": [f"p{number}" for number in rng.integers(0, 5, count)],
            "quantity": "1",
            "unit_price": [f"{price / 100:.2f}" for price in rng.integers(100, 5000, count)],
            "currency": "EUR",
        }
    )


def days_with_dagster(rng: np.random.Generator) -> Iterator[datetime]:
    """Days on which Dagster starts, for two days; between them are outages of up to two months."""
    day = datetime.fromisoformat(START) + timedelta(days=9)
    while day < datetime.fromisoformat(END):
        yield day
        day += timedelta(days=int(rng.integers(25, 60)))
    yield datetime.fromisoformat(END) + timedelta(days=1)


def rows(connection: Connection, relation: str) -> pd.DataFrame:
    columns = [name for name in connection.columns(f"select * from {relation}") if name not in OWN]
    listed = ", ".join(f'"{name}"' for name in columns)
    return connection.frame(f"select {listed} from {relation} order by all")


@pytest.mark.slow
@pytest.mark.parametrize("automation", ["schedules", "declarative"])
def test_months_of_ticks_end_in_the_tables_of_one_run(
    automation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "unset")
    rng = np.random.default_rng(3)
    events = purchases(3, 200)
    settings = write_shop(tmp_path, events.iloc[:0], END).replace(automation=automation)
    inbox = Path(settings.input)
    (inbox / "events.csv").unlink()
    late = rng.random(len(events)) < 0.1
    with open_instance(settings) as instance:
        kind = Daemon if automation == "schedules" else DeclarativeDaemon
        daemon = kind(settings, build_definitions(settings), instance)
        delivered = pd.Series(False, index=events.index)
        for number, day in enumerate(days_with_dagster(rng)):
            is_last = day > datetime.fromisoformat(END)
            # A tenth of the rows arrives after the next outage, or later.
            there = (events["event_at"] < str(day)) & ~delivered & (~late | is_last | (rng.random() < 0.3))
            if there.any():
                events[there].to_csv(inbox / f"events_{number}.csv", index=False)
            delivered |= there
            first = day.replace(hour=3, tzinfo=settings.zone)
            kill = number % 2 == 1
            for offset in range(8 if is_last else 2):
                killed = (kill and not offset, kill and bool(offset))
                count = daemon.work_a_day(first + timedelta(days=offset), killed)
                if is_last and not count:
                    break
        assert delivered.all() and daemon.failed
    assert set(daemon.jobs) == {"daily", "snapshots"}
    assert not plan_shop(settings).plan.of("days") and not plan_shop(settings).plan.of("snapshots")

    # The same deliveries, so that known_at of late rows is the same.
    other = settings.replace(data_dir=tmp_path / "other")
    shutil.copytree(settings.landing_dir, other.landing_dir)
    run_shop(other, quiet)
    with (
        warehouse_of(settings).connect("a test") as ticked,
        warehouse_of(other).connect("a test") as run,
    ):
        relations = [
            f"{schema}.{name}"
            for schema, name in run.execute(
                "select table_schema, table_name from information_schema.tables "
                "where table_schema in ('core', 'marts') order by all"
            )
        ]
        assert len(relations) > 20
        for relation in relations:
            pd.testing.assert_frame_equal(rows(ticked, relation), rows(run, relation), obj=relation)
        for window in ("core.order_days", "core.customer_features"):
            assert Builds.read(ticked).keys(window) == Builds.read(run).keys(window)
