"""MLflow: one run per materialization of a trained model, the model registry, the champion alias.

Belongs here: everything that calls MLflow. Does not: what is trained, or which model becomes champion. MLflow takes
seconds to import, so it is imported where it is first used. Fail fast when MLflow is unreachable.
"""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pandas as pd
from filelock import FileLock

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CHAMPION = "champion"
# The tag of a child run that names its candidate.
CANDIDATE = "clm.candidate"
_ORIGIN = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
# MLflow itself retries seven times with two minutes each. Variables that the user has set are kept.
_MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class TrackingError(UserError, RuntimeError):
    """The MLflow store cannot be used. The message names it and says what to do."""


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
    that name user and program, which its children get too.
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
        packages: Sequence[str],
        trusted: Sequence[str] = (),
    ) -> LoggedModel:
        """Log a fitted scikit-learn estimator with its signature and register it as `name`.

        The model is stored in the skops format, which executes no code when it is loaded. trusted: types in the file
        beyond scikit-learn's own. packages: requirements of the model, pinned to the installed versions (MLflow's own
        detection takes 20 s). A retry reuses the version that it registered before.
        """
        import mlflow

        name = _join(self.prefix, name, ".")
        known = self.client.search_model_versions(f"name = '{name}' and run_id = '{self.run_id}'")
        if known:
            return LoggedModel(name, str(known[0].version), f"models:/{name}/{known[0].version}")
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=list(trusted),
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=example.head(5),
            pip_requirements=[f"{package}=={installed_version(package)}" for package in packages],
        )
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name)
        logged = self.client.get_logged_model(info.model_id)
        registered = self.client.create_model_version(
            name, logged.artifact_location, run_id=self.run_id, model_id=info.model_id
        )
        return LoggedModel(name, str(registered.version), f"models:/{name}/{registered.version}")


