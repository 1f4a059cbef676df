"""The event log of a run with kept engines: the same events, fewer engines."""

from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.storage.event_log.sqlite import sqlite_event_log

from clm_dagster.platform.event_log import reuse_engines


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def thing(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"partition": context.partition_key})


def materialize(home: Path, reuse: bool) -> tuple[list[str], list[str]]:
    """Run the asset for both partitions; return the kinds of events, read by a fresh instance, and the partitions."""
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        if reuse:
            assert reuse_engines(instance)
        runs = [dg.materialize([thing], instance=instance, partition_key=key).run_id for key in "ab"]
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        kinds = [
            entry.dagster_event.event_type_value
            for run in runs
            for entry in instance.all_logs(run)
            if entry.dagster_event
        ]
        return kinds, sorted(instance.get_materialized_partitions(thing.key))


def test_the_same_events_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    create = sqlalchemy.create_engine

    def counted(url: str, **options: object) -> object:
        made.append(url)
        return create(url, **options)

    monkeypatch.setattr(sqlite_event_log, "create_engine", counted)
    usual = materialize(tmp_path / "usual", reuse=False)
    of_usual = len(made)
    made.clear()
    kept = materialize(tmp_path / "kept", reuse=True)
    assert kept == usual
    assert kept[1] == ["a", "b"]
    assert len(made) < of_usual / 2


def test_another_storage_is_left_alone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert not reuse_engines(instance)
