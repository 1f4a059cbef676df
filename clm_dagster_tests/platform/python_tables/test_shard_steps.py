"""A step for each shard: the same rows and checks as in one step, and a shard that failed is computed again alone."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.assets import python_asset
from clm_dagster.platform.python_tables.in_shards import Computed, InShards
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.python_tables.tables import PythonTable
from clm_dagster.platform.resources import load_sql, warehouse_of
from clm_dagster.platform.tracking import Tracking
from clm_dagster.settings import Settings, load_settings

WEEKS = ("2024-01-01", "2024-01-08")
TABLE = "marts.similar_products"
DATA = "A_TEST_DATA_DIR"


def read(reading: Reading[None]) -> CustomerRows:
    """Read eleven made-up products, which stand for customers."""
    people = "select 'p' || lpad(n::varchar, 2, '0') as customer_id, n from range(11) r(n)"
    return reading.rows("people", reading.shards(people), f"{people} order by customer_id")


def compute(work: Work[None], people: CustomerRows) -> Computed:
    return Shares(work, people)


class Shares(InShards[int, int, int]):
    """The share of each number in the sum of all. A file in the data folder makes its shard fail."""

    def __init__(self, work: Work[None], people: CustomerRows) -> None:
        self.work, self.people = work, people
        self.shelf = work.shelf(self.shards)

    @property
    def shards(self) -> int:
        return len(self.people.shards)

    def measure(self, shard: int) -> int:
        rows = self.people.shard(shard)
        self.shelf.put("rows", shard, rows)
        return int(rows["n"].sum())

    def combine(self, parts: Sequence[int]) -> int:
        return sum(parts)

    def rows(self, whole: int, shard: int) -> tuple[pd.DataFrame, int]:
        if (self.work.data_dir / f"fail-{shard}").exists():
            raise ValueError("this shard fails")
        rows = self.shelf.get("rows", shard)
        frame = pd.DataFrame(
            {
                "product_id": rows["customer_id"],
                "rank": 1,
                "similar_product_id": "q",
                "score": rows["n"] / whole,
                "by_customers": 0.5,
                "by_name": 0.5,
            }
        )
        return frame, len(frame)

    def output(self, whole: int, rows: Rows, facts: Sequence[int]) -> TableOutput:
        own = dg.AssetCheckResult(
            check_name="own", passed=True, description=f"{len(facts)} shards of {whole}"
        )
        return TableOutput(rows, {"sizes": list(facts)}, [own])


def asset_of(project: Project, settings: Settings) -> dg.AssetsDefinition:
    table = PythonTable.of(
        project,
        TABLE,
        ["customer_features"],
        read,
        compute,
        None,
        checks={"own": "Own."},
        in_shards=True,
    )
    return python_asset(project, settings, table)


@pytest.fixture
def shop(settings_for: Callable[..., Settings]) -> Settings:
    settings = settings_for(shard_customers=4)
    with warehouse_of(settings).connect("a test") as connection:
        rows = [(key, Version("1"), 1) for key in WEEKS]
        versions.record(connection, "core.customer_features", rows, "a run")
    return settings


def resources(settings: Settings) -> dict[str, object]:
    return {
        "warehouse": warehouse_of(settings),
        "tracking": Tracking(uri="sqlite:///none.db", artifact_dir="none"),
    }


def stored(settings: Settings) -> pd.DataFrame:
    with warehouse_of(settings).connect("a test") as connection:
        return connection.frame(f"select * from {TABLE} order by all")


def steps(events: Sequence[dg.DagsterEvent]) -> list[str]:
    names = [event.step_key or "" for event in events if event.event_type_value == "STEP_SUCCESS"]
    return [name.rpartition(".")[2] for name in names]


def shards(name: str, *numbers: int) -> list[str]:
    return [f"{name}[shard_{number:05d}]" for number in numbers]


def materialized(
    project: Project, settings: Settings, instance: dg.DagsterInstance, keys: Sequence[str]
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset_of(project, settings)],
        instance=instance,
        resources=resources(settings),
        tags={
            "dagster/asset_partition_range_start": keys[0],
            "dagster/asset_partition_range_end": keys[-1],
        },
    )


def test_steps_give_the_rows_metadata_and_checks_of_one_step(
    shop: Settings, project: Project, instance: dg.DagsterInstance
) -> None:
    key = dg.AssetKey(["marts", "similar_products"])
    one = materialized(project, shop, instance, WEEKS[1:])
    rows = stored(shop)
    several = materialized(project, shop.replace(shards_as_steps=True), instance, WEEKS[1:])
    pd.testing.assert_frame_equal(stored(shop), rows, check_exact=True)
    assert len(rows) == 11 and rows["score"].sum() == pytest.approx(1)
    assert steps(one.all_events) == ["marts__similar_products"]
    expected = ["read", *shards("measure", 0, 1, 2), "combine", *shards("rows", 0, 1, 2), "store"]
    assert steps(several.all_events) == expected
    found = []
    for result in (one, several):
        checks = {(e.check_name, e.passed, e.description) for e in result.get_asset_check_evaluations()}
        (event,) = result.get_asset_materialization_events()
        metadata = event.materialization.metadata
        costs = {"seconds", "peak_mb"}
        found.append((checks, {name: one for name, one in metadata.items() if name not in costs}))
        assert event.asset_key == key and event.partition == WEEKS[1]
    assert found[0] == found[1] and ("own", True, "3 shards of 55") in found[0][0]
    assert found[0][1]["sizes"].value == [4, 4, 3]
    assert not any(path.is_file() for path in (shop.data_dir / "cache").rglob("*"))


def test_several_snapshots_or_a_single_shard_are_computed_by_the_first_step(
    shop: Settings, project: Project, instance: dg.DagsterInstance
) -> None:
    settings = shop.replace(shards_as_steps=True)
    both = materialized(project, settings, instance, WEEKS)
    assert steps(both.all_events) == ["read", "combine", "store"]
    assert stored(shop).groupby("as_of").size().tolist() == [11, 11]
    whole = materialized(project, settings.replace(shard_customers=0), instance, WEEKS[:1])
    assert steps(whole.all_events) == ["read", "combine", "store"]
    assert len(stored(shop)) == 22
    assert not any(path.is_file() for path in (shop.data_dir / "cache").rglob("*"))


def failing_job() -> dg.JobDefinition:
    """The job of the shop in the data folder that the environment names."""
    settings = load_settings(
        source="generic",
        start_date="2024-01-01",
        data_dir=Path(os.environ[DATA]),
        shard_customers=4,
        shards_as_steps=True,
    )
    asset = asset_of(load_sql(settings), settings)
    job = dg.define_asset_job("toy", selection=[asset.key])
    definitions = dg.Definitions(
        [asset], jobs=[job], resources=resources(settings), executor=dg.in_process_executor
    )
    return definitions.resolve_job_def("toy")


@pytest.fixture
def failing(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Name the data folder, and make a shard of the shop in it fail."""
    monkeypatch.setenv(DATA, str(shop.data_dir))
    path = shop.data_dir.resolve() / "fail-1"
    path.touch()
    yield path


def test_a_failed_shard_keeps_the_old_rows_and_is_computed_again_alone(
    shop: Settings, instance: dg.DagsterInstance, failing: Path
) -> None:
    job = dg.reconstructable(failing_job)
    with dg.execute_job(job, instance, tags={"dagster/partition": WEEKS[0]}) as first:
        assert not first.success
        expected = ["read", *shards("measure", 0, 1, 2), "combine", *shards("rows", 0, 2)]
        assert steps(first.all_events) == expected
    with warehouse_of(shop).connect("a test") as connection:
        assert connection.relation_kind(TABLE) is None
    failing.unlink()
    options = dg.ReexecutionOptions.from_failure(first.run_id, instance)
    tags = {"dagster/partition": WEEKS[0]}
    with dg.execute_job(job, instance, tags=tags, reexecution_options=options) as again:
        assert again.success and steps(again.all_events) == [*shards("rows", 1), "store"]
    rows = stored(shop)
    assert len(rows) == 11 and set(rows["as_of"]) == {pd.Timestamp(as_of_of_key(WEEKS[0], None))}
