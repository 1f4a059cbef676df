"""Models of outcomes and of effects inside uplift models: defaults, fits and predictions of any scikit-learn estimator.

Belongs here: what is the same for all learners. Does not: the learners.
"""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from clm_dagster.statistics.uplift.trials import SEED, Floats, Ints, is_binary


def default_outcome_model(outcome: Floats) -> Any:
    """Return small boosted trees: a classifier for outcomes of 0 and 1, else a regressor."""
    kind = HistGradientBoostingClassifier if is_binary(outcome) else HistGradientBoostingRegressor
    return kind(max_iter=60, learning_rate=0.05, max_leaf_nodes=15, random_state=SEED)


def default_effect_model() -> Any:
    """Return ridge regression on standardised features: effects are small and noisy, so few parameters."""
    return make_pipeline(StandardScaler(), Ridge(1.0))


def fitted(model: Any, features: Floats, target: Floats, weights: Floats | None = None) -> Any:
    """Return a fitted copy of an estimator; a constant for a target with one value.

    weights: shape (n,), or None. The last step of a pipeline gets them.
    """
    if len(target) == 0 or np.all(target == target[0]):
        constant = float(target[0]) if len(target) else 0.0
        return DummyRegressor(strategy="constant", constant=constant).fit(np.zeros((1, 1)), [constant])
    copy = clone(model)
    if weights is None:
        return copy.fit(features, target)
    name = f"{copy.steps[-1][0]}__sample_weight" if isinstance(copy, Pipeline) else "sample_weight"
    return copy.fit(features, target, **{name: weights})


def predicted(model: Any, features: Floats) -> Floats:
    """Return the expected outcome of each customer, shape (n,): a classifier's probability of 1."""
    if isinstance(model, DummyRegressor):
        # It is a constant, and knows nothing of the number of features.
        return np.full(len(features), float(model.constant_.ravel()[0]))
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features)[:, 1], dtype=float)
    return np.asarray(model.predict(features), dtype=float)


def out_of_fold(model: Any, features: Floats, target: Floats, place: Ints, rows: Any = None) -> Floats:
    """Return predictions for every customer, shape (n,), each from a copy that did not see the customer's fold.

    place: fold of each customer, shape (n,). rows: mask (n,) of the customers that fits may use, such as one arm.
    """
    usable = np.ones(len(target), dtype=bool) if rows is None else rows
    found = np.empty(len(target))
    for fold in np.unique(place):
        inside = place == fold
        fit_on = usable & ~inside
        found[inside] = predicted(fitted(model, features[fit_on], target[fit_on]), features[inside])
    return found
