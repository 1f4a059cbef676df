"""`clm explain`: all candidates of a stored training get their diagnostics; unclear requests get an answer."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from clm_dagster.cli import cli
from clm_dagster.errors import UserError
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.explaining import _log_missing, explain_training
from clm_dagster.platform.trained_models.training import CandidateRun
from clm_dagster.settings import Settings, load_settings
from clm_dagster_tests.trained_shop import Ran, at_home


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(source="generic", input=str(tmp_path), data_dir=tmp_path / "data")


def test_the_error_says_what_can_be_explained(settings: Settings) -> None:
    with pytest.raises(
        UserError, match="churn is not a trained model; give one of churn_model, demand_model"
    ):
        explain_training(settings, "churn", None, print)
    with pytest.raises(UserError, match=r"models\.churn_model has no training with a model: train it first"):
        explain_training(settings, "churn_model", None, print)


def test_a_run_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    tracking = Tracking(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", artifact_dir=str(tmp_path / "files"))
    with (
        tracking.run("models/a", "2024-01-01", "1", {"clm.code_version": "a"}) as run,
        run.child("rival") as child,
    ):
        child.log({"k": 3}, {"loss": 0.4})
    client, experiment = tracking.open()
    opened = tracking.reopened(run.run_id)
    assert opened is not None and tracking.reopened("0" * 32) is None
    again = CandidateRun(
        "rival",
        {"k": 4, "shape": "none"},
        {"loss": 0.5, "auc": 0.7},
        steps={1: {"learning/auc": 0.6}, 2: {"learning/auc": 0.7}},
        documents={"importance.json": {"importance": []}},
    )
    assert _log_missing(opened, again) == 1
    assert _log_missing(opened, CandidateRun("other", metrics={"loss": 0.6})) == 0
    children = {
        one.info.run_name: one
        for one in client.search_runs([experiment])
        if "mlflow.parentRunId" in one.data.tags
    }
    assert children["rival"].data.params == {"k": "3", "shape": "none"}
    assert children["rival"].data.metrics == {"loss": 0.4, "auc": 0.7, "learning/auc": 0.7}
    assert [file.path for file in client.list_artifacts(child.run_id)] == ["importance.json"]
    assert children["rival"].info.run_id == child.run_id and children["other"].data.metrics == {"loss": 0.6}


@pytest.mark.slow
def test_every_candidate_of_a_training_can_be_explained(ran: Ran) -> None:
    row = ran.query("select * from models.churn_model order by as_of").iloc[-1]
    before = ran.query("select * from models.churn_model order by as_of")
    with at_home(ran.settings):
        explained = explain_training(ran.settings, "churn_model", row.as_of.date(), print)
    assert explained.run_id == row.mlflow_run_id and explained.candidates > 0
    client, experiment = ran.mlflow()
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{row.mlflow_run_id}'")
    assert len(children) == explained.candidates
    logged = 0
    for child in children:
        files = {file.path for file in client.list_artifacts(child.info.run_id)}
        # Of the winner also the learning curve over customers, where the shop has enough of them.
        extra: set[str] = {"learning_curve.png"} if child.info.run_name == row.winner else set()
        assert files - extra == {"candidate.png", "importance.json"} and child.info.status == "FINISHED"
        logged += len(files)
    assert explained.files == logged
    pd.testing.assert_frame_equal(ran.query("select * from models.churn_model order by as_of"), before)
    with (
        at_home(ran.settings),
        pytest.raises(UserError, match="no training with a model at 2020-01-06; it has"),
    ):
        explain_training(ran.settings, "churn_model", date(2020, 1, 6), print)


def test_the_command_has_help() -> None:
    shown = CliRunner().invoke(cli, ["explain", "--help"])
    assert shown.exit_code == 0 and "--at" in shown.output