class Tracking(dg.ConfigurableResource["Tracking"]):
    """The MLflow store. uri: tracking URI. artifact_dir: folder of artifacts of a store without a server.

    prefix: the shop's, with which its experiment, models and assets are named; shops may share a server. The names that
    methods take have none.
    """

    uri: str
    artifact_dir: str
    experiment: str = "clm_dagster"
    prefix: str = ""

    @contextmanager
    def run(
        self, asset: str, partition: str, dagster_run_id: str, tags: Mapping[str, str]
    ) -> Iterator[TrackedRun]:
        """Open the MLflow run of one partition's materialization for the duration of the block.

        tags: code version, and hash and as_of of the training data. A retry of the same Dagster step with the same
        code and data continues its run. An exception marks the run as failed. Raise TrackingError.
        """
        client, experiment = self.open()
        import mlflow

        asset = _join(self.prefix, asset, "/")
        identity = {
            "dagster.run_id": dagster_run_id,
            "dagster.asset_key": asset,
            "dagster.partition": partition,
            **tags,
        }
        found = _find_run(client, experiment, identity)
        with mlflow.start_run(
            run_id=found, experiment_id=experiment, run_name=f"{asset} {partition}".strip(), tags=identity
        ) as run:
            origin = {name: value for name, value in run.data.tags.items() if name in _ORIGIN}
            yield TrackedRun(run.info.run_id, client, self.prefix, experiment, found is None, origin)

    def reopened(self, run_id: str) -> TrackedRun | None:
        """Return the finished run of a training to log more into it, None if the store does not have it."""
        from mlflow import MlflowException

        client, _ = self.open()
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise TrackingError(f"the MLflow store {self.uri} cannot be read: {error.message}") from error
        origin = {name: value for name, value in run.data.tags.items() if name in _ORIGIN}
        return TrackedRun(run_id, client, self.prefix, run.info.experiment_id, False, origin)

    def promote(self, name: str, version: str) -> None:
        """Point the alias `champion` of a registered model at a version. No other code moves the alias."""
        client, _ = self.open()
        client.set_registered_model_alias(_join(self.prefix, name, "."), CHAMPION, version)

    def champion(self, name: str) -> str | None:
        """Return the version with the alias `champion` of a registered model, None where there is none."""
        from mlflow import MlflowException

        client, _ = self.open()
        try:
            return str(client.get_model_version_by_alias(_join(self.prefix, name, "."), CHAMPION).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise TrackingError(f"the MLflow store {self.uri} cannot be read: {error.message}") from error

    def sklearn_model(self, name: str, version: str, trusted: Sequence[str]) -> Any:
        """Load a version of a registered scikit-learn model without executing code from its file.

        Raise TrackingError if the version does not exist, or if its file contains a type that is neither
        scikit-learn's own nor in `trusted`.
        """
        self.open()
        import mlflow
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        name = _join(self.prefix, name, ".")
        uri = f"models:/{name}/{version}"
        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        except (mlflow.MlflowException, OSError) as error:
            raise TrackingError(
                f"version {version} of {name} is not in the MLflow store {self.uri}: "
                f"{str(error).splitlines()[0][:300]}. Set MLFLOW_TRACKING_URI to the store that contains it, or "
                f"train the model again: materialize {name.replace('.', '/')}."
            ) from error
        (file,) = folder.glob("*.skops")
        try:
            return skops.io.load(file, trusted=list(trusted))
        except UntrustedTypesFoundException as error:
            raise TrackingError(f"{uri} cannot be loaded safely: {error}") from error

    def _experiment(self, client: "MlflowClient") -> str:
        """Return the id of the experiment, which is created if missing."""
        name = _join(self.experiment, self.prefix, ".")
        found = client.get_experiment_by_name(name)
        if found:
            return str(found.experiment_id)
        return client.create_experiment(name, Path(self.artifact_dir).as_uri() if self._is_local else None)

    @property
    def _is_local(self) -> bool:
        """Whether the store is a file, and no server."""
        return self.uri.startswith(("sqlite:", "file:"))

    def open(self) -> tuple["MlflowClient", str]:
        """Return a client and the id of the experiment, which is created if missing. Raise TrackingError."""
        for name, value in _MLFLOW_DEFAULTS.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        import mlflow
        import sqlalchemy

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # the import resets the level
        if self._is_local:
            Path(self.artifact_dir).mkdir(parents=True, exist_ok=True)
        try:
            set_by_user = os.environ.get("MLFLOW_TRACKING_URI")
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            # MLflow also writes the URI to the environment, where the settings of another shop would mistake it for
            # the user's choice.
            if set_by_user is None:
                os.environ.pop("MLFLOW_TRACKING_URI", None)
            # Processes that train side by side would create the tables of a new store at the same time.
            with FileLock(f"{self.artifact_dir}.lock") if self._is_local else nullcontext():
                client = mlflow.MlflowClient(self.uri, self.uri)
                return client, self._experiment(client)
        except (mlflow.MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            raise TrackingError(
                f"the MLflow store {self.uri} cannot be used: {str(error).splitlines()[0][:300]}. Start its server or "
                "correct MLFLOW_TRACKING_URI; without that variable the store is a file in the data folder."
            ) from error


def _join(first: str, second: str, separator: str) -> str:
    return separator.join(part for part in (first, second) if part)


def _find_run(client: "MlflowClient", experiment: str, tags: Mapping[str, str]) -> str | None:
    query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = client.search_runs([experiment], query, max_results=1)
    return found[0].info.run_id if found else None


def training_tags(code_version: str, version: str, hashed: str, trained_as_of: object) -> dict[str, str]:
    """Return MLflow tags: code version, hash and newest as_of of the training data, version of all inputs."""
    return {
        "clm.code_version": code_version,
        "clm.training_data_hash": hashed,
        "clm.training_as_of": str(trained_as_of),
        "clm.version": version,
    }


def data_hash(frame: pd.DataFrame) -> str:
    """Return a hash of a frame's rows that does not depend on their order, for the tags of a run."""
    rows = np.sort(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    columns = pd.util.hash_pandas_object(pd.Series(list(frame.columns), dtype=object), index=False).to_numpy()
    return hashlib.sha256(columns.tobytes() + rows.tobytes()).hexdigest()[:16]
