"""Meta-learners: the effect of a treatment on each customer, from any scikit-learn estimators.

Belongs here: S-, T-, X-, R- and DR-learner, and the transformed outcome. Does not: evaluation, gates, policies.

    learner = XLearner(propensity=0.5).fit(features, treatment, outcome)
    effect = learner.predict(later_features)  # shape (n,), in the unit of the outcome

All take the same arguments. outcome_model: estimator of the outcome, a classifier for outcomes of 0 and 1; None means
small boosted trees. effect_model: regressor of the effect; None means ridge regression. propensity: the known
probability of treatment in a randomised trial; None means the share of treated customers in it; a classifier means that
treatment was not randomised, and its probability is estimated, cross-fitted. `fit` also takes a known probability for
each customer. Without randomisation an effect is causal only if the features hold everything that decided on treatment.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from clm_dagster.statistics.uplift.outcomes import (
    default_effect_model,
    default_outcome_model,
    fitted,
    out_of_fold,
    predicted,
)
from clm_dagster.statistics.uplift.trials import (
    CLIP,
    FOLDS,
    SEED,
    Floats,
    Ints,
    Trial,
    UpliftError,
    as_arms,
    as_features,
    as_propensity,
    estimated_propensity,
    folds_of,
)


class Learner(BaseEstimator):
    """What all learners share: checks, the propensity, folds, one thread.

    Fits are deterministic: the folds come from `seed`, and the default estimators have fixed seeds.
    """

    def __init__(
        self,
        outcome_model: Any = None,
        effect_model: Any = None,
        propensity: Any = None,
        folds: int = FOLDS,
        seed: int = SEED,
    ) -> None:
        self.outcome_model = outcome_model
        self.effect_model = effect_model
        self.propensity = propensity
        self.folds = folds
        self.seed = seed

    def fit(
        self,
        features: ArrayLike,
        treatment: ArrayLike,
        outcome: ArrayLike,
        propensity: ArrayLike | None = None,
    ) -> Self:
        """Fit to a trial.

        features: shape (n, p). treatment: shape (n,), 1 or 0. outcome: shape (n,). propensity: shape (n,), known
        probabilities of treatment, in place of the constructor's. Raise UpliftError for input that cannot be used.
        """
        x = as_features(features)
        t, y = as_arms(treatment, outcome)
        if len(x) != len(y):
            raise UpliftError(f"features of {len(x)} customers, outcomes of {len(y)}")
        with threadpool_limits(limits=1):  # sums over several threads differ in their last digits
            trial = Trial(x, t, y, self._propensity_of(x, t, y, propensity))
            self._fit(trial)
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, features: ArrayLike) -> Floats:
        """Return the effect of the treatment on each customer, shape (n,), in the unit of the outcome.

        Raise UpliftError before a fit, or for another number of features.
        """
        x = as_features(features)
        if not hasattr(self, "n_features_in_"):
            raise UpliftError(f"{type(self).__name__} is not fitted; call fit first")
        if x.shape[1] != self.n_features_in_:
            raise UpliftError(f"fitted with {self.n_features_in_} features, got {x.shape[1]}")
        if not len(x):
            return np.zeros(0)
        with threadpool_limits(limits=1):  # sums over several threads differ in their last digits
            return self._effect(x)

    def _fit(self, trial: Trial) -> None:
        raise NotImplementedError

    def _effect(self, x: Floats) -> Floats:
        """Return the prediction of the effect model; learners without one replace this."""
        return predicted(self.effect_, x)

    def _propensity_of(self, x: Floats, t: Floats, y: Floats, known: ArrayLike | None) -> Floats:
        given = self.propensity if known is None else known
        if hasattr(given, "predict_proba"):
            self.propensity_ = fitted(given, x, t)
            return estimated_propensity(given, x, t, folds_of(t, y, self.folds, self.seed))
        e = as_propensity(t.mean() if given is None else given, len(t))
        # What a later customer's is assumed to be.
        self.propensity_ = float(e.mean())
        return e

    def _later_propensity(self, x: Floats) -> Floats:
        if isinstance(self.propensity_, float):
            return np.full(len(x), self.propensity_)
        return np.clip(predicted(self.propensity_, x), CLIP, 1 - CLIP)

    def _outcome_model_for(self, trial: Trial) -> Any:
        return default_outcome_model(trial.outcome) if self.outcome_model is None else self.outcome_model

    def _effect_model(self) -> Any:
        return default_effect_model() if self.effect_model is None else self.effect_model

    def _folds(self, trial: Trial) -> Ints:
        return folds_of(trial.treatment, trial.outcome, self.folds, self.seed)

    def _arms(self, trial: Trial) -> tuple[Any, Any]:
        """Return a model of the outcome fitted on the treated customers, and one fitted on the control."""
        model = self._outcome_model_for(trial)
        first, second = (
            fitted(model, trial.features[rows], trial.outcome[rows])
            for rows in (trial.treated, ~trial.treated)
        )
        return first, second


class SLearner(Learner):
    """One model of the outcome with the treatment as a feature; the effect is its difference between 1 and 0.

    The products of treatment and features are features too, so that a linear model can have an effect that differs
    between customers. Without them (Künzel et al. 2019, section 2) it ranks by response.
    """

    def _fit(self, trial: Trial) -> None:
        joined = _with_treatment(trial.features, trial.treatment)
        self.outcome_ = fitted(self._outcome_model_for(trial), joined, trial.outcome)

    def _effect(self, x: Floats) -> Floats:
        first, second = (
            predicted(self.outcome_, _with_treatment(x, np.full(len(x), arm))) for arm in (1.0, 0.0)
        )
        return first - second


class TLearner(Learner):
    """Two models of the outcome, one for each arm; the effect is their difference (Künzel et al. 2019, section 2)."""

    def _fit(self, trial: Trial) -> None:
        self.treated_, self.control_ = self._arms(trial)

    def _effect(self, x: Floats) -> Floats:
        return predicted(self.treated_, x) - predicted(self.control_, x)


class XLearner(Learner):
    """Two models of imputed effects, weighted by the propensity e(x) (Künzel et al. 2019, equation 9).

    The effect on a treated customer is imputed as y - mu_0(x), on a customer of the control as mu_1(x) - y. Each mu is
    fitted on the other arm, so no customer's effect is imputed by a model that saw them, without folds. The effect is
    e(x) tau_0(x) + (1 - e(x)) tau_1(x), tau_1 fitted on the treated.
    """

    def _fit(self, trial: Trial) -> None:
        treated, control = self._arms(trial)
        x, y, ones = trial.features, trial.outcome, trial.treated
        model = self._effect_model()
        self.effect_of_treated_ = fitted(model, x[ones], y[ones] - predicted(control, x[ones]))
        self.effect_of_control_ = fitted(model, x[~ones], predicted(treated, x[~ones]) - y[~ones])

    def _effect(self, x: Floats) -> Floats:
        e = self._later_propensity(x)
        of_control = e * predicted(self.effect_of_control_, x)
        return np.asarray(of_control + (1 - e) * predicted(self.effect_of_treated_, x))


class RLearner(Learner):
    """The effect that minimises the sum of ((y - m(x)) - (t - e(x)) tau(x))^2 (Nie, Wager 2021, equation 4).

    m(x) is the expected outcome of both arms together, cross-fitted. The sum is that of a regression of
    (y - m) / (t - e) with the weights (t - e)^2, so `effect_model` must take sample weights.
    """

    def _fit(self, trial: Trial) -> None:
        place = self._folds(trial)
        expected = out_of_fold(self._outcome_model_for(trial), trial.features, trial.outcome, place)
        surprise = trial.treatment - trial.propensity
        target = (trial.outcome - expected) / surprise
        self.effect_ = fitted(self._effect_model(), trial.features, target, surprise**2)


class DRLearner(Learner):
    """A regression of doubly robust effects (Kennedy 2023, algorithm 1): `doubly_robust_effects`, cross-fitted."""

    def _fit(self, trial: Trial) -> None:
        target = doubly_robust_effects(trial, self._outcome_model_for(trial), self._folds(trial))
        self.effect_ = fitted(self._effect_model(), trial.features, target)


class TransformedOutcome(Learner):
    """A regression of y t / e - y (1 - t) / (1 - e), whose mean is the effect (Athey, Imbens 2016, section 2).

    It needs no model of the outcome, and has the largest variance of all these learners.
    """

    def _fit(self, trial: Trial) -> None:
        t, y, e = trial.treatment, trial.outcome, trial.propensity
        self.effect_ = fitted(self._effect_model(), trial.features, y * t / e - y * (1 - t) / (1 - e))


def doubly_robust_effects(trial: Trial, outcome_model: Any, place: Ints) -> Floats:
    """Return an effect for each customer, shape (n,), whose mean is the average effect.

    mu_1 - mu_0 + t (y - mu_1) / e - (1 - t) (y - mu_0) / (1 - e), with outcomes mu of each arm predicted by copies of
    `outcome_model` that did not see the customer. It is unbiased if either mu or e is right (Robins, Rotnitzky 1995).
    place: fold of each customer.
    """
    x, t, y, e = trial.features, trial.treatment, trial.outcome, trial.propensity
    treated = out_of_fold(outcome_model, x, y, place, trial.treated)
    control = out_of_fold(outcome_model, x, y, place, ~trial.treated)
    return np.asarray(treated - control + t * (y - treated) / e - (1 - t) * (y - control) / (1 - e))


def _with_treatment(features: Floats, treatment: Floats) -> Floats:
    return np.column_stack([features, treatment, features * treatment[:, None]])
