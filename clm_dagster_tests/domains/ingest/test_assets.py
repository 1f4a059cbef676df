"""Ingestion as Dagster sees it: few partitions, since each costs Dagster tens of milliseconds."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.assets import DELIVERIES, EVENTS, REJECTS, TOUCHED
from clm_dagster.platform.naming import LANDING
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.ingest.shop import csv_of, line

TABLES = ("customers", "products", "promotions", "touches", "reviews")
RAW = [REJECTS, DELIVERIES, *(dg.AssetKey(["raw", table]) for table in TABLES)]


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(start_date="2024-01-01", end_date="2024-01-08", max_rejected_share=0.5)


def run(
    settings: Settings, keys: list[dg.AssetKey], instance: dg.DagsterInstance, **given: str
) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(settings)
    job = dg.define_asset_job("some", dg.AssetSelection.assets(*keys))
    assets = list(definitions.assets or [])
    chosen = dg.Definitions(assets=assets, jobs=[job], resources=definitions.resources)
    return chosen.resolve_job_def("some").execute_in_process(
        instance=instance, tags=given, raise_on_error=False
    )


def week() -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": "2024-01-01",
        "dagster/asset_partition_range_end": "2024-01-07",
    }


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, object]:
    found = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == key
    ]
    return {name: value.value for name, value in found[-1].metadata.items()}


def test_from_files_to_raw_tables(
    settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    inbox = Path(settings.input)
    inbox.mkdir()
    (inbox / "events.csv").write_text(
        csv_of(line("e1"), line("e1"), line("e2", "2024-01-03"), line("bad", quantity="0"), line("no", "?"))
    )
    (inbox / "customers.csv").write_text("customer_id\nc1\n")
    (inbox / "notes.txt").write_text("x")
    landed = run(settings, [LANDING], instance)
    assert landed.success
    found = metadata(landed, LANDING)
    assert found["new_rows"] == 6
    assert found["not_read"] == ["notes.txt: matches no table of the source generic"]
    assert found[TOUCHED] == ["2024-01-03", "2024-01-05"]

    loaded = run(settings, [EVENTS], instance, **week())
    assert loaded.success
    found = metadata(loaded, EVENTS)
    assert [found[name] for name in ("delivered", "accepted", "rejected", "duplicate")] == [4, 2, 1, 1]
    passed = {e.check_name: e.passed for e in loaded.get_asset_check_evaluations()}
    assert passed["ledger_balances"] is True
    assert passed["few_rejects"] is False

    others = run(settings, RAW, instance)
    assert others.success
    by_asset = {(e.asset_key, e.check_name): e.passed for e in others.get_asset_check_evaluations()}
    assert by_asset[DELIVERIES, "ledger_balances"] is True
    assert by_asset[dg.AssetKey(["raw", "customers"]), "source_has_table"] is True
    assert "unreadable_event_at" in str(metadata(others, REJECTS)["by_reason"])
    assert "| events | 1 | 5 | 2 | 2 | 1 |" in str(metadata(others, DELIVERIES)["totals"])
    with warehouse.connect("a test") as connection:
        assert connection.execute("select count(*) from raw.events") == [(2,)]

    again = run(settings, [LANDING], instance)
    assert (metadata(again, LANDING)["new_deliveries"], metadata(again, LANDING)["known_deliveries"]) == (
        0,
        2,
    )


def test_a_delivery_that_is_mostly_rejected_is_loaded_and_nothing_is_built_of_it(
    settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    inbox = Path(settings.input)
    inbox.mkdir()
    bad = [line(f"b{n}", quantity="0") for n in range(2)]
    (inbox / "events.csv").write_text(csv_of(line("e1"), *bad, line("no", "?")))
    assert run(settings, [LANDING], instance).success
    totals = dg.AssetKey(["core", "totals_daily"])
    loaded = run(settings, [EVENTS, totals], instance, **week())
    assert not loaded.success
    checks = {e.check_name: e for e in loaded.get_asset_check_evaluations()}
    text = checks["rejected_share"].description or ""
    assert "events.csv: 3 of 4 rows of events are rejected (75%), more than the 50%" in text
    assert "bad_quantity, 2 rows: quantity is missing" in text
    assert "events.csv, row 4, unreadable_event_at: event_id 'xx', event_at '?'" in text
    assert checks["ledger_balances"].passed
    assert totals not in [e.asset_key for e in loaded.get_asset_materialization_events()]
    with warehouse.connect("a test") as connection:
        assert connection.execute("select count(*) from raw.events") == [(1,)]
        assert connection.execute("select count(*) from raw.rejects") == [(3,)]


def test_bad_input_fails_the_run_with_its_message_and_loads_nothing(
    settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    inbox = Path(settings.input)
    inbox.mkdir()
    (inbox / "events.csv").write_bytes(b"PK\x03\x04 an Excel workbook")
    result = run(settings, [LANDING], instance)
    assert not result.success
    failures = [str(e.event_specific_data) for e in result.all_events if e.is_step_failure]
    assert any("events.csv: expected a CSV, found an Excel workbook" in text for text in failures)
    assert run(settings, [EVENTS], instance, **week()).success
    with warehouse.connect("a test") as connection:
        assert connection.execute("select count(*) from raw.events") == [(0,)]


def test_rules_and_reasons_stand_where_people_look(settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    text = graph.get(EVENTS).description or ""
    assert "Reasons for rejection; rejected rows are in raw.rejects" in text
    assert "`bad_quantity`: quantity is missing, not a number, or not above zero" in text
