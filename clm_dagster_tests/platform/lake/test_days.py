"""Two loads of different days at once: an event that moved from one day to the other is one event."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from clm_dagster.domains.ingest import day_loads
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.source import ShopSource
from clm_dagster.platform.domain import Shop
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.ingest.shop import FIRST, LATER, csv_of, line

ONE, OTHER = "2024-01-05", "2024-01-08"
ROWS = "select event_id, event_at, order_id, superseded_at, known_at from raw.events order by all"


def landed(settings: Settings) -> ShopSource:
    """Land two deliveries: the second one moves an event to another day."""
    source = ShopSource.open(settings, Shop.open(settings).project)
    inbox = Path(settings.input)
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "events_1.csv").write_text(csv_of(line("e1", f"{ONE} 10:00:00"), line("e2", f"{ONE} 11:00:00")))
    source.landing.land(settings.input, source.adapter, FIRST)
    (inbox / "events_2.csv").write_text(
        csv_of(line("e1", f"{OTHER} 10:00:00"), line("e3", f"{OTHER} 9:00:00"))
    )
    source.landing.land(settings.input, source.adapter, LATER)
    return source


def load(connection: Connection, source: ShopSource, *ranges: Sequence[str]) -> None:
    deliveries = source.landing.deliveries()
    day_loads.load_in_transaction(connection, source, deliveries, "events", ranges, "run")


def test_whoever_commits_last_decides_shared_keys(
    lake_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lake_settings()
    source = landed(first)
    with warehouse_of(first).connect("one after the other") as connection:
        day_loads.prepare_tables(connection, source)
        load(connection, source, [ONE])
        load(connection, source, [OTHER])
        expected = connection.execute(ROWS)
        spread = connection.execute("select row_key, event_date from raw.spread_keys order by all")
    assert spread
    both = lake_settings(input=f"{first.input}_of_two")
    source = landed(both)
    lake, original, calls = warehouse_of(both), day_loads.load_days, []
    with lake.connect("one") as one, lake.connect("other") as other:
        day_loads.prepare_tables(one, source)

        def with_another_load(
            connection: Connection,
            of: ShopSource,
            deliveries: Sequence[Delivery],
            table: str,
            keys: Sequence[str],
            run_id: str,
        ) -> None:
            original(connection, of, deliveries, table, keys, run_id)
            if table == "events":  # and not the exchange rates of the same days
                calls.append(connection is one)
                if calls == [True]:
                    load(other, source, [OTHER])

        monkeypatch.setattr(day_loads, "load_days", with_another_load)
        load(one, source, [ONE])
        # Its load, the other one in between, and its load again.
        assert calls == [True, False, True]
        assert one.execute(ROWS) == expected
        assert one.execute("select row_key, event_date from raw.spread_keys order by all") == spread
