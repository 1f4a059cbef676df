"""The real project as Dagster assets: its list of models, documentation, dependencies."""

import dagster as dg
import pytest

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

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
    "actions_to_send",
    "campaign_attribution",
    "campaign_contacts",
    "campaign_engagement",
    "campaign_outcomes",
    "customer_profiles",
    "margin_rates",
]


def test_the_list_of_models(project: Project) -> None:
    assert sorted(project.models) == sorted(MODELS)


@pytest.mark.parametrize(
    "name",
    [
        *MODELS,
        "risk_bands",
        "rfm_segment_map",
        "rfm_segment_names",
        "stage_map",
        "online_retail_ii_product_codes",
        "playbook",
        "campaign_arms",
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
