"""A new domain is one folder and no other edit. This test creates one in a temporary folder, with its SQL."""

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.job_names import DAILY, MODELS
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.settings import PROJECT_DIR, Settings, load_settings, origins

SETTINGS = """
'''What a user may choose of loyalty.'''

from pydantic import Field

from clm_dagster.settings import DomainSettings, Variable


class LoyaltySettings(DomainSettings):
    '''Settings of loyalty.'''

    points: Variable[int] = Field(5, ge=1, description="Points that an order brings.")
"""
DEFINITIONS = """
'''What Dagster sees of loyalty.'''

from clm_dagster.domains.loyalty.settings import LoyaltySettings
from clm_dagster.domains.loyalty.training import loyalty_model
from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    '''The trained model, and the chart and the check of the points.'''
    most = shop.settings.of(LoyaltySettings).points

    def chart(connection):
        return f"a picture of {connection.scalar('select points from marts.loyalty_points')} points"

    def check(connection):
        '''No customer has more points than an order gives.'''
        found = connection.scalar("select max(points) from marts.loyalty_points")
        return Finding([f"{found} points"] if found > most else [])

    return Domain(
        name="loyalty",
        tables=[loyalty_model(most).table(shop.project)],
        charts={"marts.loyalty_points": chart},
        checks={"marts.loyalty_points": {"points_are_few": check}},
    )
"""
TRAINING = """
'''The trained model of loyalty: what interface to the engine.'''

import pandas as pd
from sklearn.linear_model import LinearRegression

from clm_dagster.platform.trained_models.metrics import metrics_of
from clm_dagster.platform.trained_models.registered import RegisteredModel
from clm_dagster.platform.trained_models.samples import TrainingSample
from clm_dagster.platform.trained_models.training import CandidateRun, Gate, Notes, Report, TrainedModel
from clm_dagster.statistics.evaluation import EvaluationError, Verdict


def same(model):
    return model


def read(reading):
    if reading.settings > 9:
        raise EvaluationError("no customer has so many points.")
    return pd.DataFrame({"orders": [1.0, 2.0, 3.0], "points": [1.0 * reading.settings, 14.0, 21.0]})


def sample(inputs):
    return TrainingSample("customers", len(inputs), len(inputs))


def evaluate(work, inputs):
    return LinearRegression().fit(inputs[["orders"]], inputs["points"])


def report(work, inputs, result):
    metrics = [*metrics_of("line", {"mae": 0.5}), *metrics_of("mean", {"mae": 2.0})]
    row = {"slope": float(result.coef_[0])}
    return Report(result, inputs[["orders"]], "a hash", work.day, row, metrics)


def notes(work, inputs, result):
    return Notes(evaluated="2 candidates", parameters={"points": work.settings}, metrics={"mae": 0.5})


def candidates(work, inputs, result):
    yield CandidateRun("line", metrics={"mae": 0.5})
    yield CandidateRun("mean", metrics={"mae": 2.0})


def verdict(inputs, result, champion, is_newest):
    return Verdict(result.coef_[0] > 0 and is_newest, ("The line rises.",))


def loyalty_model(points):
    return TrainedModel(
        registered=RegisteredModel("models.loyalty_model", same, same, ()),
        reads=(), settings=points, horizon_days=30, read=read, sample=sample, evaluate=evaluate,
        report=report, notes=notes, candidates=candidates, gate=Gate("The line rises.", verdict), baseline="mean",
        metrics=("mae",),
    )
"""
MODEL = """
{{ config(materialized='table') }}
select 'c1' as customer_id, {{ var('loyalty_points', 5) }} as points
"""
DOCS = """
version: 2
models:
  - name: loyalty_points
    description: Points of each customer. One row per customer.
    columns:
      - name: customer_id
        description: The customer.
        data_type: varchar
        data_tests: [not_null]
      - name: points
        description: Their points.
        data_type: integer
"""
MODEL_DOCS = """
version: 2
sources:
  - name: models
    schema: models
    tables:
      - name: loyalty_model
        description: One row for each training of loyalty.
        config: {meta: {dagster: {group: loyalty, partitions: snapshot, owners: ["team:data-science"]}}}
        columns:
          - {name: as_of, data_type: TIMESTAMP, description: The snapshot., data_tests: [not_null]}
          - {name: model_name, data_type: VARCHAR, description: The registered model.}
          - {name: model_version, data_type: VARCHAR, description: Its version.}
          - {name: mlflow_run_id, data_type: VARCHAR, description: Its run.}
          - {name: horizon_days, data_type: BIGINT, description: The horizon.}
          - {name: accepted, data_type: BOOLEAN, description: Whether it passed its gate.}
          - {name: suspected_leak, data_type: BOOLEAN, description: Whether it knows too much.}
          - {name: said, data_type: VARCHAR, description: Why.}
          - {name: slope, data_type: DOUBLE, description: Points for one order.}
"""


@pytest.fixture
def sql_dir(tmp_path: Path) -> Path:
    """A copy of the SQL project with one additional model."""
    folder = tmp_path / "sql"
    shutil.copytree(PROJECT_DIR / "dbt_like_sql", folder)
    (folder / "models" / "marts" / "loyalty_points.sql").write_text(MODEL)
    (folder / "models" / "marts" / "loyalty_points.yml").write_text(DOCS)
    (folder / "models" / "trained" / "loyalty_model.yml").write_text(MODEL_DOCS)
    return folder


