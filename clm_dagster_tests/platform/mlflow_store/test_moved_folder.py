"""A data folder that was moved or copied: its MLflow store finds its own artifacts and leaves the original alone."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from clm_dagster.platform.tracking import Tracking

FRAME = pd.DataFrame({"x": [0.0, 1.0, 2.0]})


def tracking_in(data: Path) -> Tracking:
    return Tracking(uri=f"sqlite:///{data / 'mlflow.db'}", artifact_dir=str(data / "mlartifacts"))


def train(data: Path, slope: float, dagster_run: str) -> str:
    """Train a line through zero and make it champion; return its MLflow run."""
    tracking = tracking_in(data)
    model = LinearRegression().fit(FRAME, slope * FRAME["x"])
    with tracking.run("models/line", "2024-01-01", dagster_run, {}) as run:
        run.files({"note.txt": b"a note"})
        with run.child("rival") as child:
            child.files({"rival.txt": b"lost"})
        logged = run.sklearn_model("models.line", model, FRAME, FRAME, ["scikit-learn", "skops"])
    tracking.complete("models.line", logged.version, is_champion=True)
    return run.run_id


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a trained model, a trace and an experiment whose artifacts are elsewhere."""
    # A name that a URI has to quote.
    data = tmp_path_factory.mktemp("first") / "my däta"
    data.mkdir()
    train(data, 2.0, "r1")
    client, experiment = tracking_in(data).open()
    client.create_experiment("others", "s3://bucket/mlartifacts")
    client.create_experiment("neighbour", f"{data.as_uri()}_2/mlartifacts")
    client.create_experiment("by path", f"{data}/mine")
    span = client.start_trace("a trace", experiment_id=experiment)
    client.end_trace(span.trace_id)
    mlflow.flush_trace_async_logging()
    kinds = ("/mlartifacts/traces/", "/mlartifacts/models/")
    assert all(any(kind in text for text in locations(data)) for kind in kinds)
    return data


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    data = tmp_path / "second folder"
    shutil.copytree(trained, data)
    return data


def locations(data: Path) -> Iterator[str]:
    """Yield every text in the store."""
    with closing(sqlite3.connect(data / "mlflow.db")) as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f"select * from {table}"):
                yield from (value for value in row if isinstance(value, str))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def loaded_by_plain_mlflow(data: Path) -> str:
    """Load the champion in a process that does not know this project."""
    code = (
        "import mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model('models:/models.line@champion')\n"
        "print(model.predict(pd.DataFrame({'x': [10.0]})).round(3).tolist())\n"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{data / 'mlflow.db'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=data
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_champion_of_a_copy_loads_without_its_original(copied: Path, trained: Path) -> None:
    assert any(str(trained) in text for text in locations(copied))
    model = tracking_in(copied).sklearn_model("models.line", "1", [])
    assert model.predict(FRAME) == pytest.approx([0, 2, 4])
    left = [text for text in locations(copied) if str(trained) in text or trained.as_uri() in text]
    assert left == [f"{trained.as_uri()}_2/mlartifacts"]  # only a neighbour whose name begins alike
    assert "s3://bucket/mlartifacts" in set(locations(copied)) and f"{copied}/mine" in set(locations(copied))


def test_a_training_in_a_copy_never_touches_the_original(copied: Path, trained: Path) -> None:
    before = files(trained)
    run_id = train(copied, 3.0, "r2")
    assert files(trained) == before
    client, _ = tracking_in(copied).open()
    assert {file.path for file in client.list_artifacts(run_id)} == {"note.txt"}
    assert (copied / "mlartifacts" / run_id / "artifacts" / "note.txt").read_bytes() == b"a note"
    assert tracking_in(copied).champion("models.line") == "2"


def test_plain_mlflow_loads_the_champion_of_a_moved_folder(copied: Path, tmp_path: Path) -> None:
    moved = tmp_path / "third"
    copied.rename(moved)
    tracking_in(moved).upkeep()
    assert loaded_by_plain_mlflow(moved) == "[20.0]"


def test_opening_again_changes_nothing(copied: Path) -> None:
    tracking = tracking_in(copied)
    tracking.upkeep()
    first = (copied / "mlflow.db").read_bytes()
    tracking.upkeep()
    tracking.open()
    assert (copied / "mlflow.db").read_bytes() == first


def test_a_store_outside_the_data_folder_is_left_alone(copied: Path, tmp_path: Path) -> None:
    before = (copied / "mlflow.db").read_bytes()
    other = Tracking(
        uri=f"sqlite:///{copied / 'mlflow.db'}", artifact_dir=str(tmp_path / "other" / "mlartifacts")
    )
    other.upkeep()
    other.open()
    assert (copied / "mlflow.db").read_bytes() == before


def test_upkeep_does_nothing_without_a_store(tmp_path: Path) -> None:
    tracking_in(tmp_path).upkeep()
    Tracking(uri="http://127.0.0.1:9", artifact_dir=str(tmp_path / "mlartifacts")).upkeep()
    assert list(tmp_path.iterdir()) == []
