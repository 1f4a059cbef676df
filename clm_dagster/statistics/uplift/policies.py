"""The value of treating some customers and not others, measured on a randomised trial.

Belongs here: inverse propensity weighting, the doubly robust estimate, standard errors, differences of two policies.
Does not: choosing whom to treat (`allocation` does, under a budget).

    scores = doubly_robust_scores(effect > 0, treatment, margin, 0.5, mean_if_treated, mean_if_not, cost=0.4)
    policy_value(scores)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clm_dagster.statistics.uplift.trials import Floats, UpliftError, as_arms, as_propensity

_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class PolicyValue:
    """The mean outcome per customer under a policy (or a difference of two), minus costs, with its uncertainty.

    value, standard_error, low, high: in the unit of the outcome, per customer; the interval is normal, 95%.
    """

    value: float
    standard_error: float
    customers: int

    @property
    def low(self) -> float:
        """The lower end of the 95% interval."""
        return self.value - _NORMAL_95 * self.standard_error

    @property
    def high(self) -> float:
        """The upper end of the 95% interval."""
        return self.value + _NORMAL_95 * self.standard_error

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}] per customer"


def weighted_scores(
    policy: ArrayLike,
    treatment: ArrayLike,
    outcome: ArrayLike,
    propensity: ArrayLike,
    cost: ArrayLike = 0.0,
) -> Floats:
    """Return a score for each customer whose mean is the policy's value, by inverse propensity weighting.

    y / P(arm) for customers whose arm is what the policy decides, 0 for the others, minus the cost of treating
    (Horvitz, Thompson 1952).
    policy: shape (n,), whether the policy treats each customer. treatment: shape (n,), 1 or 0. outcome: shape (n,).
    propensity: the probability of treatment, one number or shape (n,). cost: of treating a customer, in the unit of the
    outcome, one number or shape (n,). Raise UpliftError for input that cannot be used.
    """
    zero = np.zeros(len(np.atleast_1d(np.asarray(outcome))))
    return doubly_robust_scores(policy, treatment, outcome, propensity, zero, zero, cost)


def doubly_robust_scores(
    policy: ArrayLike,
    treatment: ArrayLike,
    outcome: ArrayLike,
    propensity: ArrayLike,
    if_treated: ArrayLike,
    if_not: ArrayLike,
    cost: ArrayLike = 0.0,
) -> Floats:
    """Return a score for each customer whose mean is the policy's value, doubly robust.

    mu + (y - mu) / P(arm) for customers whose arm is what the policy decides, mu for the others, minus the cost of
    treating (Dudík, Langford, Li 2011). It is unbiased if the propensity or mu is right, and the less noisy the better
    mu predicts.
    if_treated, if_not: shape (n,), expected outcomes by models that did not see the customer; mu is the one of the arm
    that the policy decides. Other arguments: `weighted_scores`.
    """
    t, y = as_arms(treatment, outcome)
    act = _as_policy(policy, len(y))
    e = as_propensity(propensity, len(y))
    expected = np.where(act, _as_vector(if_treated, len(y)), _as_vector(if_not, len(y)))
    probability = np.where(act, e, 1 - e)
    followed = act == (t == 1)
    corrected = expected + np.where(followed, (y - expected) / probability, 0.0)
    return np.asarray(corrected - act * _as_vector(cost, len(y)))


def policy_value(scores: ArrayLike) -> PolicyValue:
    """Return the value of a policy from the scores of customers, shape (n,), n >= 2. Raise UpliftError for fewer."""
    values = np.asarray(scores, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise UpliftError(f"a standard error needs 2 customers, got scores of shape {values.shape}")
    return PolicyValue(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values))


def policy_difference(scores: ArrayLike, reference_scores: ArrayLike) -> PolicyValue:
    """Return the value of a policy minus that of a reference, paired by customer: where both agree nothing differs."""
    return policy_value(np.asarray(scores, dtype=float) - np.asarray(reference_scores, dtype=float))


def top_share(effect: ArrayLike, share: float) -> NDArray[np.bool_]:
    """Return the policy that treats the given share of customers, those with the largest effects; ties by order.

    Raise UpliftError for a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise UpliftError(f"a share is between 0 and 1, got {share:g}")
    s = np.asarray(effect, dtype=float)
    policy = np.zeros(len(s), dtype=bool)
    policy[np.argsort(-s, kind="stable")[: round(share * len(s))]] = True
    return policy


def _as_policy(policy: ArrayLike, count: int) -> NDArray[np.bool_]:
    act = np.asarray(policy)
    if act.shape != (count,) or not np.isin(act, (0, 1)).all():
        raise UpliftError(
            f"a policy says for each of {count} customers whether to treat them, got shape {act.shape}"
        )
    return act.astype(bool)


def _as_vector(values: ArrayLike, count: int) -> Floats:
    return np.broadcast_to(np.asarray(values, dtype=float), (count,))
