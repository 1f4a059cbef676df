"""A program that trains the toy domain and is killed at a point of its choice. Run by the tests of this folder.

Arguments: the folder with the domain, the SQL project and the data; the partition; the point, or `none`.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import clm_dagster.domains
from clm_dagster.definitions import build_definitions
from clm_dagster.platform import tracked_runs, tracking
from clm_dagster.platform.job_names import MODELS
from clm_dagster.platform.python_tables import computing
from clm_dagster.settings import Settings, load_settings

# Point -> what is called there; the process is killed instead of the call.
POINTS = {
    "while logging": (tracked_runs.TrackedRun, "files"),
    "after logging, before registration": (tracked_runs, "register"),
    "after registration, before the row": (computing, "write_output"),
    "after the row, before the alias": (tracking, "complete"),
}
# The call that follows the alias is one of MLflow's own.
AFTER_ALIAS = "after the alias, before its end is noted"


def settings_in(folder: Path) -> Settings:
    return load_settings(
        source="generic",
        input=str(folder / "inbox"),
        data_dir=folder / "data",
        sql_dir=folder / "sql",
        start_date="2024-01-01",
        end_date="2024-03-01",
    )


def add_domain(folder: Path) -> None:
    domains = str(folder / "domains")
    if domains not in clm_dagster.domains.__path__:
        clm_dagster.domains.__path__ = [*clm_dagster.domains.__path__, domains]


def train(settings: Settings, key: str) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            build_definitions(settings)
            .resolve_job_def(MODELS)
            .execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(["models", "loyalty_model"])],
                partition_key=key,
            )
        )


def die(*args: Any, **kwargs: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_after_alias(original: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        die()

    return call


if __name__ == "__main__":
    folder, key, point = Path(sys.argv[1]), *sys.argv[2:]
    add_domain(folder)
    with pytest.MonkeyPatch.context() as patch:
        if point == AFTER_ALIAS:
            from mlflow import MlflowClient

            alias = "set_registered_model_alias"
            patch.setattr(MlflowClient, alias, dies_after_alias(getattr(MlflowClient, alias)))
        elif point != "none":
            patch.setattr(*POINTS[point], die)
        train(settings_in(folder), key)
