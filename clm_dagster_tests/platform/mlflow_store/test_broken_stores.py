"""Stores that cannot be written, or that lost their file."""

import os
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from clm_dagster.platform.mlflow_store.registrations import StoredTraining
from clm_dagster.platform.processes import ProcessIdentity
from clm_dagster.platform.tracking import MissingModelError, Tracking, TrackingError

FRAME = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
AS_OF = datetime(2024, 1, 8)


def tracking_in(data: Path) -> Tracking:
    return Tracking(uri=f"sqlite:///{data / 'mlflow.db'}", artifact_dir=str(data / "mlartifacts"))


def train(tracking: Tracking, dagster_run: str) -> StoredTraining:
    model = LinearRegression().fit(FRAME, FRAME["x"])
    with tracking.run("models/line", "2024-01-01", dagster_run, {}) as run:
        logged = run.sklearn_model("models.line", model, FRAME, FRAME, ["scikit-learn", "skops"])
    tracking.complete("models.line", logged.version, is_champion=True)
    return StoredTraining(logged.version, run.run_id, AS_OF)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Tracking]:
    """A store whose file SQLite opens read-only, which also holds for root."""
    tracking = tracking_in(tmp_path)
    tracking.open()
    file = tmp_path / "mlflow.db"
    file.chmod(stat.S_IRUSR)
    yield Tracking(uri=f"sqlite:///file:{file}?mode=ro&uri=true", artifact_dir=str(tmp_path / "mlartifacts"))
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)


def test_a_store_that_cannot_be_written_is_found_before_the_training(read_only: Tracking) -> None:
    with pytest.raises(TrackingError, match=r"cannot be written: .*readonly database") as raised:
        read_only.try_to_write()
    assert "MLFLOW_TRACKING_URI" in str(raised.value)


def test_a_store_that_can_be_written_is_described(tmp_path: Path) -> None:
    tracking = tracking_in(tmp_path)
    tracking.try_to_write()
    client, experiment = tracking.open()
    client.set_experiment_tag(experiment, "mlflow.experimentKind", "no_inferred_type")
    client.set_experiment_tag(experiment, "mlflow.note.content", "our own words")
    tracking.try_to_write()
    tags = client.get_experiment(experiment).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.note.content"] == "our own words"
    client.set_experiment_tag(experiment, "mlflow.experimentKind", "regression")
    tracking.try_to_write()
    assert client.get_experiment(experiment).tags["mlflow.experimentKind"] == "regression"
    assert list((tmp_path / "mlartifacts").iterdir()) == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to look at" * 50)
    for use in (tracking_in(tmp_path).upkeep, tracking_in(tmp_path).open):
        with pytest.raises(TrackingError, match=r"mlflow\.db cannot be used: file is not a database"):
            use()


def test_models_of_a_deleted_store_are_lost_and_never_mistaken(tmp_path: Path) -> None:
    tracking = tracking_in(tmp_path / "one")
    first = train(tracking, "r1")
    without_model = StoredTraining("", "", AS_OF)
    assert tracking.lost("models.line", [first, without_model]) == []
    # The same table beside a new store, whose version 1 is of another training.
    new = tracking_in(tmp_path / "two")
    assert new.lost("models.line", [first, without_model]) == [first]
    second = train(new, "r2")
    assert second.version == first.version == "1"
    assert new.lost("models.line", [first, second]) == [first]
    new.sklearn_model("models.line", "1", [], second.run_id)
    with pytest.raises(MissingModelError, match=f"it is of the run {second.run_id}, not of {first.run_id}"):
        new.sklearn_model("models.line", "1", [], first.run_id)
    with pytest.raises(MissingModelError, match=r"version 7 of models.line is not in the MLflow store"):
        new.sklearn_model("models.line", "7", [])


def test_only_runs_of_processes_that_are_gone_are_closed(tmp_path: Path) -> None:
    tracking = tracking_in(tmp_path)
    client, experiment = tracking.open()
    own = ProcessIdentity.own()
    owners = {
        "gone": ProcessIdentity(own.host, own.pid, "before").tags("clm."),
        "alive": own.tags("clm."),
        "elsewhere": ProcessIdentity("elsewhere", 1, "once").tags("clm."),
        "unknown": {},
    }
    runs = {name: client.create_run(experiment, tags=tags).info.run_id for name, tags in owners.items()}
    model = client.create_logged_model(experiment, source_run_id=runs["gone"])
    tracking.upkeep()
    found = {name: client.get_run(run_id).info.status for name, run_id in runs.items()}
    assert found == {"gone": "KILLED", "alive": "RUNNING", "elsewhere": "RUNNING", "unknown": "RUNNING"}
    assert client.get_logged_model(model.model_id).status == "FAILED"
    assert "MLFLOW_TRACKING_URI" not in os.environ
