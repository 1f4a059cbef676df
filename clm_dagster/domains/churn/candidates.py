"""The candidate models of churn: scikit-learn pipelines with their own preprocessing.

Belongs here: one definition for each candidate, with a small parameter search. Does not belong here: the evaluation
(`evaluate`).

Every pipeline takes the frame of `features.derive`. Linear models get the scaled, signed logarithm of numbers and a
flag for missing values; trees get the numbers. `rebalance` gives all training snapshots the same base rate. The base
rate is forecast separately (`base_rate`). A model trained on different rates in different months would learn the
season from features that only happen to move with it.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import SelectKBest, mutual_info_classif
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from clm_dagster.domains.churn.feature_names import CATEGORIES
from clm_dagster.domains.churn.names import RECENCY
from clm_dagster.statistics.evaluation import safe_logit
from clm_dagster.statistics.lightgbm_trees import LightGBMClassifier, check_installed
from clm_dagster.statistics.networks import fit_batches

SEED = 20111209
# Rows per step of a network.
BATCH = 512
RARE = 0.02  # categories below this share are merged
Rebalance = Literal["weights", "over", "under", "none"]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A candidate: its pipeline, its columns and its parameter search.

    exact: whether its log-odds have an exact decomposition (`attribution`). columns: None for all.
    """

    name: str
    build: "Recipe"
    search: tuple[Parameters, ...] = field(default=({},))
    exact: bool = False
    columns: tuple[str, ...] | None = None
    rebalance: Rebalance = "weights"

    def used(self, columns: list[str]) -> list[str]:
        """Return those of the columns that this candidate uses."""
        return [name for name in columns if self.columns is None or name in self.columns]

    def pipeline(self, columns: list[str], parameters: Parameters) -> Pipeline:
        """Return an unfitted pipeline over the columns that this candidate uses."""
        return clone(self.build(self.used(columns))).set_params(**parameters)


def signed_log(values: Any) -> Any:
    """Return sign(v) * ln(1 + |v|), which spreads counts and money evenly and keeps the sign of returns."""
    return np.sign(values) * np.log1p(np.abs(values))


def _split(columns: list[str]) -> tuple[list[str], list[str]]:
    return [c for c in columns if c not in CATEGORIES], [c for c in columns if c in CATEGORIES]


def _categories() -> OneHotEncoder:
    return OneHotEncoder(min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False)


@dataclass(frozen=True, eq=False)
class Recipe:
    """A builder of pipelines: the preparation of the columns, an optional selection, and the model.

    scaled: whether numbers get the scaled logarithm; otherwise the model needs no scaling and accepts missing values.
    imputer: of scaled numbers, None for the median with a flag. select: selects among the prepared columns.
    """

    model: BaseEstimator
    scaled: bool
    imputer: BaseEstimator | None = None
    select: BaseEstimator | None = None

    @property
    def preparation(self) -> str:
        """The name of the preparation; recipes with the same name prepare the same columns in the same way."""
        if not self.scaled:
            return "plain"
        return "scaled" if self.imputer is None else type(self.imputer).__name__

    def __call__(self, columns: list[str]) -> Pipeline:
        """Return an unfitted pipeline; its first step is the preparation, its last one the model."""
        numbers, categories = _split(columns)
        prepared: Any = "passthrough"
        if self.scaled:
            prepared = Pipeline(
                [
                    ("log", FunctionTransformer(signed_log, feature_names_out="one-to-one")),
                    ("fill", self.imputer or SimpleImputer(strategy="median", add_indicator=True)),
                    ("scale", StandardScaler()),
                ]
            )
        parts = [("numbers", prepared, numbers)]
        if categories:
            parts.append(("categories", _categories(), categories))
        select = [("select", self.select)] if self.select is not None else []
        return Pipeline([("columns", ColumnTransformer(parts)), *select, ("model", self.model)])


def _scaled(
    model: BaseEstimator, imputer: BaseEstimator | None = None, select: BaseEstimator | None = None
) -> Recipe:
    return Recipe(model, True, imputer, select)


def _plain(model: BaseEstimator) -> Recipe:
    return Recipe(model, False)


