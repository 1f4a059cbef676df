"""The executor that a setting chooses: the same tables, the pool of the warehouse, runs that were killed."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.executors import owned_executor
from clm_dagster.platform.job_names import DAILY, MODELS, SCORES, SNAPSHOTS, range_tags
from clm_dagster.platform.processes import OWNER, ProcessIdentity
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.runs import close_dead_runs, execute, open_instance
from clm_dagster.settings import PROJECT_DIR, Settings
from clm_dagster_tests.shops import small_shop_events, write_shop

DAYS = ("2024-01-01", "2024-01-07")
# Enough for steps that depend on each other and steps that could write side by side; each process takes seconds.
SOME = (
    "landing/files",
    "raw/events",
    "core/order_allocations",
    "core/order_continuations",
    "core/order_days",
    "staging/stg_events",
    "staging/stg_order_lines",
    "core/customer_daily",
    "core/product_daily",
)


def pools(settings: Settings) -> dict[str, set[str]]:
    """The pools of the steps of each layer."""
    graph = build_definitions(settings).resolve_asset_graph()
    found: dict[str, set[str]] = {}
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        kind = "python" if node.tags.get("materialized") in ("python", "campaign") else node.tags["layer"]
        found.setdefault(kind, set()).update(node.pools or {"none"})
    return found


def test_steps_share_a_process_unless_the_setting_says_otherwise(
    settings_for: Callable[..., Settings],
) -> None:
    alone = build_definitions(settings_for())
    assert alone.resolve_job_def(DAILY).executor_def is owned_executor
    found = pools(settings_for())
    assert all(
        pool.startswith("export_actions_") for pool in found.pop("export")
    )  # one at a time, whatever executes
    assert set().union(*found.values()) == {"none"}
    several = build_definitions(settings_for(executor="multiprocess"))
    for job in (DAILY, SNAPSHOTS, MODELS, SCORES):
        assert several.resolve_job_def(job).executor_def.name == "multiprocess"
    assert several.resolve_implicit_global_asset_job_def().executor_def.name == "multiprocess"


def test_steps_that_write_the_warehouse_throughout_share_a_pool(
    settings_for: Callable[..., Settings],
) -> None:
    found = pools(settings_for(executor="multiprocess", asset_prefix="north"))
    # Trainings and scores lock the warehouse only while they read and write; landing does not open it.
    assert found.pop("python") == found.pop("landing") == {"none"}
    assert all("export_actions_" in pool for pool in found.pop("export"))
    # The page reads the published copy only.
    assert found.pop("published") == {"none", "north_warehouse"}
    assert set(found) == {"raw", "seed", "staging", "core", "marts"}
    assert set().union(*found.values()) == {"north_warehouse"}


def test_each_table_of_a_lake_that_is_replaced_as_a_whole_has_a_pool(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    catalog = str(tmp_path / "lake.ducklake")
    settings = settings_for(executor="multiprocess", catalog=catalog, asset_prefix="north")
    graph = build_definitions(settings).resolve_asset_graph()

    def pool(relation: str) -> set[str]:
        return graph.get(dg.AssetKey(["north", *relation.split(".")])).pools or set()

    assert pool("core.orders") == {"north_table_core_orders"}
    assert pool("raw.customers") == {"north_table_raw_customers"}
    # Days and snapshots are written side by side.
    for relation in ("raw.events", "core.customer_daily", "core.customer_features"):
        assert pool(relation) == set()
    found = set().union(*pools(settings_for(catalog=catalog)).values())
    assert {name for name in found if not name.startswith("export_actions_")} == {"none"}


def test_a_killed_run_leaves_the_pool(settings: Settings) -> None:
    with open_instance(settings) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("warehouse", 1)
        own = ProcessIdentity.own()

        @dg.job
        def job() -> None: ...

        tags = ProcessIdentity(own.host, own.pid, "before").tags(OWNER)
        run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        assert storage.claim_concurrency_slot("warehouse", run.run_id, "a step").is_claimed
        assert close_dead_runs(instance) == [run.run_id]
        assert storage.claim_concurrency_slot("warehouse", "another run", "a step").is_claimed


def tables(settings: Settings) -> dict[str, pd.DataFrame]:
    """All tables and views of a warehouse, without the columns that name runs and times of loading."""
    with warehouse_of(settings).connect("a test") as connection:
        names = [
            name
            for (name,) in connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables order by all"
            )
        ]
        frames = {name: connection.frame(f"select * from {name}") for name in names}
    return {name: _comparable(frame) for name, frame in frames.items()}


def _comparable(frame: pd.DataFrame) -> pd.DataFrame:
    own = [name for name in frame.columns if name.endswith(("run_id", "built_at", "loaded_at", "landed_at"))]
    text = frame.drop(columns=own).astype(str)
    return text.sort_values(list(text.columns)).reset_index(drop=True)


@pytest.mark.slow
def test_processes_write_the_same_tables_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = small_shop_events(customers=12, orders=25, days=7)
    (tmp_path / "one").mkdir()
    one = write_shop(tmp_path / "one", events, end_date="2024-01-08")
    several = one.replace(data_dir=tmp_path / "several")
    only = [dg.AssetKey(key.split("/")) for key in SOME]
    with open_instance(one) as instance:
        execute(build_definitions(one), instance, DAILY, DAYS, lambda step, done: None, only)
    values = {
        "SOURCE": "generic",
        "INPUT": one.input,
        "DATA_DIR": str(several.data_dir),
        "START_DATE": "2024-01-01",
        "END_DATE": "2024-01-08",
        "EXECUTOR": "multiprocess",
        "PROCESSES": "2",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"CLM_{name}", value)
    repository = ReconstructableRepository.for_module("clm_dagster.definitions", "defs", str(PROJECT_DIR))
    with open_instance(several) as instance:
        job = repository.get_reconstructable_job(DAILY)
        done = dg.execute_job(job, instance, tags=range_tags(*DAYS), asset_selection=only)
        assert done.success
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert ProcessIdentity.of_tags(run.tags, OWNER) == ProcessIdentity.own()
        (limit,) = instance.event_log_storage.get_pool_limits()
        assert (limit.name, limit.limit) == ("warehouse", 2)
        assert instance.event_log_storage.get_concurrency_run_ids() == set()
    expected, found = tables(one), tables(several)
    assert list(found) == list(expected)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, obj=name)
