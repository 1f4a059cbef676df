"""Boosted trees of LightGBM (Ke et al. 2017) as scikit-learn estimators.

lightgbm is the extra `boosting` and imported late, so that this module and files with its estimators load without it.
An estimator holds its trees as text, LightGBM's own format. A file of it therefore contains no code.

Belongs here: fits that are the same on every run, predictions, Shapley values. Does not: which parameters a model uses
(the candidates of the domains).
"""

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from clm_dagster.errors import UserError

if TYPE_CHECKING:
    from lightgbm import Booster

Floats = NDArray[np.float64]
PACKAGE = "lightgbm"
# One thread, because sums over several threads differ in their last digits and small fits wait for the slowest thread.
_FIXED: dict[str, Any] = {
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


class MissingExtraError(UserError):
    """The extra `boosting` is not installed."""


def check_installed(setting: str) -> None:
    """Raise MissingExtraError without lightgbm. setting: the one that asks for it."""
    if sys.modules.get(PACKAGE, PACKAGE) is None or find_spec(PACKAGE) is None:
        raise MissingExtraError(
            f"{setting} is on, but the package lightgbm is not installed: pip install 'clm_dagster[boosting]', or "
            f"set {setting}=false"
        )


def holds_trees(part: object) -> bool:
    """Return whether an estimator, or a collection of estimators, holds an estimator of this module."""
    if isinstance(part, _Trees):
        return True
    if isinstance(part, Mapping):
        return any(holds_trees(one) for one in part.values())
    if isinstance(part, list | tuple):
        return any(holds_trees(one) for one in part)
    return isinstance(part, BaseEstimator) and holds_trees(vars(part))


class _Trees(BaseEstimator):
    """Boosted trees. The arguments are LightGBM's; text_ holds the fitted trees."""

    objective = ""

    def __init__(
        self,
        num_iterations: int = 60,
        learning_rate: float = 0.15,
        num_leaves: int = 7,
        min_data_in_leaf: int = 200,
        lambda_l2: float = 5.0,
        max_bin: int = 63,
        feature_fraction: float = 1.0,
        extra_trees: bool = False,
        seed: int = 0,
    ) -> None:
        self.num_iterations = num_iterations
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_data_in_leaf = min_data_in_leaf
        self.lambda_l2 = lambda_l2
        self.max_bin = max_bin
        self.feature_fraction = feature_fraction
        self.extra_trees = extra_trees
        self.seed = seed

    def _fit(self, x: Any, y: ArrayLike, sample_weight: ArrayLike | None) -> None:
        lightgbm = _lightgbm()
        parameters = self.get_params() | _FIXED | {"objective": self.objective}
        rounds = parameters.pop("num_iterations")
        data = lightgbm.Dataset(
            _matrix(x), np.asarray(y, dtype=float), weight=sample_weight, params=parameters
        )
        self.text_ = str(lightgbm.train(parameters, data, num_boost_round=rounds).model_to_string())

    def _raw(self, x: Any) -> Floats:
        return self._predict(x, raw_score=True)

    def contributions(self, x: Any) -> tuple[float, Floats]:
        """Return the base, and path-dependent Shapley values with the shape of x, of the sum of the trees."""
        # The base is in each row, so that a row of missing values gives it where there is no row.
        matrix = _matrix(x)
        found = self._predict(np.vstack([matrix, np.full((1, matrix.shape[1]), np.nan)]), pred_contrib=True)
        return float(found[-1, -1]), found[:-1, :-1]

    def _predict(self, x: Any, **kind: bool) -> Floats:
        matrix = _matrix(x)
        if not len(matrix):  # LightGBM divides by the number of rows
            return np.zeros(0)
        found: Floats = np.asarray(_booster(self.text_).predict(matrix, num_threads=1, **kind), dtype=float)
        return found


class LightGBMClassifier(ClassifierMixin, _Trees):
    """A binary classifier by log loss, of labels 0 and 1."""

    objective = "binary"

    def fit(self, x: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "LightGBMClassifier":
        """Fit on n rows; NaN is a missing value. Raise MissingExtraError without lightgbm."""
        self.classes_ = np.array([0, 1])
        self._fit(x, y, sample_weight)
        return self

    def decision_function(self, x: Any) -> Floats:
        """Return the log-odds of n rows."""
        return self._raw(x)

    def predict_proba(self, x: Any) -> Floats:
        """Return the probabilities of 0 and 1, n rows x 2."""
        p = expit(self._raw(x))
        return np.column_stack([1 - p, p])

    def predict(self, x: Any) -> NDArray[np.int64]:
        """Return 1 where the log-odds are above zero, else 0."""
        return (self._raw(x) > 0).astype(np.int64)


class LightGBMRegressor(RegressorMixin, _Trees):
    """A regression by squared loss."""

    objective = "regression"

    def fit(self, x: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "LightGBMRegressor":
        """Fit on n rows; NaN is a missing value. Raise MissingExtraError without lightgbm."""
        self._fit(x, y, sample_weight)
        return self

    def predict(self, x: Any) -> Floats:
        """Return the expected value of n rows."""
        return self._raw(x)


def _matrix(x: Any) -> Floats:
    return np.ascontiguousarray(x.to_numpy() if isinstance(x, pd.DataFrame) else x, dtype=float)


@lru_cache(maxsize=16)
def _booster(text: str) -> "Booster":
    booster: Booster = _lightgbm().Booster(model_str=text)
    return booster


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the model has trees of LightGBM, but lightgbm is not installed: pip install 'clm_dagster[boosting]'"
        ) from error
    return lightgbm
