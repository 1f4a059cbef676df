"""Several learners instead of one: their mean, and a choice between candidates inside the trial they are fitted on.

Belongs here: what needs no customers besides those of the fit. Does not: learners of one kind (`learners`), intervals
and the gate on later customers (`evaluation`, `gates`), which still decide whether the winner may be used.

    mean = AveragedLearner([SLearner(logistic), XLearner(boosting)])
    found = select_learner({"mean": mean, "x_learner": XLearner(boosting)}, features, treatment, outcome)
    effect = found.learner.fit(features, treatment, outcome).predict(later_features)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from clm_dagster.statistics.uplift.evaluation import qini_area
from clm_dagster.statistics.uplift.learners import Learner
from clm_dagster.statistics.uplift.trials import (
    FOLDS,
    SEED,
    Floats,
    UpliftError,
    as_arms,
    as_features,
    folds_of,
)


class AveragedLearner(Learner):
    """The mean of the effects of several learners, each with the same weight.

    Errors of different learners cancel in part, and equal weights have no errors of their own (Clemen 1989, on means
    of forecasts). The unit is still that of the outcome.
    learners: at least one. They keep their own propensities; one that is passed to `fit` is passed on to all of them.
    """

    def __init__(self, learners: Sequence[Learner] = ()) -> None:
        self.learners = learners

    def fit(
        self,
        features: ArrayLike,
        treatment: ArrayLike,
        outcome: ArrayLike,
        propensity: ArrayLike | None = None,
    ) -> Self:
        """Fit a copy of each learner; see `Learner.fit`. Raise UpliftError if there are no learners."""
        if not self.learners:
            raise UpliftError("an AveragedLearner needs at least one learner, got none")
        self.learners_ = [
            clone(learner).fit(features, treatment, outcome, propensity) for learner in self.learners
        ]
        self.n_features_in_ = as_features(features).shape[1]
        return self

    def _effect(self, x: Floats) -> Floats:
        return np.asarray(np.mean([learner.predict(x) for learner in self.learners_], axis=0))


@dataclass(frozen=True)
class Candidate:
    """What a choice found out about a candidate.

    area: mean Qini area per 10,000 customers of folds that the candidate was not fitted on. behind: how much lower it
    is than that of the best candidate, 0 for that one. standard_error: of `behind`, paired by fold.
    """

    area: float
    behind: float
    standard_error: float

    @property
    def level_with_best(self) -> bool:
        """Whether the candidate is at most one standard error behind the best."""
        return self.behind <= self.standard_error


@dataclass(frozen=True)
class Selection:
    """The winner of a choice, an unfitted copy of it, and the figures of all candidates by name, in their order."""

    winner: str
    learner: Learner
    candidates: Mapping[str, Candidate]


def select_learner(
    candidates: Mapping[str, Learner],
    features: ArrayLike,
    treatment: ArrayLike,
    outcome: ArrayLike,
    propensity: ArrayLike | None = None,
    folds: int = FOLDS,
    repeats: int = 1,
    seed: int = SEED,
) -> Selection:
    """Choose a learner by the Qini area of folds that it was not fitted on.

    The winner is the first candidate, in their order, that is at most one standard error behind the best (Breiman et
    al. 1984, section 3.4.3): areas are so noisy that the best of many candidates is mostly the luckiest. So list the
    simplest first, such as effects of few features. An AveragedLearner of other candidates costs no fits.
    repeats: how often new folds are drawn, which reduces the noise of the draw. The standard errors count each customer
    once, whatever the repeats. Other arguments: `Learner.fit`. The area of the winner is too high by the
    choice: judge it on other customers. Raise UpliftError without candidates, repeats or two folds, or for input that
    cannot be used.
    """
    if not candidates or repeats < 1 or folds < 2:
        raise UpliftError(
            f"a choice needs candidates, repeats and 2 folds; got {len(candidates)} candidates, {repeats} repeats and "
            f"{folds} folds"
        )
    x = as_features(features)
    t, y = as_arms(treatment, outcome)
    known = None if propensity is None else np.broadcast_to(np.asarray(propensity, dtype=float), (len(y),))
    rows: list[list[float]] = []
    for repeat in range(repeats):
        place = folds_of(t, y, folds, seed + repeat)
        for fold in np.unique(place):
            inside = place == fold
            effects = _effects(candidates, x, t, y, known, inside)
            rows.append([qini_area(effect, t[inside], y[inside]) for effect in effects])
    figures = compare(dict(zip(candidates, np.array(rows).T, strict=True)), repeats)
    winner = simplest(figures)
    return Selection(winner, clone(candidates[winner]), figures)


def compare(areas: Mapping[str, Floats], repeats: int = 1) -> dict[str, Candidate]:
    """Return the figures of candidates from their areas by fold, the same folds for all; see `select_learner`."""
    by_fold = np.column_stack(list(areas.values()))
    means = by_fold.mean(axis=0)
    behind = by_fold[:, [int(means.argmax())]] - by_fold
    errors = behind.std(axis=0, ddof=1) / np.sqrt(len(by_fold) / repeats)
    return {
        name: Candidate(float(area), float(loss), float(error))
        for name, area, loss, error in zip(areas, means, behind.mean(axis=0), errors, strict=True)
    }


def simplest(figures: Mapping[str, Candidate]) -> str:
    """Return the first candidate that is level with the best one; list the simplest first."""
    return next(name for name, figure in figures.items() if figure.level_with_best)


def _effects(
    candidates: Mapping[str, Learner], x: Floats, t: Floats, y: Floats, known: Any, inside: Any
) -> list[Floats]:
    """Return the effects of the customers inside, fitted on the others. Fit a learner once that is there twice."""
    fit_on = ~inside
    found: dict[int, Floats] = {}

    def effect(learner: Learner) -> Floats:
        if id(learner) not in found:
            if isinstance(learner, AveragedLearner) and learner.learners:
                found[id(learner)] = np.mean([effect(one) for one in learner.learners], axis=0)
            else:
                e = None if known is None else known[fit_on]
                fitted = clone(learner).fit(x[fit_on], t[fit_on], y[fit_on], e)
                found[id(learner)] = fitted.predict(x[inside])
        return found[id(learner)]

    return [effect(learner) for learner in candidates.values()]
