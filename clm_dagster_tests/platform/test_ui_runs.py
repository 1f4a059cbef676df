"""What a person does in the UI, through its GraphQL interface, on a real server, daemon and code location.

One server serves all tests of this module. They build on each other: the first one loads the shop.
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clm_dagster.platform.declarative import SENSOR
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.runs import open_instance
from clm_dagster.settings import Settings
from clm_dagster.shop_run import plan_shop
from clm_dagster_tests.shops import small_shop_events, write_shop
from clm_dagster_tests.test_definitions import serving

pytestmark = pytest.mark.slow

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "clm_dagster"}
RUNS = """query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
  runId status jobName tags { key value } assetSelection { path } parentRunId
  stepStats { stepKey status } } } } }"""
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  __typename ... on PartitionBackfill { status error { message } } } }"""
LAUNCH = """mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
REEXECUTE = """mutation($params: ReexecutionParams!) { launchPipelineReexecution(reexecutionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
START = """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on Sensor { id sensorState { id status } } } }"""
STOP = "mutation($id: String) { stopSensor(id: $id) { __typename } }"
TICKS = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
  sensorType sensorState { ticks { status skipReason runIds error { message } } } } } }"""
EVALUATIONS = """query($key: AssetKeyInput) {
  assetConditionEvaluationRecordsOrError(assetKey: $key, limit: 50) {
    __typename ... on AssetConditionEvaluationRecords { records { numRequested runIds
      evaluationNodes { userLabel expandedLabel } } } } }"""


@dataclass
class UI:
    """The shop, and the server of its UI."""

    settings: Settings
    port: int
    log: Path

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The answer of the server, without its one key."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        assert isinstance(found, dict)
        return found

    def runs(self, **filters: object) -> list[dict[str, Any]]:
        """Runs with these properties, newest first."""
        found = self.ask(RUNS, filter=filters)["results"]
        assert isinstance(found, list)
        return found

    def wait(self, what: str, done: Callable[[], Any]) -> Any:
        """What `done` returns, as soon as it is true."""
        for _ in range(300):
            found = done()
            if found:
                return found
            time.sleep(1)
        pytest.fail(f"{what} did not happen: {self.runs()}\n{self.log.read_text()[-5000:]}")

    def finished(self, run_id: str) -> dict[str, Any]:
        """A run, as soon as it has ended."""

        def ended() -> dict[str, Any] | None:
            (run,) = self.runs(runIds=[run_id])
            return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

        found: dict[str, Any] = self.wait(f"the end of {run_id}", ended)
        return found

    def materialize(self, assets: Sequence[str], partition: str | None = None) -> dict[str, Any]:
        """The run of the dialog `Materialize` for assets, and one partition if it asks for one."""
        selector = REPOSITORY | {"pipelineName": "__ASSET_JOB", "assetSelection": paths(assets)}
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        params = {
            "selector": selector | {"assetCheckSelection": None},
            "mode": "default",
            "runConfigData": "{}",
            "executionMetadata": {"tags": tags},
        }
        return self.launched(self.ask(LAUNCH, params=params))

    def launched(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The run that an answer names, at its end."""
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return self.finished(answer["run"]["runId"])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the warehouse."""
        with warehouse_of(self.settings).connect("a test") as connection:
            return connection.execute(sql)

    def built_by(self, relation: str) -> dict[str, str]:
        """The run that built each partition of a relation, by the build ledger."""
        return dict(self.rows(f"select partition_key, run_id from raw.builds where relation = '{relation}'"))


def paths(assets: Sequence[str]) -> list[dict[str, list[str]]]:
    return [{"path": asset.split("/")} for asset in assets]


def failed(run: Mapping[str, Any]) -> set[str]:
    return {step["stepKey"] for step in run["stepStats"] if step["status"] == "FAILURE"}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    root = tmp_path_factory.mktemp("ui")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "unset")
        settings = write_shop(root, small_shop_events(20, 60, days=21), "2024-01-22")
        with open_instance(settings):
            home = os.environ["DAGSTER_HOME"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CLM_")}
        environment = kept | {
            "DAGSTER_HOME": home,
            "CLM_SOURCE": settings.source,
            "CLM_INPUT": settings.input,
            "CLM_DATA_DIR": str(settings.data_dir),
            "CLM_START_DATE": str(settings.start_date),
            "CLM_END_DATE": str(settings.end_date),
            "CLM_TRAIN_COUNT": "0",
            "CLM_SCORE_COUNT": "0",
            "CLM_AUTOMATION": "declarative",
            "CLM_SENSOR_SECONDS": "30",
        }
        settings = settings.replace(automation="declarative", score_count=0)
        with serving("dagster dev -w workspace.yaml", environment, root / "server.log") as port:
            yield UI(settings, port, root / "server.log")


def test_declarative_automation_loads_a_new_shop_and_shows_why(ui: UI) -> None:
    # The first run of a shop lands its files.
    landed = ui.launched(
        ui.ask(
            LAUNCH,
            params={
                "selector": REPOSITORY | {"pipelineName": "land"},
                "mode": "default",
                "runConfigData": "{}",
                "executionMetadata": {"tags": []},
            },
        )
    )
    assert landed["status"] == "SUCCESS"
    selector = REPOSITORY | {"sensorName": SENSOR}
    started = ui.ask(START, selector=selector)
    assert started["sensorState"]["status"] == "RUNNING", started

    def requested() -> list[dict[str, Any]]:
        return ui.runs(tags=[{"key": "dagster/sensor_name", "value": SENSOR}])

    def up_to_date() -> bool:
        runs = requested()
        return len(runs) >= 2 and all(run["status"] == "SUCCESS" for run in runs) and not due(ui)

    ui.wait("an up-to-date shop", up_to_date)
    jobs = [{tag["key"]: tag["value"] for tag in run["tags"]}["clm/job"] for run in reversed(requested())]
    assert jobs[0] == "daily" and "snapshots" in jobs and set(jobs) <= {"daily", "snapshots", "scores"}

    def settled() -> list[dict[str, Any]]:
        ticks = ui.ask(TICKS, selector=selector)["sensorState"]["ticks"]
        return (
            ticks if ticks[0]["status"] == "SKIPPED" and "up to date" in str(ticks[0]["skipReason"]) else []
        )

    ticks = ui.wait("a tick without work", settled)
    assert not [tick["error"] for tick in ticks if tick["error"]]
    assert sorted(run for tick in ticks for run in tick["runIds"]) == sorted(r["runId"] for r in requested())
    shown = ui.ask(EVALUATIONS, key={"path": ["core", "customer_features"]})["records"]
    (record,) = [record for record in shown if record["numRequested"]]
    assert record["numRequested"] == 3 and len(record["runIds"]) == 1
    assert record["evaluationNodes"][0]["userLabel"] == "due by the build ledger"
    assert ui.ask(STOP, id=started["sensorState"]["id"])["__typename"] == "StopSensorMutationResult"


def due(ui: UI) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.stage, step.reasons) for step in plan_shop(ui.settings).plan.steps]


def test_a_single_asset_and_a_single_partition(ui: UI) -> None:
    seed = ui.materialize(["staging/rfm_segment_map"])
    assert seed["status"] == "SUCCESS"
    assert ui.built_by("staging.rfm_segment_map") == {"": seed["runId"]}
    before = ui.built_by("core.customer_daily")
    day = ui.materialize(["core/customer_daily"], "2024-01-09")
    assert day["status"] == "SUCCESS"
    assert ui.built_by("core.customer_daily") == before | {"2024-01-09": day["runId"]}
    week = ui.materialize(["core/customer_features", "core/rfm_scores"], "2024-01-08")
    assert week["status"] == "SUCCESS"
    assert ui.built_by("core.rfm_scores")["2024-01-08"] == week["runId"]
    assert {stage for stage, _ in due(ui)} <= {"publish"}, due(ui)


def test_a_backfill_of_days_and_the_snapshots_after_them(ui: UI) -> None:
    before = ui.rows("select * from core.customer_features order by all")
    days = [f"2024-01-{day:02d}" for day in range(3, 9)]
    # One run for all days: the assets have Dagster's backfill policy of a single run.
    (run,) = backfill(ui, ["raw/events", "core/customer_daily", "core/product_daily"], days)
    assert run["status"] == "SUCCESS"
    for relation in ("raw.events", "core.customer_daily", "core.product_daily"):
        assert {key for key, by in ui.built_by(relation).items() if by == run["runId"]} == set(days)
    weeks = ["2024-01-01", "2024-01-08", "2024-01-15"]
    runs = backfill(ui, ["core/customer_features", "core/rfm_scores"], weeks)
    assert {run["status"] for run in runs} == {"SUCCESS"}
    assert set(ui.built_by("core.customer_features").values()) <= {run["runId"] for run in runs}
    assert ui.rows("select * from core.customer_features order by all") == before
    assert {stage for stage, _ in due(ui)} <= {"publish"}, due(ui)


def backfill(ui: UI, assets: Sequence[str], partitions: Sequence[str]) -> list[dict[str, Any]]:
    """The runs of a backfill, at its end."""
    answer = ui.ask(
        BACKFILL,
        params={"assetSelection": paths(assets), "partitionNames": list(partitions), "fromFailure": False},
    )
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    backfill_id = answer["backfillId"]

    def ended() -> dict[str, Any] | None:
        found = ui.ask(BACKFILL_STATUS, id=backfill_id)
        return None if found["status"] == "REQUESTED" else found

    found = ui.wait("the end of the backfill", ended)
    assert found["status"] == "COMPLETED_SUCCESS", found
    return ui.runs(tags=[{"key": "dagster/backfill", "value": backfill_id}])


def test_a_failed_run_is_executed_again_from_its_failure(ui: UI) -> None:
    ui.rows("drop view staging.stg_order_lines cascade")
    broken = ui.materialize(["raw/events", "core/customer_daily"], "2024-01-09")
    assert broken["status"] == "FAILURE" and failed(broken) == {"core__customer_daily"}
    assert ui.materialize(["staging/stg_order_lines"])["status"] == "SUCCESS"
    again = ui.launched(
        ui.ask(REEXECUTE, params={"parentRunId": broken["runId"], "strategy": "FROM_FAILURE"})
    )
    assert again["status"] == "SUCCESS" and again["parentRunId"] == broken["runId"]
    assert {step["stepKey"] for step in again["stepStats"]} == {"core__customer_daily"}
    assert ui.built_by("core.customer_daily")["2024-01-09"] == again["runId"]
    assert {stage for stage, _ in due(ui)} <= {"publish"}, due(ui)
