"""MLflow: one run per materialization of a trained model, the model registry, the champion alias.

Belongs here: opening the store, its runs and models. Does not: what is logged into a run (`tracked_runs`), upkeep of
the store (`mlflow_store`), what is trained, or which model becomes champion. MLflow takes seconds to import, so it is
imported where it is first used. Fail fast when MLflow is unreachable.
"""

import hashlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pandas as pd
from filelock import FileLock

from clm_dagster.errors import UserError
from clm_dagster.platform.mlflow_store.dead_runs import close_dead_runs
from clm_dagster.platform.mlflow_store.experiments import describe_experiment, experiment_tags
from clm_dagster.platform.mlflow_store.files import StoreFile
from clm_dagster.platform.mlflow_store.registrations import (
    CHAMPION,
    OWNER,
    StoredTraining,
    complete,
    settle,
)
from clm_dagster.platform.processes import ProcessIdentity
from clm_dagster.platform.tracked_runs import TrackedRun, joined

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ORIGIN = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
_URIS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
# MLflow itself retries seven times with two minutes each. Variables that the user has set are kept.
_MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class TrackingError(UserError, RuntimeError):
    """The MLflow store cannot be used. The message names it and says what to do."""


class MissingModelError(TrackingError):
    """The MLflow store does not have the model of a training. The message names it and says what to do."""


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
        close_dead_runs(client, experiment)
        import mlflow

        asset = joined(self.prefix, asset, "/")
        identity = {
            "dagster.run_id": dagster_run_id,
            "dagster.asset_key": asset,
            "dagster.partition": partition,
            **tags,
        }
        found = _find_run(client, experiment, identity)
        owner = ProcessIdentity.own().tags(OWNER)
        with mlflow.start_run(
            run_id=found,
            experiment_id=experiment,
            run_name=f"{asset} {partition}".strip(),
            tags=identity | owner,
        ) as run:
            yield TrackedRun(
                run.info.run_id, client, self.prefix, experiment, found is None, _origin(run.data.tags)
            )

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
        return TrackedRun(run_id, client, self.prefix, run.info.experiment_id, False, _origin(run.data.tags))

    def complete(self, name: str, version: str, is_champion: bool) -> None:
        """Complete a training after its row was stored: point the alias `champion` at its version if it is that."""
        client, _ = self.open()
        complete(client, joined(self.prefix, name, "."), version, is_champion)

    def settle(self, name: str, stored: Collection[StoredTraining]) -> list[str]:
        """Make the registry agree with the table of trainings where a process was killed between the two.

        stored: all rows of the table, oldest first. Return what was done, as sentences.
        """
        client, _ = self.open()
        return settle(client, joined(self.prefix, name, "."), stored)

    def try_to_write(self) -> None:
        """Raise TrackingError if nothing can be written, before hours of training that could not be logged."""
        client, experiment = self.open()
        import mlflow
        import sqlalchemy

        try:
            describe_experiment(client, experiment, self.prefix)
            if self._is_local:
                tempfile.TemporaryFile(dir=self.artifact_dir).close()
        except (mlflow.MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            raise TrackingError(
                f"the MLflow store {self.uri} cannot be written: {_first_line(error)}. Allow this user to write to it"
                f"{f' and to {self.artifact_dir}' if self._is_local else ''}, or set MLFLOW_TRACKING_URI to another "
                "store."
            ) from error

    def upkeep(self) -> None:
        """Make the store of a data folder fit for use after a move of the folder or a kill.

        Do nothing where nothing is to do, without the seconds that MLflow takes, and nothing on a server. Raise
        TrackingError.
        """
        file = StoreFile.of(self.uri, self.artifact_dir)
        if file is None or not file.path.exists():
            return
        with self._errors(), FileLock(f"{self.artifact_dir}.lock"):
            file.follow_folder(self._experiment_name)
            is_running = file.has_running_runs()
        if is_running:
            close_dead_runs(*self.open())

    def lost(self, name: str, stored: Collection[StoredTraining]) -> list[StoredTraining]:
        """Return the rows of a table of trainings whose models the store of this data folder does not have.

        Return none for a server, which is not asked: a row whose model is missing there is reported when it is loaded.
        """
        file = StoreFile.of(self.uri, self.artifact_dir)
        if file is None:
            return []
        with self._errors():
            known = file.versions(joined(self.prefix, name, "."))
        return [row for row in stored if row.version and known.get(row.version) != row.run_id]

    def champion(self, name: str) -> str | None:
        """Return the version with the alias `champion` of a registered model, None where there is none."""
        from mlflow import MlflowException

        client, _ = self.open()
        try:
            return str(client.get_model_version_by_alias(joined(self.prefix, name, "."), CHAMPION).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise TrackingError(f"the MLflow store {self.uri} cannot be read: {error.message}") from error

    def sklearn_model(
        self, name: str, version: str, trusted: Sequence[str], run_id: str | None = None
    ) -> Any:
        """Load a version of a registered scikit-learn model without executing code from its file.

        run_id: the MLflow run of the training; None where it is not known. Raise MissingModelError if the store has no
        such version of this run, TrackingError if its file contains a type that is neither scikit-learn's own nor in
        `trusted`.
        """
        client, _ = self.open()
        import mlflow
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        name = joined(self.prefix, name, ".")
        uri = f"models:/{name}/{version}"
        try:
            found = client.get_model_version(name, version).run_id
            if run_id is not None and found != run_id:
                raise self._missing(name, version, f"there it is of the run {found}, not of {run_id}")
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        except (mlflow.MlflowException, OSError) as error:
            raise self._missing(name, version, _first_line(error)) from error
        (file,) = folder.glob("*.skops")
        try:
            return skops.io.load(file, trusted=list(trusted))
        except UntrustedTypesFoundException as error:
            raise TrackingError(f"{uri} cannot be loaded safely: {error}") from error

    def _missing(self, name: str, version: str, why: str) -> MissingModelError:
        return MissingModelError(
            f"version {version} of {name} is not in the MLflow store {self.uri}: {why}. Set MLFLOW_TRACKING_URI to the "
            f"store that contains it, or train the model again: materialize {name.replace('.', '/')} for its "
            "partition, or run `clm run` if the store is the one in the data folder."
        )

    @property
    def _experiment_name(self) -> str:
        return joined(self.experiment, self.prefix, ".")

    def _experiment(self, client: "MlflowClient") -> str:
        """Return the id of the experiment, which is created if missing."""
        found = client.get_experiment_by_name(self._experiment_name)
        if found:
            return str(found.experiment_id)
        folder = Path(self.artifact_dir).as_uri() if self._is_local else None
        return client.create_experiment(self._experiment_name, folder, experiment_tags(self.prefix))

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
        with self._errors(mlflow.MlflowException, sqlalchemy.exc.SQLAlchemyError):
            if self._is_local:
                Path(self.artifact_dir).mkdir(parents=True, exist_ok=True)
            set_by_user = {name for name in _URIS if name in os.environ}
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            # MLflow also writes the URIs to the environment, where the settings of another shop and other processes
            # would mistake them for the user's choice.
            for name in _URIS:
                if name not in set_by_user:
                    os.environ.pop(name, None)
            # Processes that train side by side would create the tables of a new store at the same time.
            with FileLock(f"{self.artifact_dir}.lock") if self._is_local else nullcontext():
                if file := StoreFile.of(self.uri, self.artifact_dir):
                    file.follow_folder(self._experiment_name)
                client = mlflow.MlflowClient(self.uri, self.uri)
                return client, self._experiment(client)

    @contextmanager
    def _errors(self, *kinds: type[Exception]) -> Iterator[None]:
        """Raise TrackingError for errors of the file, and for other kinds of errors."""
        caught: tuple[type[Exception], ...] = (sqlite3.Error, OSError, *kinds)
        try:
            yield
        except caught as error:
            raise TrackingError(
                f"the MLflow store {self.uri} cannot be used: {_first_line(error)}. Start its server or correct "
                "MLFLOW_TRACKING_URI; without that variable the store is a file in the data folder."
            ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:300]


def _origin(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that child runs share with their parent: user and program, and this process."""
    return {name: value for name, value in tags.items() if name in _ORIGIN} | ProcessIdentity.own().tags(
        OWNER
    )


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
