"""Runs and logged models that a killed process left unfinished.

Belongs here: closing them. Does not: registered versions (`registrations`), runs of Dagster (`platform.runs`).
"""

from typing import TYPE_CHECKING

from clm_dagster.platform.mlflow_store.registrations import OWNER
from clm_dagster.platform.processes import ProcessIdentity

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST = 1_000


def close_dead_runs(client: "MlflowClient", experiment: str) -> list[str]:
    """Close the runs as KILLED whose processes certainly are gone. Return their ids.

    Runs of other hosts and runs that do not name their process stay. Models that such a run had begun to log are marked
    as failed.
    """
    closed = []
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'", max_results=_MOST):
        owner = ProcessIdentity.of_tags(run.data.tags, OWNER)
        if owner is not None and owner.is_gone():
            _fail_models(client, experiment, run.info.run_id)
            client.set_terminated(run.info.run_id, "KILLED")
            closed.append(run.info.run_id)
    return closed


def _fail_models(client: "MlflowClient", experiment: str, run_id: str) -> None:
    from mlflow.entities import LoggedModelStatus

    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