def _mutual_information(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mutual information on at most 5,000 rows; its nearest-neighbour search costs more than the model."""
    rows = np.random.default_rng(SEED).permutation(len(y))[:5000]
    information: NDArray[np.float64] = mutual_info_classif(x[rows], y[rows], random_state=SEED)
    return information


def candidates(lightgbm: bool = False) -> tuple[Candidate, ...]:
    """Return all candidates, the naive baseline first.

    lightgbm: whether LightGBM is one (CLM_CHURN_LIGHTGBM). Raise MissingExtraError if it is not installed.
    """
    logistic = LogisticRegression(max_iter=1000)
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.15,
        max_iter=60,
        max_bins=64,
        min_samples_leaf=200,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=SEED,
    )
    forest = RandomForestClassifier(
        n_estimators=50, min_samples_leaf=20, max_features=0.4, max_samples=0.3, random_state=SEED
    )
    network = MLPClassifier(
        (16,),
        alpha=1.0,
        learning_rate_init=0.01,
        max_iter=30,
        batch_size=BATCH,
        tol=0.0,
        n_iter_no_change=40,
        random_state=SEED,
    )
    strengths = tuple({"model__C": c} for c in (0.005, 0.05))
    return (
        Candidate(RECENCY, _scaled(logistic), exact=True, columns=("recency_days",)),
        Candidate("frequency_recency", _scaled(logistic), exact=True, columns=("recency_days", "order_days")),
        Candidate("bgnbd", _plain(LogisticRegression()), exact=True, columns=("no_purchase_log_odds",)),
        Candidate("logistic", _scaled(logistic), strengths, exact=True),
        Candidate("logistic_unweighted", _scaled(logistic), strengths[1:2], exact=True, rebalance="none"),
        Candidate("logistic_oversampled", _scaled(logistic), strengths[1:2], exact=True, rebalance="over"),
        Candidate("logistic_undersampled", _scaled(logistic), strengths[1:2], exact=True, rebalance="under"),
        Candidate(
            "logistic_l1",
            _scaled(LogisticRegression(l1_ratio=1.0, solver="liblinear", random_state=SEED)),
            ({"model__C": 0.02},),
            exact=True,
        ),
        Candidate(
            "logistic_selected",
            _scaled(logistic, select=SelectKBest(_mutual_information, k=10)),
            ({"select__k": 10},),
            exact=True,
        ),
        Candidate(
            "logistic_imputed",
            _scaled(
                logistic,
                IterativeImputer(BayesianRidge(), max_iter=2, n_nearest_features=8, random_state=SEED),
            ),
            strengths[1:2],
            exact=True,
        ),
        Candidate("naive_bayes", _scaled(GaussianNB()), exact=True),
        Candidate(
            "tree",
            _plain(DecisionTreeClassifier(max_leaf_nodes=12, min_samples_leaf=200, random_state=SEED)),
            exact=True,
        ),
        Candidate("forest", _plain(forest)),
        Candidate(
            "boosting", _plain(boosting), tuple({"model__max_leaf_nodes": n} for n in (4, 7)), exact=True
        ),
        Candidate("svm", _scaled(LinearSVC(C=0.01, dual=False))),
        Candidate("mlp", _scaled(network)),
        *(_lightgbm() if lightgbm else ()),
    )


def _lightgbm() -> tuple[Candidate, ...]:
    check_installed("CLM_CHURN_LIGHTGBM")
    # Chosen on Online Retail II, test dates before June 2011: docs/decisions/lightgbm.md.
    trees = LightGBMClassifier(num_iterations=200, learning_rate=0.05, feature_fraction=0.5)
    return (Candidate(LIGHTGBM, _plain(trees), tuple({"model__num_leaves": n} for n in (4, 7)), exact=True),)


LIGHTGBM = "lightgbm"
# Candidates that need no judgement: they are always in the evaluation, and always explained.
BASELINES = (RECENCY, "frequency_recency")
# Means of log-odds. A blend has exact reasons if all its members have.
BLENDS: dict[str, tuple[str, ...]] = {
    "blend_logistic_bgnbd": ("logistic", "bgnbd"),
    "blend_boosting_bgnbd": ("boosting", "bgnbd"),
    "blend_logistic_boosting": ("logistic", "boosting"),
    "blend": ("logistic", "boosting", "bgnbd"),
    "blend_lightgbm": ("logistic", LIGHTGBM, "bgnbd"),
}


class LogOddsMean(ClassifierMixin, BaseEstimator):
    """Mean of the log-odds of fitted classifiers. Exact reasons of the members stay exact for the mean."""

    def __init__(self, members: list[Any]) -> None:
        self.members = members
        self.classes_ = np.array([0, 1])

    def fit(self, x: Any, y: Any) -> "LogOddsMean":
        """Fit every member. The evaluation passes members that are already fitted."""
        for member in self.members:
            member.fit(x, y)
        return self

    def decision_function(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """Return the mean log-odds of n rows."""
        mean: NDArray[np.float64] = np.mean([log_odds(member, x) for member in self.members], axis=0)
        return mean

    def predict_proba(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """Return the uncalibrated probabilities of 0 and 1."""
        p = expit(self.decision_function(x))
        return np.column_stack([1 - p, p])

    def predict(self, x: pd.DataFrame) -> NDArray[np.int64]:
        """Return 1 where the log-odds are above zero, else 0."""
        return (self.decision_function(x) > 0).astype(int)


def log_odds(model: Any, x: pd.DataFrame) -> NDArray[np.float64]:
    """Return the uncalibrated log-odds of n rows.

    The margin of a support vector machine is used as log-odds. Probabilities of a tree or a forest are clipped away
    from 0 and 1.
    """
    if isinstance(model, Pipeline):
        return log_odds_of_prepared(model, model[:1].transform(x))
    return np.asarray(model.decision_function(x), dtype=float)


def log_odds_of_prepared(model: Pipeline, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `log_odds` from the result of the pipeline's first step for n rows."""
    last = model[-1]
    for step in model[1:-1] if len(model) > 2 else ():
        z = step.transform(z)
    if isinstance(last, GaussianNB):
        joint = last.predict_joint_log_proba(z)
        difference: NDArray[np.float64] = joint[:, 1] - joint[:, 0]
        return difference
    if hasattr(last, "decision_function"):
        return np.asarray(last.decision_function(z), dtype=float)
    return safe_logit(last.predict_proba(z)[:, 1])


def rebalance_rows(
    labels: NDArray[np.float64], snapshots: NDArray[np.int64], method: Rebalance
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Return the rows to fit on and their weights, so that every snapshot has the overall base rate.

    labels: n values of 0 or 1. snapshots: the snapshot number of each row. Sampling uses a fixed seed.
    """
    rows = np.arange(len(labels))
    if method == "none":
        return rows, None
    frame = pd.DataFrame({"y": labels, "s": snapshots})
    overall_rate, snapshot_rate = labels.mean(), frame.groupby("s")["y"].transform("mean").to_numpy()
    weights = np.where(labels == 1, overall_rate / snapshot_rate, (1 - overall_rate) / (1 - snapshot_rate))
    if method == "weights":
        return rows, weights
    rng = np.random.default_rng(SEED)
    scale = weights / (weights.max() if method == "under" else weights.min())
    copies = np.floor(scale + rng.random(len(rows))).astype(int)
    return np.repeat(rows, copies), None


def fit_candidate(
    candidate: Candidate,
    columns: list[str],
    parameters: Parameters,
    x: pd.DataFrame,
    labels: NDArray[np.float64],
    snapshots: NDArray[np.int64],
) -> Pipeline:
    """Fit one candidate on rows of several snapshots."""
    rows, weights = rebalance_rows(labels, snapshots, candidate.rebalance)
    pipeline, y = candidate.pipeline(columns, parameters), labels[rows].astype(int)
    return fit_prepared(pipeline, prepare(pipeline[0], x.iloc[rows], y), y, weights)


def prepare(step: Any, x: pd.DataFrame, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fit the first step of a pipeline and return its result for the rows to fit on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few rounds of imputation are intended
        prepared: NDArray[np.float64] = step.fit_transform(x, y)
    return prepared


def fit_prepared(
    pipeline: Pipeline, z: NDArray[np.float64], y: NDArray[np.int64], weights: NDArray[np.float64] | None
) -> Pipeline:
    """Fit a pipeline whose first step is fitted already. z: the result of that step for the rows to fit on."""
    extra = {} if weights is None else {"model__sample_weight": weights}
    with warnings.catch_warnings():
        # Early stopping is intended; validation shows how good the candidate is.
        warnings.simplefilter("ignore", ConvergenceWarning)
        rest = Pipeline(pipeline.steps[1:])
        fit_batches(rest, len(z), BATCH)
        rest.fit(z, y, **extra)
    return Pipeline([pipeline.steps[0], *rest.steps])
