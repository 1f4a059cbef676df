"""MLflow: one run per materialization that a retry continues, the champion, and an unreachable store."""

import os
import re
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from clm_dagster.platform.tracking import Tracking, TrackingError, data_hash


def test_a_retry_continues_its_run_and_only_promotion_moves_the_champion(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    tracking = Tracking(uri=f"sqlite:///{tmp_path / 'mlflow.db'}", artifact_dir=str(tmp_path / "files"))
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    model = LinearRegression().fit(frame, [0.0, 2.0, 4.0])
    tries: list[str] = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def flaky(context: dg.AssetExecutionContext) -> None:
        with tracking.run("flaky", "2024-01-01", context.run.run_id, {"clm.code_version": "a"}) as run:
            tries.append(run.run_id)
            run.log({"k": 3}, {"score": 0.5, "absent": None}, {2: {"loss": 0.1}})
            run.files({"note.txt": b"a note", "pages/one.txt": b"1"})
            with run.child("rival") as child:
                child.log(metrics={"score": 0.4})
            logged = run.sklearn_model("models.test", model, frame, frame, ["scikit-learn", "skops"])
            if len(tries) == 1:
                raise ValueError("once")
        assert (logged.name, logged.version) == ("models.test", "1")

    assert dg.materialize([flaky], instance=instance).success
    assert len(tries) == 2 and len(set(tries)) == 1
    client, experiment = tracking.open()
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & set(
        os.environ
    )  # another shop in this process has another store
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert sorted(runs) == ["flaky 2024-01-01", "rival"] and len(client.search_runs([experiment])) == 2
    found = runs["flaky 2024-01-01"]
    assert (
        found.info.status == "FINISHED"
        and found.data.params == {"k": "3"}
        and found.data.metrics == {"score": 0.5, "loss": 0.1}
    )
    assert [one.step for one in client.get_metric_history(found.info.run_id, "loss")] == [2, 2]
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["note.txt", "pages"]
    child = runs["rival"]
    assert (
        child.info.status == "FINISHED" and child.data.tags["mlflow.user"] == found.data.tags["mlflow.user"]
    )
    assert found.data.tags["dagster.asset_key"] == "flaky"
    assert client.get_registered_model("models.test").aliases == {}
    tracking.complete("models.test", "1", is_champion=True)
    import mlflow

    loaded = mlflow.sklearn.load_model("models:/models.test@champion")
    assert loaded.predict(frame) == pytest.approx([0, 2, 4])
    assert client.get_registered_model("models.test").aliases.keys() == {"champion"}


def test_an_unreachable_store_is_named_with_a_remedy(tmp_path: Path) -> None:
    tracking = Tracking(uri="http://127.0.0.1:9", artifact_dir=str(tmp_path))
    with pytest.raises(TrackingError, match=re.escape("http://127.0.0.1:9 cannot be used")) as raised:
        tracking.open()
    assert "MLFLOW_TRACKING_URI" in str(raised.value)


def test_the_data_hash_does_not_depend_on_row_order() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "z"], "b": [1.0, 2.0, None]})
    assert data_hash(frame) == data_hash(frame.iloc[[2, 0, 1]])
    assert data_hash(frame) != data_hash(frame.assign(b=[1.0, 2.0, 3.0]))
    assert data_hash(frame) != data_hash(frame.rename(columns={"a": "c"}))
