"""Jobs by the tags of assets, backfills, freshness, and the sensors that run by default."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.ingest.sensors import LAND
from clm_dagster.platform.executors import owned_executor
from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.settings import Settings


@pytest.fixture
def live(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for(end_date=None)


def selected(definitions: dg.Definitions, job: str) -> set[str]:
    return {
        key.to_user_string() for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys
    }


def test_assets_of_each_job(definitions: dg.Definitions) -> None:
    everything = {key.to_user_string() for key in definitions.resolve_asset_graph().materializable_asset_keys}
    # Nothing leaves the shop by one of these jobs.
    everything = {key for key in everything if not key.startswith("exports/")}
    weekly = {
        "core/shared_identifiers",
        "core/customer_identities",
        "marts/cohort_retention",
        "core/customer_categories",
        "core/customer_features",
        "core/margin_rates",
        "core/rfm_scores",
        "core/rfm_cutoffs",
        "core/rfm_states",
        "marts/rfm_segments",
        "core/churn_labels",
        "core/demand_keys",
        "core/value_labels",
        "core/repurchase_survival",
        "core/lifecycle_cutoffs",
        "core/stage_states",
        "marts/lifecycle_stages",
        "marts/stage_transitions",
        "marts/segment_moves",
        "marts/segment_turnover",
    }
    models = {
        "models/persona_model",
        "models/churn_model",
        "models/value_model",
        "models/demand_model",
        "models/recommender_model",
        "models/uplift_model",
    }
    scores = {
        "marts/personas",
        "marts/persona_profiles",
        "marts/churn_scores",
        "marts/feature_drift",
        "marts/model_scorecard",
        "marts/churn_scorecard",
        "marts/demand_scorecard",
        "marts/persona_scorecard",
        "marts/recommendation_scorecard",
        "marts/value_scorecard",
        "marts/churn_calibration_by_age",
        "marts/churn_contest",
        "marts/churn_fairness",
        "marts/churn_turnover",
        "marts/customer_value",
        "marts/value_expectations",
        "marts/value_by_segment",
        "marts/value_contest",
        "marts/value_deciles",
        "marts/value_tracking",
        "marts/demand_calendar",
        "marts/demand_contest",
        "marts/demand_forecasts",
        "marts/forecast_accuracy",
        "marts/reorder_points",
        "marts/recommendations",
        "marts/popular_products",
        "marts/similar_products",
        "marts/product_affinity",
        "marts/basket_rules",
        "marts/recommender_contest",
        "marts/recommender_by_segment",
        "core/campaign_contacts",
        "core/campaign_outcomes",
        "marts/actions_to_send",
        "marts/campaign_attribution",
        "marts/campaign_engagement",
        "marts/campaign_results",
        "marts/custom_segments",
        "marts/customer_profiles",
        "marts/next_best_actions",
        "marts/report_facts",
        "marts/uplift_scores",
    }
    published = {"published/warehouse", "report/page"}
    assert selected(definitions, MODELS) == models
    assert selected(definitions, SCORES) == scores | published
    assert selected(definitions, LAND) == {"landing/files"}
    assert selected(definitions, DAILY) == everything - weekly - models - scores - {"marts/campaign_plans"}
    staging = {key for key in everything if key.startswith("staging/")}  # seeds among them
    assert selected(definitions, SNAPSHOTS) == weekly | staging | published
    assert selected(definitions, PUBLISH) == published


@pytest.mark.parametrize("job", [DAILY, SNAPSHOTS, SCORES])
def test_publication_comes_after_all_tables_of_a_job(definitions: dg.Definitions, job: str) -> None:
    """The asset depends on the last tables only, so that few edges lead to it."""
    graph = definitions.resolve_asset_graph()
    keys = set(definitions.resolve_job_def(job).asset_layer.executable_asset_keys)
    published = dg.AssetKey(["published", "warehouse"])
    before: set[dg.AssetKey] = set()
    waiting = [published]
    while waiting:
        found = graph.get(waiting.pop()).parent_keys & keys - before
        before |= found
        waiting += found
    read = {key for key in keys if key.path[0] in ("core", "marts")}
    assert read and read <= before
    assert len(graph.get(published).parent_keys) < 50


def test_every_asset_is_in_the_job_of_its_tag(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        tags = graph.get(key).tags
        if "job" in tags:
            assert key.to_user_string() in selected(definitions, tags["job"]), key
        else:
            assert tags["materialized"] == "python", key


def test_every_backfill_is_one_run(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    partitioned = [graph.get(k) for k in graph.materializable_asset_keys if graph.get(k).is_partitioned]
    assert len(partitioned) == 46
    assert {node.backfill_policy for node in partitioned} == {dg.BackfillPolicy.single_run()}


def test_steps_share_a_process(definitions: dg.Definitions) -> None:
    assert definitions.resolve_job_def(DAILY).executor_def is owned_executor


@pytest.mark.parametrize("job", [LAND, DAILY, SNAPSHOTS, PUBLISH])
def test_every_job_has_a_description(job: str, definitions: dg.Definitions) -> None:
    assert definitions.resolve_job_def(job).description


def test_nothing_runs_by_default_without_a_channel_for_alerts(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    running = {s.name for s in repository.sensor_defs if s.default_status == dg.DefaultSensorStatus.RUNNING}
    assert running == set()
    assert {s.name for s in repository.schedule_defs} == {
        "daily_schedule",
        "snapshot_schedule",
        "train_schedule",
        "score_schedule",
    }
    assert all(s.default_status == dg.DefaultScheduleStatus.STOPPED for s in repository.schedule_defs)


def policies(settings: Settings) -> dict[str, Any]:
    graph = build_definitions(settings).resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    return {key.to_user_string(): graph.get(key).freshness_policy for key in keys}


def test_only_a_live_shop_has_freshness_policies(live: Settings, settings: Settings) -> None:
    assert set(policies(settings).values()) == {None}
    found = policies(live)
    for key in (
        "landing/files",
        "raw/events",
        "core/customer_daily",
        "core/product_daily",
        "core/totals_daily",
    ):
        assert found[key].fail_window.to_timedelta() == timedelta(days=2), key
    for key in ("core/customer_features", "core/rfm_scores", "marts/rfm_segments"):
        assert found[key].fail_window.to_timedelta() == timedelta(days=9), key
    # Seeds have no freshness policy.
    assert found["staging/rfm_segment_map"] is None