@pytest.fixture
def toy(
    new_domain: Callable[[str], Path],
    sql_dir: Path,
    settings_for: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    folder = new_domain("loyalty")
    (folder / "settings.py").write_text(SETTINGS)
    (folder / "definitions.py").write_text(DEFINITIONS)
    (folder / "training.py").write_text(TRAINING)
    monkeypatch.setenv("CLM_LOYALTY_POINTS", "7")
    return settings_for(sql_dir=sql_dir)


def test_settings_of_the_new_domain_are_known(toy: Settings) -> None:
    assert toy.flat()["loyalty_points"] == 7
    assert origins(toy)["loyalty_points"] == "environment, CLM_LOYALTY_POINTS"


def test_the_asset_has_its_chart_and_check(toy: Settings, instance: dg.DagsterInstance) -> None:
    key = dg.AssetKey(["marts", "loyalty_points"])
    result = (
        build_definitions(toy)
        .resolve_job_def(DAILY)
        .execute_in_process(instance=instance, asset_selection=[key], partition_key="2024-01-01")
    )
    (event,) = result.asset_materializations_for_node("marts__loyalty_points")
    assert event.metadata["chart"].value == "a picture of 7 points"
    checks = {found.check_name: found.passed for found in result.get_asset_check_evaluations()}
    assert checks["points_are_few"] is True and len(checks) == 2


def train(toy: Settings, instance: dg.DagsterInstance, **settings: int) -> dg.ExecuteInProcessResult:
    definitions = build_definitions(toy.replace(**settings) if settings else toy)
    return definitions.resolve_job_def(MODELS).execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(["models", "loyalty_model"])],
        partition_key="2024-01-01",
    )


def test_the_trained_model_is_an_asset_with_run_gate_and_metrics(
    toy: Settings, instance: dg.DagsterInstance
) -> None:
    key = dg.AssetKey(["models", "loyalty_model"])
    node = build_definitions(toy).resolve_asset_graph().get(key)
    assert node.group_name == "loyalty"
    assert (node.description or "").startswith("One row for each training of loyalty.")
    result = train(toy, instance)
    *sides, event = result.asset_materializations_for_node("models__loyalty_model")
    names = [side.asset_key.to_user_string() for side in sides]
    assert names == ["models/candidate_metrics", "models/group_metrics"]
    assert event.metadata["slope"].value == pytest.approx(7) and event.metadata["model_version"].value == "1"
    checks = {found.check_name: found.passed for found in result.get_asset_check_evaluations()}
    assert checks == {"not_null_as_of": True, "contest_was_held": True, "champion_gate": True}
    tracking = tracking_of(toy)
    client, experiment = tracking.open()
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert runs.keys() == {"models/loyalty_model 2024-01-01", "line", "mean"}
    parent = runs["models/loyalty_model 2024-01-01"]
    sample = {"unit": "customers", "available": "3", "used": "3", "share": "1.0"}
    assert parent.data.params == {"points": "7"} | {f"sample/{name}": value for name, value in sample.items()}
    assert parent.data.tags["clm.training_sample"] == "all"
    assert event.metadata["training_sample"].value == "all 3 customers"
    assert runs["mean"].data.metrics == {"mae": 2.0}
    assert parent.data.tags["clm.code_version"] == node.code_version
    assert tracking.champion("models.loyalty_model") == "1"
    with warehouse_of(toy).connect("a test") as connection:
        metrics = connection.execute(
            "select as_of::date::varchar, candidate, metric, value from models.candidate_metrics "
            "where model = 'models.loyalty_model' order by candidate"
        )
        row = connection.execute("select accepted, said, mlflow_run_id from models.loyalty_model")
    assert metrics == [("2024-01-08", "line", "mae", 0.5), ("2024-01-08", "mean", "mae", 2.0)]
    assert row == [(True, "The line rises.", parent.info.run_id)]


def test_an_impossible_training_stores_the_reason_and_keeps_an_existing_model(
    toy: Settings, instance: dg.DagsterInstance
) -> None:
    result = train(toy, instance, loyalty_points=10)
    messages = {found.check_name: found.description for found in result.get_asset_check_evaluations()}
    assert messages["contest_was_held"] == "2024-01-01 (as_of 2024-01-08): no customer has so many points."
    train(toy, instance)
    with pytest.raises(dg.Failure, match="The stored model and its scores are kept"):
        train(toy, instance, loyalty_points=10)
    with warehouse_of(toy).connect("a test") as connection:
        assert connection.execute("select slope is null, model_version from models.loyalty_model") == [
            (False, "1")
        ]


def test_additions_must_refer_to_existing_tables(toy: Settings, sql_dir: Path) -> None:
    for ending in ("sql", "yml"):
        (sql_dir / "models" / "marts" / f"loyalty_points.{ending}").unlink()
    with pytest.raises(
        ProjectError, match=r"the domain loyalty has a chart for marts.loyalty_points, which is not"
    ):
        build_definitions(toy)


def test_two_domains_cannot_add_to_the_same_table(toy: Settings, new_domain: Callable[[str], Path]) -> None:
    twin = DEFINITIONS.replace('name="loyalty"', 'name="twin"')
    (new_domain("twin") / "definitions.py").write_text(twin)
    with pytest.raises(
        ProjectError, match=r"the domains loyalty and twin both have a chart for marts.loyalty_points"
    ):
        build_definitions(toy)


def test_the_domain_disappears_with_its_folder(settings: Settings) -> None:
    assert "loyalty_points" not in load_settings(source="generic").flat()
