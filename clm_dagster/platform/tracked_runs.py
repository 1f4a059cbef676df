"""An open MLflow run, and what a training logs into it.

Belongs here: logging parameters, metrics, files, candidates and the model, and registering it. Does not: opening the
store and its runs, the alias `champion` (`tracking`).
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clm_dagster.platform.mlflow_store.registrations import Registration, adopt, register

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# The tag of a child run that names its candidate.
CANDIDATE = "clm.candidate"
_NOTHING_SAID = Registration()


@dataclass(frozen=True)
class LoggedModel:
    """A model in MLflow: its name, registry version and URI."""

    name: str
    version: str
    uri: str


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run. prefix: see `Tracking`.

    experiment: id of its experiment. is_new: whether it was created now, so that it has no children yet. origin: tags
    that name user, program and process, which its children get too.
    """

    run_id: str
    client: "MlflowClient"
    prefix: str = ""
    experiment: str = ""
    is_new: bool = False
    origin: Mapping[str, str] = field(default_factory=dict)

    def log(
        self,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float | None] | None = None,
        steps: Mapping[int, Mapping[str, float]] | None = None,
    ) -> None:
        """Log parameters, metrics and metrics along an axis (step -> metrics) in one transaction.

        MLflow keeps the first value of each parameter. Metrics without a value (None) are skipped.
        """
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)  # MLflow stores when a metric was logged
        along = [(0, metrics or {}), *(steps or {}).items()]
        found = [
            Metric(k, float(v), now, step)
            for step, values in along
            for k, v in values.items()
            if v is not None
        ]
        given = [Param(name, str(value)) for name, value in (params or {}).items()]
        self.client.log_batch(self.run_id, metrics=found, params=given)

    def files(self, contents: Mapping[str, bytes]) -> None:
        """Log files by path, such as `candidate.png` or `pages/one.png`, in one call."""
        if not contents:
            return
        with tempfile.TemporaryDirectory(prefix="clm_files_") as folder:
            for name, content in contents.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(self.run_id, folder)

    @cached_property
    def children(self) -> dict[str, "Run"]:
        """The child runs of candidates, by candidate, that were there when this was first read."""
        if self.is_new:
            return {}
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        query = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.run_id}'"
        found = self.client.search_runs([self.experiment], query, max_results=1_000)
        return {run.data.tags[CANDIDATE]: run for run in found if CANDIDATE in run.data.tags}

    @contextmanager
    def child(self, name: str) -> Iterator["TrackedRun"]:
        """Open a child run for one candidate. A retry reuses the child run of the same name.

        An exception marks the child as failed.
        """
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        known = self.children.get(name)
        if known is None:
            tags = {**self.origin, MLFLOW_PARENT_RUN_ID: self.run_id, CANDIDATE: name}
            known = self.client.create_run(self.experiment, tags=tags, run_name=name)
        run_id, status = known.info.run_id, "FAILED"
        try:
            yield replace(self, run_id=run_id)
            status = "FINISHED"
        finally:
            self.client.set_terminated(run_id, status)

    def sklearn_model(
        self,
        name: str,
        model: Any,
        example: pd.DataFrame,
        shown: pd.DataFrame,
        packages: Sequence[str],
        trusted: Sequence[str] = (),
        registration: Registration = _NOTHING_SAID,
    ) -> LoggedModel:
        """Log a fitted scikit-learn estimator with its signature and register it as `name`.

        The model is stored in the skops format, which executes no code when it is loaded. example: input rows, from
        which the signature is inferred. shown: the input rows that are stored, so without personal data. trusted:
        types in the file beyond scikit-learn's own. packages: requirements of the model, pinned to the installed
        versions (MLflow's own detection takes 20 s). registration: what the registry says of it. A retry reuses the
        version that it registered before.
        """
        import mlflow

        name = joined(self.prefix, name, ".")
        known = self.client.search_model_versions(f"name = '{name}' and run_id = '{self.run_id}'")
        if known:
            version = str(known[0].version)
            adopt(self.client, name, version)
            return LoggedModel(name, version, f"models:/{name}/{version}")
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=shown,
            pip_requirements=[f"{package}=={installed_version(package)}" for package in packages],
        )
        registered = register(self.client, name, self.run_id, info.model_id, registration)
        return LoggedModel(name, str(registered.version), f"models:/{name}/{registered.version}")


def joined(first: str, second: str, separator: str) -> str:
    """Return a name with the prefix of a shop, if there is one."""
    return separator.join(part for part in (first, second) if part)
