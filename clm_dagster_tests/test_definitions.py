"""One code location, the same for all of Dagster's commands."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.settings import PROJECT_DIR, Settings, load_settings

QUERY = """
{ workspaceOrError { __typename ... on Workspace { locationEntries { name
    locationOrLoadError { __typename ... on PythonError { message } } } } }
  repositoriesOrError { __typename ... on RepositoryConnection { nodes {
    location { name } assetNodes { assetKey { path } } schedules { name } sensors { name } } } } }
"""


def keys(settings: Settings) -> list[str]:
    graph = build_definitions(settings).resolve_asset_graph()
    return sorted(key.to_user_string() for key in graph.get_all_asset_keys())


# ------------------------------------------------------------------------------------- fast


def test_definitions_can_be_loaded(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_the_list_of_assets(settings: Settings) -> None:
    assert keys(settings) == [
        "core/campaign_contacts",
        "core/campaign_outcomes",
        "core/channel_daily",
        "core/churn_labels",
        "core/customer_categories",
        "core/customer_daily",
        "core/customer_features",
        "core/customer_identities",
        "core/customer_products",
        "core/demand_daily",
        "core/demand_keys",
        "core/demand_promotions",
        "core/demand_series",
        "core/identifiers_daily",
        "core/lifecycle_cutoffs",
        "core/margin_rates",
        "core/order_allocations",
        "core/order_continuations",
        "core/order_days",
        "core/orders",
        "core/product_daily",
        "core/repurchase_survival",
        "core/rfm_cutoffs",
        "core/rfm_scores",
        "core/rfm_states",
        "core/shared_identifiers",
        "core/stage_states",
        "core/totals_daily",
        "core/value_labels",
        "exports/actions_csv",
        "exports/actions_google",
        "exports/actions_klaviyo",
        "exports/actions_mailchimp",
        "exports/actions_meta",
        "exports/actions_parquet",
        "exports/actions_webhook",
        "landing/files",
        "marts/actions_to_send",
        "marts/basket_rules",
        "marts/campaign_attribution",
        "marts/campaign_engagement",
        "marts/campaign_plans",
        "marts/campaign_results",
        "marts/churn_calibration_by_age",
        "marts/churn_contest",
        "marts/churn_fairness",
        "marts/churn_scorecard",
        "marts/churn_scores",
        "marts/churn_turnover",
        "marts/cohort_retention",
        "marts/custom_segments",
        "marts/customer_profiles",
        "marts/customer_value",
        "marts/demand_calendar",
        "marts/demand_contest",
        "marts/demand_forecasts",
        "marts/demand_scorecard",
        "marts/feature_drift",
        "marts/forecast_accuracy",
        "marts/funnel_daily",
        "marts/lifecycle_stages",
        "marts/model_scorecard",
        "marts/next_best_actions",
        "marts/persona_profiles",
        "marts/persona_scorecard",
        "marts/personas",
        "marts/popular_products",
        "marts/product_affinity",
        "marts/recommendation_scorecard",
        "marts/recommendations",
        "marts/recommender_by_segment",
        "marts/recommender_contest",
        "marts/reorder_points",
        "marts/report_facts",
        "marts/revenue_by_order_date",
        "marts/rfm_segments",
        "marts/segment_moves",
        "marts/segment_turnover",
        "marts/shop_daily",
        "marts/similar_products",
        "marts/stage_transitions",
        "marts/uplift_scores",
        "marts/value_by_segment",
        "marts/value_contest",
        "marts/value_deciles",
        "marts/value_expectations",
        "marts/value_scorecard",
        "marts/value_tracking",
        "models/candidate_metrics",
        "models/churn_model",
        "models/demand_model",
        "models/group_metrics",
        "models/persona_model",
        "models/recommender_model",
        "models/serving",
        "models/uplift_model",
        "models/value_model",
        "published/warehouse",
        "raw/customers",
        "raw/deliveries",
        "raw/events",
        "raw/exchange_rates",
        "raw/identities",
        "raw/products",
        "raw/promotions",
        "raw/rejects",
        "raw/reviews",
        "raw/touches",
        "report/page",
        "staging/campaign_arms",
        "staging/online_retail_ii_product_codes",
        "staging/playbook",
        "staging/rfm_segment_map",
        "staging/rfm_segment_names",
        "staging/risk_bands",
        "staging/stage_map",
        "staging/stg_catalogue",
        "staging/stg_customers",
        "staging/stg_events",
        "staging/stg_exchange_rates",
        "staging/stg_identities",
        "staging/stg_order_lines",
        "staging/stg_products",
        "staging/stg_promotions",
        "staging/stg_reviews",
        "staging/stg_touches",
    ]


def test_every_source_has_the_same_assets(settings: Settings, tmp_path: Path) -> None:
    other = load_settings(source="online_retail_ii", data_dir=tmp_path)
    assert keys(other) == keys(settings)


def test_all_assets_derive_from_the_landing_area_or_a_seed(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    roots = {key.to_user_string() for key in graph.root_materializable_asset_keys}
    seeds = {
        "staging/campaign_arms",
        "staging/online_retail_ii_product_codes",
        "staging/playbook",
        "staging/rfm_segment_map",
        "staging/rfm_segment_names",
        "staging/risk_bands",
        "staging/stage_map",
    }
    assert roots == {"landing/files"} | seeds
    read = graph.get(dg.AssetKey(["published", "warehouse"])).parent_keys
    assert {key.path[0] for key in read} == {"core", "marts"}


def test_loading_definitions_writes_nothing(settings: Settings) -> None:
    build_definitions(settings)
    assert not settings.data_dir.exists()


# ------------------------------------------------------------------------------------- slow


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLM_", "DAGSTER_HOME"))}
    (tmp_path / "dagster").mkdir()
    return kept | {
        "CLM_DATA_DIR": str(tmp_path / "data"),
        "CLM_SOURCE": "generic",
        "CLM_START_DATE": "2024-01-01",
        "CLM_END_DATE": "2024-01-22",
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "COLUMNS": "200",
    }


def command(text: str) -> list[str]:
    name, *arguments = text.split()
    return [str(Path(sys.executable).with_name(name)), *arguments]


def run(text: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command(text), cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_dagsters_check_commands_pass(environment: dict[str, str]) -> None:
    run("dagster definitions validate -w workspace.yaml", environment)
    assert "valid" in run("dg check defs", environment)


@pytest.mark.slow
def test_dg_lists_the_same_assets(environment: dict[str, str], settings: Settings) -> None:
    output = run("dg list defs --json", environment)
    listed = json.loads(output[output.index("{") :])
    assert sorted(asset["asset_key"] for asset in listed["assets"]) == keys(settings)
    assert {job["name"] for job in listed["jobs"]} >= {"land", "daily", "snapshots", "publish"}


@pytest.mark.slow
def test_dg_launches_one_asset(environment: dict[str, str]) -> None:
    run("dg launch --assets staging/rfm_segment_map", environment)
    with duckdb.connect(str(Path(environment["CLM_DATA_DIR"]) / "clm.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) from staging.rfm_segment_map").fetchall() == [(25,)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(text: str, environment: dict[str, str], log: Path) -> Iterator[int]:
    """A server on a free port, up; it and its children are gone afterwards."""
    port = free_port()
    with log.open("w") as output:
        process = subprocess.Popen(
            command(f"{text} --port {port}"),
            cwd=PROJECT_DIR,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        for _ in range(360):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail(log.read_text())
        yield port
    finally:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with suppress(ProcessLookupError):  # where all of them have ended by themselves
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["dagster dev -w workspace.yaml", "dagster dev", "dg dev"])
def test_the_ui_loads_the_same_code_location(
    text: str, environment: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    with serving(text, environment, tmp_path / "server.log") as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": QUERY}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)["data"]
    (entry,) = answer["workspaceOrError"]["locationEntries"]
    assert (entry["name"], entry["locationOrLoadError"]["__typename"]) == (
        "clm_dagster",
        "RepositoryLocation",
    ), entry
    (repository,) = answer["repositoriesOrError"]["nodes"]
    assert repository["location"]["name"] == "clm_dagster"
    assert sorted("/".join(node["assetKey"]["path"]) for node in repository["assetNodes"]) == keys(settings)
    assert {schedule["name"] for schedule in repository["schedules"]} == {
        "daily_schedule",
        "score_schedule",
        "snapshot_schedule",
        "train_schedule",
    }
    assert {sensor["name"] for sensor in repository["sensors"]} >= {
        "new_files",
        "changed_days",
        "changed_snapshots",
        "alerts",
    }
    assert not re.search("Traceback", (tmp_path / "server.log").read_text())
