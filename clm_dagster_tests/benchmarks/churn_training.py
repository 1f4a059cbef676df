"""Duration of a churn training as an asset, split into evaluation, diagnostics, MLflow and Dagster.

Belongs here: running it on a loaded shop. Does not: output (`report`).
"""

import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from clm_dagster_tests.benchmarks import children

SNAPSHOTS = 8
# Functions that access MLflow's store; the rest of the logging is figures and diagnostics.
CALLS = (
    "log_batch",
    "log_figure",
    "log_dict",
    "search_runs",
    "search_model_versions",
    "create_model_version",
)


def load(real: str, folder: str) -> dict[str, Any]:
    """Load Online Retail II and take all its snapshots, without training."""
    from clm_dagster.settings import load_settings
    from clm_dagster.shop_run import run_shop

    start = time.perf_counter()
    settings = load_settings(source="online_retail_ii", input=real, data_dir=Path(folder), train_count=0)
    run_shop(settings, lambda title, total: lambda name, done: None)
    return {"wall": time.perf_counter() - start}


def train(real: str, folder: str, key: str) -> dict[str, Any]:
    """Materialize models/churn_model once; return the seconds in total, of the evaluation, and of MLflow."""
    import dagster as dg
    import mlflow
    from mlflow import MlflowClient

    from clm_dagster.definitions import build_definitions
    from clm_dagster.domains.churn import notes, training
    from clm_dagster.platform.resources import tracking_of
    from clm_dagster.platform.runs import prepare_home
    from clm_dagster.settings import load_settings

    settings = load_settings(
        source="online_retail_ii", input=real, data_dir=Path(folder), contest_snapshots=SNAPSHOTS
    )
    prepare_home(settings)
    spent: dict[str, float] = {"mlflow": 0.0, "mlflow_of_candidates": 0.0}

    inside: list[str] = []  # whether a candidate is being logged

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def inner(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            if name == "candidates":
                inside.append(name)
            try:
                return call(*arguments, **named)
            finally:
                seconds = time.perf_counter() - start
                spent[name] = spent.get(name, 0.0) + seconds
                if name == "mlflow" and inside:
                    spent["mlflow_of_candidates"] += seconds
                if name == "candidates":
                    inside.clear()

        return inner

    places: list[tuple[str, object, str]] = [
        ("evaluation", training, "evaluate_candidates"),
        ("candidates", notes, "_candidate_run"),
        *(("mlflow", MlflowClient, name) for name in CALLS),
    ]
    for kind, owner, name in places:
        setattr(owner, name, timed(kind, getattr(owner, name)))
    flavor: Any = mlflow.sklearn
    flavor.log_model = timed("mlflow", flavor.log_model)
    start = time.perf_counter()
    tracking_of(settings).open()
    spent["first_open"] = time.perf_counter() - start
    definitions = build_definitions(settings)
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def("models").execute_in_process(
            instance=instance, partition_key=key, asset_selection=[dg.AssetKey(["models", "churn_model"])]
        )
        *_, event = result.asset_materializations_for_node("models__churn_model")
        customers = int(str(event.metadata["customers"].value))
    wall = time.perf_counter() - start
    return {"wall": wall, "customers": customers, "cores": os.cpu_count(), **spent}


def measure(real: str, work: str) -> dict[str, Any]:
    """Load the shop and train once."""
    folder = f"{work}/churn"
    children.run("churn_training:load", real=real, folder=folder)
    return children.run("churn_training:train", real=real, folder=folder, key="2011-11-21")
