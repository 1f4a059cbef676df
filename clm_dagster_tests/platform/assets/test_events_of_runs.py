"""What an asset of a model does in a run: events with metadata, checks that warn or block, partitions of a range."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.platform.assets.extras import Extras, sql_assets
from clm_dagster.platform.assets.model_assets import Additions, Finding, model_asset
from clm_dagster.platform.assets.node_assets import keys_of_run
from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings
from clm_dagster_tests.sql.fixtures import DBT_PROJECT

Folder = Callable[[dict[str, str]], Path]


CHECKED = {
    "dbt_project.yml": DBT_PROJECT,
    "models/a.sql": "{{ config(materialized='table') }} select unnest([1, 1, 2]) as k",
    "models/b.sql": "select * from {{ ref('a') }}",
    "models/c.sql": "select distinct k from {{ ref('a') }} union all select unnest([null, null]) as k",
    "models/_m.yml": """\
models:
  - name: a
    description: Numbers.
    columns:
      - name: k
        data_type: INTEGER
        data_tests:
          - not_null
          - unique: {config: {severity: SEVERITY}}
  - name: b
    description: The same numbers.
    columns:
      - name: k
        data_type: INTEGER
        data_tests:
          - not_null
          - unique: {config: {severity: warn}}
  - name: c
    description: Each number once, and nulls.
    columns:
      - {name: k, data_type: INTEGER, data_tests: [unique]}
""",
}


def few_rows(connection: Connection) -> Finding:
    """Whether there are ten rows."""
    return Finding([f"{connection.scalar('select count(*) from core.a')} rows are few", "so be careful"])


def materialize(
    files: dict[str, str],
    folder: Folder,
    settings: Settings,
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
) -> dg.ExecuteInProcessResult:
    project = load_project(folder(files))
    extras = Extras(
        charts={"core.a": lambda connection: "![a](data:,)"},
        facts={"core.a": lambda connection: {"rests_on": "numbers"}},
        checks={"core.a": {"has_enough": few_rows, "is_there": lambda connection: Finding()}},
    )
    assets = sql_assets(project, settings, extras)
    return dg.materialize(assets, instance=instance, resources={"warehouse": warehouse}, raise_on_error=False)


def test_an_event_has_rows_sql_checks_lineage_and_chart(
    folder: Folder, settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    files = CHECKED | {"models/_m.yml": CHECKED["models/_m.yml"].replace("SEVERITY", "warn")}
    result = materialize(files, folder, settings, warehouse, instance)
    assert result.success
    (event,) = result.asset_materializations_for_node("core__a")
    assert event.metadata["dagster/row_count"].value == 3
    assert "unnest([1, 1, 2])" in str(event.metadata["compiled_sql"].value)
    assert event.metadata["chart"].value == "![a](data:,)"
    assert event.metadata["rests_on"].value == "numbers"
    (b,) = result.asset_materializations_for_node("core__b")
    # A view is not counted: that would run it completely.
    assert "dagster/row_count" not in b.metadata
    assert b.metadata["compiled_sql"].value == "```sql\nselect * from core.a\n```"
    of_asset = {
        (check.asset_key.path[-1], check.check_name): check for check in result.get_asset_check_evaluations()
    }
    assert of_asset["b", "not_null_k"].passed
    assert of_asset["b", "unique_k"].metadata["failing_rows"].value == 1
    assert of_asset["c", "unique_k"].passed
    checks = {name: check for (asset, name), check in of_asset.items() if asset == "a"}
    assert checks["not_null_k"].passed
    assert (checks["unique_k"].passed, checks["unique_k"].severity) == (False, dg.AssetCheckSeverity.WARN)
    assert checks["unique_k"].metadata["failing_rows"].value == 1
    # A check of a domain reports its finding and blocks nothing.
    finding = checks["has_enough"]
    assert (finding.passed, finding.severity, finding.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert finding.description == "3 rows are few; so be careful"
    assert checks["is_there"].passed


def test_a_failed_test_of_severity_error_blocks_downstream_assets(
    folder: Folder, settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    files = CHECKED | {"models/_m.yml": CHECKED["models/_m.yml"].replace("SEVERITY", "error")}
    result = materialize(files, folder, settings, warehouse, instance)
    assert not result.success
    assert [event.asset_key for event in result.get_asset_materialization_events()] == [
        dg.AssetKey(["core", "a"])
    ]


def test_each_event_has_its_rows_and_the_last_has_the_figures(
    built_shop: tuple[Settings, Warehouse, pd.DataFrame], project: Project, tmp_path: Path
) -> None:
    settings, warehouse, _ = built_shop
    model = project.model("product_daily")
    asset = model_asset(project, model, settings, Additions(chart=lambda connection: "![a](data:,)"))
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {
            "dagster/asset_partition_range_start": "2024-01-03",
            "dagster/asset_partition_range_end": "2024-01-04",
        }
        result = dg.materialize([asset], instance=instance, resources={"warehouse": warehouse}, tags=tags)
    events = {e.partition: e for e in result.asset_materializations_for_node("core__product_daily")}
    with warehouse.connect("a test") as connection:
        counts = dict(
            connection.execute("select sales_date::varchar, count(*) from core.product_daily group by 1")
        )
    assert {key: e.metadata["dagster/partition_row_count"].value for key, e in events.items()} == {
        key: counts[key] for key in ("2024-01-03", "2024-01-04")
    }
    assert ["chart" in events[key].metadata for key in ("2024-01-03", "2024-01-04")] == [False, True]
    assert all(e.metadata["known_at"].value for e in events.values())
    # The UI shows entries in this order: the chart does not hide behind the numbers.
    assert next(iter(events["2024-01-04"].metadata)) == "chart"


@pytest.mark.parametrize("name", ["rfm_scores", "rfm_segments"])  # a table, and a view over snapshots
def test_the_event_of_a_snapshot_has_its_as_of(
    name: str, built_shop: tuple[Settings, Warehouse, pd.DataFrame], project: Project
) -> None:
    settings, warehouse, _ = built_shop
    asset = model_asset(project, project.model(name), settings, Additions())
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [asset], instance=instance, resources={"warehouse": warehouse}, partition_key="2024-01-01"
        )
    (event,) = result.asset_materializations_for_node(f"{asset.key.path[0]}__{name}")
    assert (event.partition, event.metadata["as_of"].value) == ("2024-01-01", "2024-01-08")


@pytest.mark.parametrize(
    "name", ["marts/lifecycle_stages", "marts/demand_forecasts", "models/churn_model", "marts/shop_daily"]
)
def test_the_description_links_to_the_newest_chart(name: str, definitions: dg.Definitions) -> None:
    description = definitions.resolve_asset_graph().get(dg.AssetKey(name.split("/"))).description or ""
    assert f"[Newest chart](/assets/{name}?view=events)" in description


def test_a_description_without_chart_has_no_link(definitions: dg.Definitions) -> None:
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["core", "orders"]))
    assert "chart" not in (node.description or "")


def test_an_asset_without_partitions_follows_the_range_of_its_run() -> None:
    seen: list[list[str]] = []

    @dg.asset
    def whole(context: dg.AssetExecutionContext) -> None:
        seen.append(keys_of_run(context))

    ranged = {
        "dagster/asset_partition_range_start": "2024-02-28",
        "dagster/asset_partition_range_end": "2024-03-01",
    }
    for tags in ({}, {"dagster/partition": "2024-01-05"}, ranged):
        dg.materialize([whole], tags=tags)
    assert seen == [[], ["2024-01-05"], ["2024-02-28", "2024-02-29", "2024-03-01"]]
