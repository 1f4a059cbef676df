"""Checked input of uplift models: features, treatment and outcome of a trial, and the probability of treatment.

Belongs here: checks, propensities, folds. Does not: models of effects (`learners`), evaluation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from clm_dagster.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 20_260_101
FOLDS = 5
# Estimated propensities are kept this far from 0 and 1: a customer who counts a hundred times decides alone.
CLIP = 0.01


class UpliftError(UserError, ValueError):
    """The input of an uplift model cannot be used. The message says what was expected and what was found."""


@dataclass(frozen=True)
class Trial:
    """Customers of a trial.

    features: shape (n, p). treatment: shape (n,), 1.0 for treated customers, 0.0 for the control. outcome: shape (n,),
    in any unit; 0 and 1 for a binary one. propensity: shape (n,), the probability that a customer is treated.
    """

    features: Floats
    treatment: Floats
    outcome: Floats
    propensity: Floats

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def treated(self) -> NDArray[np.bool_]:
        """Whether each customer is treated, shape (n,)."""
        return np.asarray(self.treatment == 1)


def as_features(features: ArrayLike) -> Floats:
    """Return features as floats of shape (n, p). Raise UpliftError for another shape."""
    x = np.asarray(features, dtype=float)
    if x.ndim != 2:
        raise UpliftError(f"features must have the shape (customers, features), got {x.shape}")
    return x


def as_arms(treatment: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats]:
    """Return treatment and outcome as floats of shape (n,).

    Raise UpliftError for different lengths, a treatment other than 0 and 1, an arm without customers, or outcomes that
    are not finite.
    """
    t, y = np.asarray(treatment, dtype=float), np.asarray(outcome, dtype=float)
    if t.ndim != 1 or t.shape != y.shape:
        raise UpliftError(
            f"treatment and outcome must have one shape (customers,), got {t.shape} and {y.shape}"
        )
    if not np.isin(t, (0.0, 1.0)).all():
        raise UpliftError("treatment must be 1 for treated customers and 0 for the control")
    if not 0 < t.sum() < len(t):
        raise UpliftError(
            f"both arms need customers, got {int(t.sum())} treated and {int(len(t) - t.sum())} in the control"
        )
    if not np.isfinite(y).all():
        raise UpliftError(f"outcomes must be finite, {int((~np.isfinite(y)).sum())} are not")
    return t, y


def as_propensity(propensity: ArrayLike, count: int) -> Floats:
    """Return known probabilities of treatment, shape (count,), from one number or one for each customer.

    Raise UpliftError for one that is not between 0 and 1, exclusive: then one arm says nothing about that customer.
    """
    e = np.array(np.broadcast_to(np.asarray(propensity, dtype=float), (count,)))
    if not ((e > 0) & (e < 1)).all():
        raise UpliftError(
            "propensities must be above 0 and below 1: every customer must be able to get either arm"
        )
    return e


def folds_of(treatment: Floats, outcome: Floats, folds: int, seed: int = SEED) -> Ints:
    """Return the fold of each customer, shape (n,), with equal shares of both arms (and of a binary outcome).

    There are fewer folds where an arm is smaller than their number. Raise UpliftError if an arm has one customer only.
    """
    smallest = int(min(treatment.sum(), len(treatment) - treatment.sum()))
    if smallest < 2:
        raise UpliftError(f"cross-fitting needs 2 customers in each arm, the smaller arm has {smallest}")
    kinds = treatment.astype(np.int64)
    if is_binary(outcome):
        both = 2 * kinds + (outcome == outcome.max())
        if np.unique(both, return_counts=True)[1].min() >= folds:
            kinds = both
    splitter = StratifiedKFold(min(folds, smallest), shuffle=True, random_state=seed)
    place = np.empty(len(kinds), dtype=np.int64)
    for fold, (_, rows) in enumerate(splitter.split(np.zeros((len(kinds), 1)), kinds)):
        place[rows] = fold
    return place


def is_binary(outcome: Floats) -> bool:
    """Return whether all outcomes are 0 or 1."""
    return bool(np.isin(outcome, (0.0, 1.0)).all())


def estimated_propensity(model: Any, features: Floats, treatment: Floats, place: Ints) -> Floats:
    """Return P(treated | features), shape (n,), each from a copy of a classifier that did not see the customer.

    place: fold of each customer. The probabilities are clipped to CLIP and 1 - CLIP.
    """
    found = np.empty(len(treatment))
    for fold in np.unique(place):
        inside = place == fold
        fitted = clone(model).fit(features[~inside], treatment[~inside])
        found[inside] = fitted.predict_proba(features[inside])[:, 1]
    clipped: Floats = np.clip(found, CLIP, 1 - CLIP)
    return clipped
