"""Saving fitted models to MLflow's registry and loading them.

Belongs here: a domain's definition of its registered estimator. Does not: calls of MLflow (`tracking`), which version
is used (`champions`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pandas as pd

from clm_dagster.platform.build_ledger.code_version import PACKAGE, Root
from clm_dagster.platform.mlflow_store.registrations import Registration
from clm_dagster.platform.tracked_runs import LoggedModel, TrackedRun
from clm_dagster.platform.tracking import Tracking
from clm_dagster.platform.trained_models.examples import typical_rows

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Fitted = TypeVar("Fitted")
# Packages that every estimator of this project requires.
PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "skops")
# Types in the file of a gradient boosting classifier, beyond those that skops trusts.
BOOSTING_TYPES = (
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


@dataclass(frozen=True)
class RegisteredModel(Generic[Fitted]):
    """The registered model of one table of trainings.

    name: name of the table and of the registered model, `models.churn_model`. pack: converts the fitted model to one
    scikit-learn estimator. unpack: the inverse. trusted: types in its file beyond scikit-learn's own; no other types
    are loaded. packages: its requirements, to which lightgbm is added where the model has trees of it. illustrate:
    makes the example that MLflow stores from real input rows, none of which it may contain.
    """

    name: str
    pack: Callable[[Fitted], "BaseEstimator"]
    unpack: Callable[[Any], Fitted]
    trusted: tuple[str, ...]
    packages: tuple[str, ...] = PACKAGES
    illustrate: Callable[[pd.DataFrame], pd.DataFrame] = typical_rows

    @property
    def code(self) -> list[Root]:
        """The code that determines predictions of a loaded model: `unpack`, and types of this project in its file."""
        return [self.unpack, *(name for name in self.trusted if name.startswith(f"{PACKAGE}."))]

    def log(
        self, run: TrackedRun, fitted: Fitted, example: pd.DataFrame, registration: Registration
    ) -> LoggedModel:
        """Log the model with its signature and register it.

        example: real input rows, from which the signature is inferred; they are not stored. registration: what the
        registry says of it.
        """
        packed, shown = self.pack(fitted), self.illustrate(example)
        packages = self.requirements(packed)
        return run.sklearn_model(self.name, packed, example, shown, packages, self.trusted, registration)

    def requirements(self, packed: "BaseEstimator") -> tuple[str, ...]:
        """Return the packages that a packed model requires."""
        from clm_dagster.statistics import lightgbm_trees

        extra = (lightgbm_trees.PACKAGE,) if lightgbm_trees.holds_trees(packed) else ()
        return (*self.packages, *extra)

    def load(self, tracking: Tracking, version: str, run_id: str | None = None) -> Fitted:
        """Load a version. run_id: the MLflow run of its training; None where it is not known.

        Raise MissingModelError if MLflow does not have it, TrackingError if its file is not trusted.
        """
        return self.unpack(tracking.sklearn_model(self.name, version, self.trusted, run_id))
