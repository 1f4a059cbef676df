"""The candidates of the contest: learners of the effect, and the rankings that they must beat.

Belongs here: which estimators are inside them. Does not: the learners (`statistics.uplift`), the contest.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from clm_dagster.statistics.uplift import (
    DRLearner,
    Learner,
    RLearner,
    SLearner,
    TLearner,
    TransformedOutcome,
    XLearner,
)

Floats = NDArray[np.float64]
_SEED = 20_260_101
_FOLDS = 3
# From nearly none to nearly all: how much effects differ between customers is not known before.
_PENALTIES = np.logspace(1, 7, 13)


def outcome_model() -> Any:
    """Return the model of conversions: small boosted trees."""
    return HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.05, max_leaf_nodes=15, early_stopping=False, random_state=_SEED
    )


def effect_model() -> Any:
    """Return the model of effects: ridge regression, whose penalty is chosen by leaving one out."""
    return make_pipeline(StandardScaler(), RidgeCV(_PENALTIES))


def logistic() -> Any:
    """Return a linear model of conversions."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1_000))


# The simplest first: of candidates that are equally good, the first one wins.
LEARNERS: Mapping[str, Callable[[], Learner]] = {
    "s_learner": lambda: SLearner(logistic()),
    "transformed_outcome": lambda: TransformedOutcome(effect_model=effect_model()),
    "x_learner": lambda: XLearner(outcome_model(), effect_model()),
    "r_learner": lambda: RLearner(outcome_model(), effect_model(), folds=_FOLDS),
    "dr_learner": lambda: DRLearner(outcome_model(), effect_model(), folds=_FOLDS),
    "t_learner": lambda: TLearner(outcome_model()),
}


def expected_outcome(x: Floats, y: Floats, rows: NDArray[np.bool_], later: Floats) -> Floats:
    """Return the probability of a conversion of other customers, by a model fitted on some rows, shape (m,).

    Fitted on treated customers, it is the ranking by response. rows: mask, shape (n,), with both outcomes.
    """
    with threadpool_limits(limits=1):  # sums over several threads differ in their last digits
        return np.asarray(outcome_model().fit(x[rows], y[rows]).predict_proba(later)[:, 1], dtype=float)
