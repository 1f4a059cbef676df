"""A fitted model in MLflow's registry, and the way back.

Belongs here: what a domain says of its registered estimator. Does not: MLflow itself (`tracking`), which version is
used (`champions`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.platform.build_ledger.code_version import PACKAGE, Root
from clm_dagster.platform.tracking import LoggedModel, TrackedRun, Tracking

Fitted = TypeVar("Fitted")
# What every estimator of ours needs to be loaded.
PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "skops")


@dataclass(frozen=True)
class RegisteredModel(Generic[Fitted]):
    """The registered model of one table of trainings.

    name: of the table and of the registered model, `models.churn_model`. pack: the fitted model as one scikit-learn
    estimator; unpack: the reverse. trusted: types in its file beyond scikit-learn's own; nothing else is loaded.
    packages: what it needs to be loaded.
    """

    name: str
    pack: Callable[[Fitted], BaseEstimator]
    unpack: Callable[[Any], Fitted]
    trusted: tuple[str, ...]
    packages: tuple[str, ...] = PACKAGES

    @property
    def code(self) -> list[Root]:
        """What decides the answers of a loaded model: the way back, and the types of ours that are in its file."""
        return [self.unpack, *(name for name in self.trusted if name.startswith(f"{PACKAGE}."))]

    def log(self, run: TrackedRun, fitted: Fitted, example: pd.DataFrame) -> LoggedModel:
        """Log the model with its signature and register it."""
        return run.sklearn_model(self.name, self.pack(fitted), example, self.packages, self.trusted)

    def load(self, tracking: Tracking, version: str) -> Fitted:
        """Return a version. Raise TrackingError for one that is not there or not to be trusted."""
        return self.unpack(tracking.sklearn_model(self.name, version, self.trusted))
