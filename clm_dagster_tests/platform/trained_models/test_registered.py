"""The registered models of a shop that has run, as MLflow shows and serves them."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clm_dagster_tests.trained_shop import Ran

pytestmark = pytest.mark.slow
NAMES = ("churn_model", "demand_model", "persona_model", "recommender_model", "value_model")
# Model -> the columns that are missing for a customer who has never ordered, and the output.
CUSTOMERS = {
    "churn_model": ("recency_days", "churn_probability"),
    "value_model": ("recency_days", "expected_revenue"),
    "persona_model": ("orders", "persona"),
}


def newest(ran: Ran, name: str) -> pd.Series:
    return ran.query(f"select * from models.{name} where model_version is not null order by as_of").iloc[-1]


def loaded(ran: Ran, name: str) -> tuple[Any, pd.DataFrame]:
    """Return the newest version, loaded by MLflow, and the input example that is stored with it."""
    import mlflow
    from mlflow.models import Model

    ran.mlflow()
    uri = f"models:/models.{name}/{newest(ran, name).model_version}"
    model = mlflow.pyfunc.load_model(uri)
    example = Model.load(uri).load_input_example()
    assert isinstance(example, pd.DataFrame)
    return model, example


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_example_is_made_up_and_can_be_predicted(ran: Ran, name: str) -> None:
    model, example = loaded(ran, name)
    found = model.predict(example)
    assert len(found) and not found.isna().all().any()
    if name in ("churn_model", "value_model"):
        columns = [str(column) for column in example if example[column].notna().all()]
        customers = ran.query(f"select {', '.join(columns)} from core.customer_features").astype(
            example[columns].dtypes.to_dict()
        )
        assert len(customers.merge(example[columns], on=columns)) == 0


@pytest.mark.parametrize("name", CUSTOMERS)
def test_a_customer_without_orders_is_missing_and_the_others_are_predicted(ran: Ran, name: str) -> None:
    model, example = loaded(ran, name)
    column, output = CUSTOMERS[name]
    expected = model.predict(example)[output]
    without = example.copy()
    without.loc[1, [name for name in without if pd.api.types.is_numeric_dtype(without[name])]] = None
    found = model.predict(without)[output]
    assert found[1] is None and found.drop(1).astype(float).equals(expected.drop(1))
    # A single customer, all of whose values are unknown to pandas.
    assert model.predict(without.loc[[1]])[output].isna().all()
    assert without[column].isna().sum() == 1


@contextmanager
def served(ran: Ran, name: str) -> Iterator[str]:
    """Serve the champion as the documentation says, for as long as the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"models:/models.{name}/{newest(ran, name).model_version}"
    command = ["models", "serve", "--model-uri", uri, "--env-manager", "local", "--port", str(port)]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{ran.settings.data_dir.resolve() / 'mlflow.db'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *command, "--workers", "1"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def answer(url: str, body: dict[str, Any]) -> Any:
    """Return the predictions of a server, which is waited for."""
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["predictions"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


def test_a_server_answers_null_for_a_customer_without_orders(ran: Ran) -> None:
    _, example = loaded(ran, "churn_model")
    rows = json.loads(example.to_json(orient="split", index=False))
    numbers = [pd.api.types.is_numeric_dtype(example[name]) for name in example]
    rows["data"][1] = [None if is_number else "UK" for is_number in numbers]
    with served(ran, "churn_model") as url:
        first, without, last = answer(url, {"dataframe_split": rows})
        alone = answer(url, {"dataframe_split": {**rows, "data": [rows["data"][1]]}})
    assert without == {"churn_probability": None} and alone == [without]
    assert 0 < first["churn_probability"] < 1 and 0 < last["churn_probability"] < 1


@pytest.mark.parametrize("name", NAMES)
def test_the_registry_says_what_a_version_is(ran: Ran, name: str) -> None:
    client, _ = ran.mlflow()
    row = newest(ran, name)
    version = client.get_model_version(f"models.{name}", row.model_version)
    assert version.run_id == row.mlflow_run_id
    assert str(row.as_of.date()) in version.description and f"models/{name}" in version.description
    tags = version.tags
    assert tags["clm.as_of"] == str(row.as_of.date()) and tags["dagster.asset_key"] == f"models/{name}"
    gate = "none" if name == "persona_model" else "accepted" if row.accepted else "refused"
    assert tags["clm.gate"] == gate and tags["clm.row"] == "stored"
    assert ("clm.horizon_days" in tags) == (name != "persona_model")
    about = client.get_registered_model(f"models.{name}").description
    assert f"models/{name}" in about and "baseline" in about


def test_the_experiment_is_described_and_opens_on_its_runs(ran: Ran) -> None:
    client, experiment = ran.mlflow()
    tags = client.get_experiment(experiment).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert "Dagster" in tags["mlflow.note.content"]
