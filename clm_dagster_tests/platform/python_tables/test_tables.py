"""Python tables: replaced together with their ledger, stale exactly if an input has changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clm_dagster.domains.personas.tables import persona_tables
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.staleness import stale_scores, stale_trainings, training_keys
from clm_dagster.platform.build_ledger.versions import Builds, Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.python_tables.output import SideRows, TableOutput, write_output
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading, Work
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.shop_run import run_shop
from clm_dagster_tests.shops import small_shop_events

READS = ("core.customer_features", "core.customer_categories")
WEEKS = [f"2024-{month}" for month in ("01-01", "01-08", "01-15", "01-22")]


@pytest.fixture
def tables(project: Project, settings: Settings) -> list[AnyTable]:
    return persona_tables(project, settings)


def build(connection: Connection, relation: str, key: str, version: str = "a") -> None:
    versions.record(connection, relation, [(key, Version(version), 1)], "a run")


def up_to_date(connection: Connection, project: Project, table: AnyTable, key: str) -> None:
    expected = table.expected(project, Builds.read(connection), key)
    versions.record(connection, table.relation, [(key, expected, 1)], "a run")


def write(
    connection: Connection, table: AnyTable, key: str, output: pd.DataFrame | ParquetBuffer, version: str
) -> None:
    partition = PartitionContext(key, as_of_of_key(key, None), None, Version(version), True)
    write_output(connection, table.node, partition, TableOutput(output), "a run")


def read_nothing(reading: Reading[object]) -> None:
    return None


def compute_nothing(work: Work[object], inputs: None) -> TableOutput:
    return TableOutput(pd.DataFrame(columns=work.columns))


def plain_table(project: Project, name: str, settings: object = None, **more: Any) -> AnyTable:
    return PythonTable.of(
        project, name, ["customer_features"], read_nothing, compute_nothing, settings, **more
    )


def rows(*customers: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": customers}).assign(
        persona_id="p1",
        persona="a name",
        distance=1,
        confidence=0.5,
        horizon_days=0,
        model_name="models.persona_model",
        model_version="1",
        model_as_of=pd.Timestamp("2024-01-08"),
    )


def test_a_snapshot_and_its_ledger_are_replaced_together_or_not_at_all(
    connection: Connection, tables: list[AnyTable]
) -> None:
    table = tables[1]
    stored = f"select as_of::date::varchar, customer_id from {table.relation} order by all"
    write(connection, table, WEEKS[0], rows("a", "b"), "1")
    write(connection, table, WEEKS[1], rows("a"), "1")
    write(connection, table, WEEKS[0], rows("c"), "2")
    expected = [("2024-01-08", "c"), ("2024-01-15", "a")]
    assert connection.execute(stored) == expected
    bad = rows("d").assign(confidence="no number")
    with pytest.raises(Exception, match="no number"):
        write(connection, table, WEEKS[0], bad, "3")
    with pytest.raises(ValueError, match="expected the columns as_of, customer_id"):
        write(connection, table, WEEKS[0], rows("d").drop(columns="persona"), "3")
    assert connection.execute(stored) == expected
    assert Builds.read(connection).stored(table.relation, WEEKS[0]) == Version("2")
    kinds = connection.columns(f"select * from {table.relation}")
    assert kinds == {column.name: column.data_type for column in table.node.columns}
    write(connection, table, WEEKS[0], rows(), "4")
    assert connection.execute(stored) == expected[1:]


def test_rows_in_files_are_stored_like_a_frame(
    connection: Connection, tables: list[AnyTable], tmp_path: Path
) -> None:
    table = tables[1]
    stored = f"select * from {table.relation} order by customer_id"
    write(connection, table, WEEKS[0], rows("a", "b", "c"), "1")
    expected = connection.frame(stored)
    types = {name: kind for name, kind in table.node.types.items() if name != "as_of"}
    buffer = ParquetBuffer(types, tmp_path)
    buffer.add(rows("c"))
    buffer.add(rows("b", "a"))
    write(connection, table, WEEKS[0], buffer, "2")
    pd.testing.assert_frame_equal(connection.frame(stored), expected)
    assert Builds.read(connection).stored(table.relation, WEEKS[0]) == Version("2")


def test_scores_are_stale_if_inputs_or_the_newest_model_change(
    connection: Connection, project: Project, tables: list[AnyTable]
) -> None:
    model = tables[0]
    for key in WEEKS:
        for relation in READS:
            build(connection, relation, key)

    def stale() -> list[str]:
        return stale_scores(project, tables, Builds.read(connection), WEEKS)

    def score() -> None:
        for table in tables[1:]:
            for key in WEEKS[1:]:
                up_to_date(connection, project, table, key)

    assert stale() == []  # nothing is trained yet, so nothing can be scored
    up_to_date(connection, project, model, WEEKS[1])
    assert stale() == WEEKS[1:]
    score()
    assert stale() == []
    build(connection, READS[0], WEEKS[2], "late data")
    assert stale() == [WEEKS[2]]
    score()
    up_to_date(connection, project, model, WEEKS[3])
    assert stale() == [WEEKS[3]]


def test_a_table_without_a_model_is_due_once_any_model_exists(
    connection: Connection, project: Project, tables: list[AnyTable]
) -> None:
    model, plain = tables[0], plain_table(project, "marts.similar_products")
    for relation in READS:
        build(connection, relation, WEEKS[1])

    def stale() -> list[str]:
        return stale_scores(project, [*tables, plain], Builds.read(connection), WEEKS[1:2])

    up_to_date(connection, project, plain, WEEKS[1])
    assert stale() == []
    up_to_date(connection, project, model, WEEKS[1])
    for table in tables[1:]:
        up_to_date(connection, project, table, WEEKS[1])
    assert stale() == []
    build(connection, plain.relation, WEEKS[1], "older code")
    assert stale() == WEEKS[1:2]


def test_a_training_is_stale_if_the_previous_one_is(
    connection: Connection, project: Project, tables: list[AnyTable]
) -> None:
    model = tables[0]
    for key in WEEKS:
        for relation in READS:
            build(connection, relation, key)
        up_to_date(connection, project, model, key)
    assert stale_trainings(project, model, Builds.read(connection), WEEKS) == []
    build(connection, READS[1], WEEKS[2], "late data")
    assert stale_trainings(project, model, Builds.read(connection), WEEKS) == WEEKS[2:]


def test_training_snapshots_are_quarterly(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(train_count=2)
    keys = [day.date().isoformat() for day in pd.date_range("2024-01-01", "2024-12-30", freq="W-MON")]
    chosen = training_keys(keys, settings)
    assert (pd.Timestamp(chosen[1]) - pd.Timestamp(chosen[0])).days == 91
    assert set(training_keys(keys[10:], settings)) == set(chosen)  # for any start
    assert training_keys(keys[:1], settings) == keys[:1]  # the newest one of a young shop
    assert training_keys([], settings) == training_keys(keys, settings_for(train_count=0)) == []


def test_earlier_snapshots_and_settings_are_part_of_the_version(
    connection: Connection, project: Project
) -> None:
    def table(chosen: object) -> AnyTable:
        return plain_table(project, "marts.personas", chosen, weeks_back=[1, 3])

    build(connection, READS[0], WEEKS[3])
    expected = {}
    for step, key in enumerate((None, WEEKS[1], WEEKS[2], WEEKS[0])):
        if key:
            build(connection, READS[0], key)
        expected[step] = table(1).expected(project, Builds.read(connection), WEEKS[3])
    assert table(1).earlier_keys(WEEKS[3]) == [WEEKS[0], WEEKS[2]]
    assert expected[0] == expected[1]  # two weeks back is not read
    assert len({version.hash for version in expected.values()}) == 3
    assert table(2).expected(project, Builds.read(connection), WEEKS[3]) != expected[3]


def test_additional_rows_are_replaced_only_for_their_model_and_snapshot(
    connection: Connection, project: Project, tables: list[AnyTable]
) -> None:
    def train(key: str, owner: str, value: float) -> None:
        partition = PartitionContext(key, as_of_of_key(key, None), None, Version("1"), True)
        metrics = pd.DataFrame(
            {"candidate": ["a"], "metric": ["auc"], "value": [value], "low": [None], "high": [None]}
        )
        side = SideRows(project.sources["models.candidate_metrics"], owner, metrics)
        output = TableOutput(rows("anna"), sides=[side])
        write_output(connection, tables[1].node, partition, output, "a run")

    train(WEEKS[0], "models.x", 0.1)
    train(WEEKS[1], "models.x", 0.2)
    train(WEEKS[0], "models.y", 0.3)
    train(WEEKS[0], "models.x", 0.4)
    found = connection.execute(
        "select model, as_of::date::varchar, value from models.candidate_metrics order by all"
    )
    assert found == [
        ("models.x", "2024-01-08", 0.4),
        ("models.x", "2024-01-15", 0.2),
        ("models.y", "2024-01-08", 0.3),
    ]


def test_a_table_must_be_documented(project: Project) -> None:
    with pytest.raises(ProjectError, match="unknown model, seed or source 'marts"):
        plain_table(project, "marts.unknown")
    with pytest.raises(ProjectError, match="requires `partitions: snapshot`"):
        plain_table(project, "raw.customers")


@pytest.mark.slow
def test_a_whole_run_trains_scores_and_then_has_nothing_to_do(
    settings_for: Callable[..., Settings], write_inbox: Callable[..., Path]
) -> None:
    settings = settings_for(end_date="2024-01-15", train_count=1)
    write_inbox(small_shop_events(orders=60, days=14))
    assert [run.job for run in run_shop(settings, lambda *_: lambda *_: None).runs] == [
        "land",
        "daily",
        "snapshots",
        "models",
        "publish",
        "scores",
    ]
    with warehouse_of(settings).connect("a test") as connection:
        model = connection.frame("select * from models.persona_model")
        scored = connection.scalar("select count(*) from marts.personas where as_of = '2024-01-15'")
        buyers = connection.scalar(
            "select count(*) from core.customer_features where as_of = '2024-01-15' and orders > 0"
        )
        trained = connection.frame("select said, model_version from models.churn_model")
        graded = connection.scalar("select count(value) from marts.model_scorecard")
    assert (
        "customers ordered before" in trained["said"][0]
        and "an evaluation needs 100" in trained["said"][0]
        and trained["model_version"].isna().all()
    )
    assert graded == 0
    assert len(model) == 1 and model["model_version"][0] == "1"
    assert scored == buyers == model["customers"][0] > 0
    assert [run.job for run in run_shop(settings, lambda *_: lambda *_: None).runs] == ["land"]
