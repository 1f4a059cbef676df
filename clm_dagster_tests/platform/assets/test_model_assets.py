"""The real project as Dagster assets: documentation, lineage, checks, events of a run."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from clm_dagster.platform.assets.extras import Extras, sql_assets
from clm_dagster.platform.assets.model_assets import Additions, Finding, model_asset
from clm_dagster.platform.assets.node_assets import keys_of_run
from clm_dagster.platform.dbt_project.building import Batch, Slice, Snapshot, compile_model
from clm_dagster.platform.dbt_project.lineage import Lineage, column_lineage
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project, load_project
from clm_dagster.platform.warehouse import Connection, Warehouse
from clm_dagster.settings import Settings
from clm_dagster_tests.sql.fixtures import DBT_PROJECT

Folder = Callable[[dict[str, str]], Path]
MODELS = [
    "stg_events",
    "stg_order_lines",
    "stg_customers",
    "stg_exchange_rates",
    "stg_products",
    "stg_catalogue",
    "stg_promotions",
    "stg_touches",
    "stg_reviews",
    "order_days",
    "order_continuations",
    "order_allocations",
    "orders",
    "revenue_by_order_date",
    "customer_daily",
    "product_daily",
    "totals_daily",
    "identifiers_daily",
    "shared_identifiers",
    "customer_identities",
    "stg_identities",
    "customer_products",
    "customer_features",
    "rfm_scores",
    "rfm_cutoffs",
    "rfm_states",
    "shop_daily",
    "rfm_segments",
    "repurchase_survival",
    "lifecycle_cutoffs",
    "stage_states",
    "lifecycle_stages",
    "stage_transitions",
    "segment_moves",
    "segment_turnover",
    "cohort_retention",
    "channel_daily",
    "funnel_daily",
    "customer_categories",
    "churn_labels",
    "churn_calibration_by_age",
    "churn_contest",
    "churn_fairness",
    "churn_turnover",
    "model_scorecard",
    "churn_scorecard",
    "demand_scorecard",
    "persona_scorecard",
    "recommendation_scorecard",
    "value_scorecard",
    "value_labels",
    "value_by_segment",
    "value_contest",
    "value_deciles",
    "value_tracking",
    "demand_daily",
    "demand_keys",
    "demand_series",
    "demand_promotions",
    "demand_contest",
    "recommender_contest",
    "recommender_by_segment",
]


def test_the_list_of_models(project: Project) -> None:
    assert sorted(project.models) == sorted(MODELS)


# -------------------------------------------------------------------------------------- docs


@pytest.mark.parametrize(
    "name",
    [
        *MODELS,
        "risk_bands",
        "rfm_segment_map",
        "rfm_segment_names",
        "stage_map",
        "online_retail_ii_product_codes",
    ],
)
def test_documented_columns_match_the_tables(name: str, project: Project, built: Connection) -> None:
    node = project.nodes[name]
    stored = built.columns(f"select * from {node.relation}")
    assert {column.name: column.data_type for column in node.columns} == stored
    assert [column.name for column in node.columns] == list(stored)
    assert all(column.description for column in node.columns)


def test_every_asset_has_a_description_and_an_owner(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        name = key.to_user_string()
        assert node.description, name
        assert node.group_name and node.group_name != "default", name
        assert node.owners, name
        assert node.kinds, name
        if key.path[0] in ("staging", "core", "marts"):
            assert node.code_version, name
            schema = node.metadata["dagster/column_schema"]
            assert schema.columns, name
            assert all(column.description for column in schema.columns), name
            assert node.metadata["dagster/table_name"] == ".".join(key.path)


def test_metadata_contain_the_exposures(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key, use in (
        ("marts/rfm_segments", "RFM segments"),
        ("staging/risk_bands", "Customers at risk of churn"),
    ):
        text = graph.get(dg.AssetKey(key.split("/"))).metadata["used_for"].value
        assert text.startswith(f"- **{use}** (")
    assert "used_for" not in graph.get(dg.AssetKey(["core", "rfm_scores"])).metadata


def test_the_schema_contains_constraints_and_personal_data(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def schema(name: str) -> dg.TableSchema:
        found = graph.get(dg.AssetKey(name.split("/"))).metadata["dagster/column_schema"]
        assert isinstance(found, dg.TableSchema)
        return found

    customers = {column.name: column for column in schema("staging/stg_customers").columns}
    assert customers["customer_id"].constraints == dg.TableColumnConstraints(nullable=False, unique=True)
    assert customers["customer_id"].tags == {"pii": "pseudonymous"}
    assert customers["birth_year"].tags == {"pii": "personal"}
    scores = schema("core/rfm_scores")
    assert scores.constraints.other == ["one row per (as_of, customer_id)"]
    constraints = {column.name: column.constraints.other for column in scores.columns}
    assert constraints["r_score"] == ["one of 1, 2, 3, 4, 5"]
    assert constraints["segment"] == ["in rfm_segment_names.segment"]


def test_dependencies_follow_refs_and_data_tests(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    scores = graph.get(dg.AssetKey(["core", "rfm_scores"]))
    assert {key.to_user_string() for key in scores.parent_keys} == {
        "core/customer_features",
        "staging/rfm_segment_map",
        "staging/rfm_segment_names",
    }
    # A snapshot uses every day before its as_of, and no later one.
    features = definitions.resolve_asset_graph().get(dg.AssetKey(["core", "customer_features"]))
    mapping = features.partition_mappings[dg.AssetKey(["core", "customer_daily"])]
    daily = graph.get(dg.AssetKey(["core", "customer_daily"])).partitions_def
    assert features.partitions_def is not None and daily is not None
    upstream = mapping.get_upstream_mapped_partitions_result_for_partitions(
        features.partitions_def.subset_with_partition_keys(["2024-01-08"]),
        features.partitions_def,
        daily,
    ).partitions_subset.get_partition_keys()
    assert (min(upstream), max(upstream)) == ("2024-01-01", "2024-01-14")


# ----------------------------------------------------------------------------------- lineage


def lineage_of(project: Project, model: Model, cache: Path) -> Lineage:
    pieces: dict[str | None, Slice] = {
        DAILY: Batch(date(2024, 1, 1), date(2024, 1, 2)),
        SNAPSHOT: Snapshot(pd.Timestamp("2024-01-08").to_pydatetime()),
        None: None,
    }
    schema = {
        project.nodes[ref].relation: {c.name: str(c.data_type) for c in project.nodes[ref].columns}
        for ref in model.refs
    }
    return column_lineage(compile_model(project, model, pieces[model.window]), schema, cache)


def test_lineage_of_every_column_refers_to_existing_columns(project: Project, tmp_path: Path) -> None:
    for model in project.models.values():
        found = lineage_of(project, model, tmp_path)
        columns = {column.name for column in model.columns}
        known = {
            (node.relation, column.name)
            for ref in model.refs
            for node in [project.nodes[ref]]
            for column in node.columns
        }
        assert set(found) <= columns, model.name
        assert {source for sources in found.values() for source in sources} <= known, model.name
        # as_of, a setting or a name is a constant, and `count(*)` comes from no column.
        constant = {
            "as_of",
            "active_quantile",
            "lost_quantile",
            "state_kind",
            "horizon_days",
            "metric",
            "model",
            "level",
            "measure",
            "score",
            "kind",
        }
        counts = {"orders", "order_days", "new_buyers", "customers", "labelled", "baseline"}
        missing = columns - set(found) - constant - counts
        assert not missing, (model.name, missing)


@pytest.mark.parametrize(
    ("model", "column", "sources"),
    [
        ("rfm_scores", "monetary", ["core.customer_features.net_revenue"]),
        ("rfm_scores", "frequency", ["core.customer_features.order_days"]),
        (
            "rfm_scores",
            "segment",
            [
                "core.customer_features.order_days",
                "core.customer_features.recency_days",
                "staging.rfm_segment_map.segment",
            ],
        ),
        ("rfm_segments", "previous_segment", ["core.rfm_states.segment"]),
        (
            "customer_daily",
            "net_revenue",
            [
                "core.order_allocations.discounts",
                "core.order_allocations.refunds",
                "staging.stg_order_lines.discounts",
                "staging.stg_order_lines.gross_revenue",
                "staging.stg_order_lines.refunds",
                "staging.stg_order_lines.returned_revenue",
            ],
        ),
        ("customer_features", "distinct_products", ["core.customer_products.first_purchase_date"]),
        (
            "customer_features",
            "country",
            [
                "core.customer_daily.activity_date",
                "core.customer_daily.country",
                "staging.stg_customers.country",
                "staging.stg_customers.customer_id",
                "staging.stg_customers.signed_up_at",
            ],
        ),
        (
            "stg_order_lines",
            "gross_revenue",
            [
                "staging.stg_events.amount",
                "staging.stg_events.discount_amount",
                "staging.stg_events.event_type",
            ],
        ),
        ("stg_events", "amount", ["raw.events.exchange_rate", "raw.events.line_amount"]),
    ],
)
def test_lineage_of_a_column(
    model: str, column: str, sources: list[str], project: Project, tmp_path: Path
) -> None:
    found = lineage_of(project, project.model(model), tmp_path)[column]
    assert [f"{relation}.{name}" for relation, name in found] == sources


def test_lineage_is_cached_by_content(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = lineage_of(project, project.model("stg_events"), tmp_path)
    monkeypatch.setattr(
        "clm_dagster.platform.dbt_project.lineage._follow", lambda sql, schema: pytest.fail("not kept")
    )
    assert lineage_of(project, project.model("stg_events"), tmp_path) == first


# --------------------------------------------------------------------------------- materializing

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
