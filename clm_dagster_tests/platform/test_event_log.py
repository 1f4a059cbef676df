"""The batched event log: the events, materialized partitions and asset records of Dagster's own storage."""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import StepMaterializationData

from clm_dagster.platform.event_log import BatchedSqliteEventLogStorage

EVENT: Callable[..., dg.EventLogEntry] = dg.EventLogEntry
DAYS = dg.DailyPartitionsDefinition(start_date="2024-01-01", end_date="2024-03-01")
YAML = """\
telemetry: {enabled: false}
event_log_storage:
  module: clm_dagster.platform.event_log
  class: BatchedSqliteEventLogStorage
  config: {}
"""


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def thing(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(
        metadata={"partitions": len(context.partition_keys)}, data_version=dg.DataVersion("one")
    )


@dg.asset_check(asset=thing)
def looks_well() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def materialize(
    home: Path, yaml: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], set[str], int, str, list[tuple[str, bool]]]:
    """Return kinds of events, materialized partitions, storage id and data version of the newest, and checks."""
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "25")
    tags = {
        "dagster/asset_partition_range_start": "2024-01-01",
        "dagster/asset_partition_range_end": "2024-02-29",
    }
    definitions = dg.Definitions(assets=[thing], asset_checks=[looks_well], jobs=[dg.define_asset_job("all")])
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def("all").execute_in_process(instance=instance, tags=tags)
    with dg.DagsterInstance.get() as instance:
        entries = instance.all_logs(result.run_id)
        kinds = sorted(e.dagster_event.event_type_value for e in entries if e.dagster_event)
        newest = instance.get_latest_materialization_event(thing.key)
        assert newest is not None and newest.asset_materialization is not None
        records = instance.fetch_materializations(thing.key, limit=1000).records
        version = (newest.asset_materialization.tags or {})["dagster/data_version"]
        checks = [
            (record.status.value, record.event is not None)
            for record in instance.event_log_storage.get_asset_check_execution_history(
                looks_well.check_key, limit=100
            )
        ]
        return kinds, instance.get_materialized_partitions(thing.key), len(records), version, checks


def test_the_same_events_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = materialize(tmp_path / "usual", "telemetry: {enabled: false}\n", monkeypatch)
    batched = materialize(tmp_path / "batched", YAML, monkeypatch)
    assert batched == usual
    assert batched[1] == set(DAYS.get_partition_keys()) and batched[2] == 60
    assert ("SUCCEEDED", True) in batched[4]


def test_a_batch_is_in_the_index_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(YAML)
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, BatchedSqliteEventLogStorage)
        entries = [
            _materialized("11111111-1111-4111-8111-111111111111", day) for day in ("2024-01-01", "2024-01-02")
        ]

        def fail(*_: object) -> None:
            raise OSError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(storage, "_store_asset_event_tags", fail)
            with pytest.raises(OSError, match="disk"):
                storage.store_event_batch(entries)
        assert instance.get_materialized_partitions(thing.key) == set()
        storage.store_event_batch(entries)
        assert instance.get_materialized_partitions(thing.key) == {"2024-01-01", "2024-01-02"}


def test_an_event_of_a_check_is_stored_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(YAML)
    run_id = "11111111-1111-4111-8111-111111111111"
    planned = EVENT(
        error_info=None,
        level=10,
        user_message="",
        run_id=run_id,
        timestamp=time.time(),
        dagster_event=dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
            job_name="one",
            event_specific_data=AssetCheckEvaluationPlanned(asset_key=thing.key, check_name="looks_well"),
        ),
    )
    with dg.DagsterInstance.get() as instance:
        storage = instance.event_log_storage

        def fail(*_: object) -> None:
            raise OSError("the disk is full")

        def stored() -> tuple[int, int]:
            history = storage.get_asset_check_execution_history(looks_well.check_key, limit=9)
            return len(instance.all_logs(run_id)), len(history)

        with monkeypatch.context() as patch:
            patch.setattr(storage, "_store_asset_check_evaluation_planned", fail)
            for store in (storage.store_event_batch, lambda events: storage.store_event(events[0])):
                with pytest.raises(OSError, match="disk"):
                    store([planned])
        assert stored() == (0, 0)
        storage.store_event_batch([planned, _materialized(run_id, "2024-01-01")])
        assert stored() == (2, 1)


def _materialized(run_id: str, day: str) -> dg.EventLogEntry:
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="one",
        event_specific_data=StepMaterializationData(dg.AssetMaterialization(thing.key, partition=day)),
    )
    fields = {"error_info": None, "level": 10, "user_message": "", "run_id": run_id, "timestamp": time.time()}
    return EVENT(**fields, dagster_event=event)


def test_a_commit_goes_to_a_write_ahead_log_and_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    with storage.index_connection() as connection:
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 1
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
