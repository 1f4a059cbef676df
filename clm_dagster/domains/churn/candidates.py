"""Who takes part in the churn contest: scikit-learn pipelines that carry their own preprocessing.

Belongs here: one entry for each candidate, with its smallest useful search. Does not: judging (`model`).

Every pipeline takes the frame of `features.derive`. Linear ones see the signed logarithm of numbers, a flag for
what is missing, scaled; trees see the numbers. `rebalance` says how the base rates of the
snapshots are made alike: the shop's level is forecast apart (`level`), and a model that sees other
rates in other months reads the season out of features that only happen to move with it.
"""

import warnings
from collections.abc import Callable, Mapping
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

from clm_dagster.domains.churn.features import CATEGORIES
from clm_dagster.statistics.evaluation import safe_logit

SEED = 20111209
RARE = 0.02  # categories below this share are one
Rebalance = Literal["weights", "over", "under", "none"]
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One entry: how it is built, of which columns, over which parameters it is searched.

    exact: whether its log-odds can be taken apart exactly (`attribution`). columns: None for all.
    """

    name: str
    build: Callable[[list[str]], Pipeline]
    search: tuple[Parameters, ...] = field(default=({},))
    exact: bool = False
    columns: tuple[str, ...] | None = None
    rebalance: Rebalance = "weights"

    def pipeline(self, columns: list[str], parameters: Parameters) -> Pipeline:
        """An unfitted pipeline over those of `columns` that it uses."""
        used = [name for name in columns if self.columns is None or name in self.columns]
        return clone(self.build(used)).set_params(**parameters)


def signed_log(values: Any) -> Any:
    """sign(v) * ln(1 + |v|): counts and money spread evenly, returns keep their sign."""
    return np.sign(values) * np.log1p(np.abs(values))


def _split(columns: list[str]) -> tuple[list[str], list[str]]:
    return [c for c in columns if c not in CATEGORIES], [c for c in columns if c in CATEGORIES]


def _categories() -> OneHotEncoder:
    return OneHotEncoder(min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False)


def _scaled(
    model: BaseEstimator, imputer: BaseEstimator | None = None, select: BaseEstimator | None = None
) -> Any:
    """A builder of pipelines that take the logarithm, fill, scale, and then fit `model`."""

    def build(columns: list[str]) -> Pipeline:
        numbers, categories = _split(columns)
        fill = imputer or SimpleImputer(strategy="median", add_indicator=True)
        steps = [
            ("log", FunctionTransformer(signed_log, feature_names_out="one-to-one")),
            ("fill", fill),
            ("scale", StandardScaler()),
        ]
        parts = [("numbers", Pipeline(steps), numbers)]
        if categories:
            parts.append(("categories", _categories(), categories))
        select_steps = [("select", select)] if select is not None else []
        return Pipeline([("columns", ColumnTransformer(parts)), *select_steps, ("model", model)])

    return build


def _plain(model: BaseEstimator) -> Any:
    """A builder of pipelines for models that need no scaling and take missing values as they are."""

    def build(columns: list[str]) -> Pipeline:
        numbers, categories = _split(columns)
        parts: list[tuple[str, Any, list[str]]] = [("numbers", "passthrough", numbers)]
        if categories:
            parts.append(("categories", _categories(), categories))
        return Pipeline([("columns", ColumnTransformer(parts)), ("model", model)])

    return build


def _mutual_information(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mutual information on at most 5,000 rows: its nearest neighbours cost more than the model."""
    rows = np.random.default_rng(SEED).permutation(len(y))[:5000]
    return mutual_info_classif(x[rows], y[rows], random_state=SEED)


def candidates() -> tuple[Candidate, ...]:
    """All of them, the naive baseline first."""
    logistic = LogisticRegression(max_iter=1000)
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.15, max_iter=60, max_bins=64, min_samples_leaf=200, l2_regularization=5.0,
        early_stopping=False, random_state=SEED,
    )  # fmt: skip
    forest = RandomForestClassifier(
        n_estimators=50, min_samples_leaf=20, max_features=0.4, max_samples=0.3, random_state=SEED
    )
    network = MLPClassifier((16,), alpha=1.0, learning_rate_init=0.01, max_iter=30, batch_size=512, tol=0.0,
                            n_iter_no_change=40, random_state=SEED)  # fmt: skip
    strengths = tuple({"model__C": c} for c in (0.005, 0.05))
    return (
        Candidate(RECENCY, _scaled(logistic), exact=True, columns=("recency_days",)),
        Candidate("frequency_recency", _scaled(logistic), exact=True, columns=("recency_days", "order_days")),
        Candidate("bgnbd", _plain(LogisticRegression()), exact=True, columns=("rhythm",)),
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
    )


RECENCY = "recency"
# Means of log-odds: each allows exact reasons as its members do.
BLENDS: dict[str, tuple[str, ...]] = {
    "blend_logistic_bgnbd": ("logistic", "bgnbd"),
    "blend_boosting_bgnbd": ("boosting", "bgnbd"),
    "blend_logistic_boosting": ("logistic", "boosting"),
    "blend": ("logistic", "boosting", "bgnbd"),
}


class LogOddsMean(ClassifierMixin, BaseEstimator):
    """Mean of the log-odds of fitted classifiers: exact reasons of the members stay exact of the mean."""

    def __init__(self, members: list[Any]) -> None:
        self.members = members
        self.classes_ = np.array([0, 1])

    def fit(self, x: Any, y: Any) -> "LogOddsMean":
        """Fit every member; contests hand over members that are fitted already."""
        for member in self.members:
            member.fit(x, y)
        return self

    def decision_function(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """Mean log-odds of n rows."""
        return np.mean([log_odds(member, x) for member in self.members], axis=0)

    def predict_proba(self, x: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities of 0 and 1, before calibration."""
        p = expit(self.decision_function(x))
        return np.column_stack([1 - p, p])

    def predict(self, x: pd.DataFrame) -> NDArray[np.int64]:
        """1 where the log-odds are above zero."""
        return (self.decision_function(x) > 0).astype(int)


def log_odds(model: Any, x: pd.DataFrame) -> NDArray[np.float64]:
    """Log-odds of n rows before calibration; a support vector machine's margin stands for its own.

    A single tree and a forest say probabilities, kept off 0 and 1.
    """
    last = model[-1] if isinstance(model, Pipeline) else model
    if isinstance(last, GaussianNB):
        joint = last.predict_joint_log_proba(model[:-1].transform(x))
        return joint[:, 1] - joint[:, 0]
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(x), dtype=float)
    return safe_logit(model.predict_proba(x)[:, 1])


def rebalanced(
    labels: NDArray[np.float64], snapshots: NDArray[np.int64], how: Rebalance
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Rows to fit on, and their weights: every snapshot then shows the base rate of all of them.

    labels: n of 0 or 1; snapshots: n numbers of snapshots. Samples are drawn with the fixed seed.
    """
    rows = np.arange(len(labels))
    if how == "none":
        return rows, None
    frame = pd.DataFrame({"y": labels, "s": snapshots})
    rate, own = labels.mean(), frame.groupby("s")["y"].transform("mean").to_numpy()
    weights = np.where(labels == 1, rate / own, (1 - rate) / (1 - own))
    if how == "weights":
        return rows, weights
    rng = np.random.default_rng(SEED)
    scale = weights / (weights.max() if how == "under" else weights.min())
    copies = np.floor(scale + rng.random(len(rows))).astype(int)
    return np.repeat(rows, copies), None


def fitted(
    candidate: Candidate, columns: list[str], parameters: Parameters, x: pd.DataFrame,
    labels: NDArray[np.float64], snapshots: NDArray[np.int64],
) -> Pipeline:  # fmt: skip
    """Fit one candidate on rows of several snapshots."""
    rows, weights = rebalanced(labels, snapshots, candidate.rebalance)
    pipeline = candidate.pipeline(columns, parameters)
    extra = {} if weights is None else {"model__sample_weight": weights}
    with warnings.catch_warnings():
        # Stopped early is no fault: what a candidate is worth is seen on validation.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return pipeline.fit(x.iloc[rows], labels[rows].astype(int), **extra)
