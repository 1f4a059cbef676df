"""The contest: candidates for each arm, the winner chosen on training contacts and judged on later ones.

Belongs here: fits, the choice, the judgement. Does not: the candidates, the sample, rows of tables (`report`).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.actions.uplift.candidates import LEARNERS, expected_outcome
from clm_dagster.domains.actions.uplift.encoding import Encoder
from clm_dagster.domains.actions.uplift.model import ArmModel, UpliftModel
from clm_dagster.domains.actions.uplift.names import RANDOM, RESPONSE
from clm_dagster.domains.actions.uplift.sample import Comparison, Sample
from clm_dagster.domains.actions.uplift.splits import FOLDS, Split, folds, split_of
from clm_dagster.statistics.evaluation import EvaluationError, Verdict
from clm_dagster.statistics.uplift import QiniInterval, qini_area, uplift_verdict
from clm_dagster.statistics.uplift.clusters import clustered_qini_intervals
from clm_dagster.statistics.uplift.selection import compare, simplest

Floats = NDArray[np.float64]
# Arms are tried for their own sake; more than these are variants of a mail.
_MOST_ARMS = 8
_SEED = 20_260_101


@dataclass(frozen=True)
class Candidate:
    """A candidate for one arm. validation: Qini area of customers of the training part whom it was not fitted on, None
    for a random ranking. test: of later contacts.
    """

    name: str
    validation: float | None
    test: QiniInterval
    seconds: float


@dataclass(frozen=True)
class ArmResult:
    """The contest of one arm.

    The winner is the first learner, the simplest one first, whose area on the training part is at most one standard
    error below the largest (Breiman et al. 1984, section 3.4.3): the best of many is mostly the luckiest.

    candidates: by name, baselines too. model: of the winner. effects: the score of each test contact by candidate.
    if_treated, if_not: probability of a conversion of each test contact in either arm.
    """

    split: Split
    candidates: Mapping[str, Candidate]
    model: ArmModel
    effects: Mapping[str, Floats]
    if_treated: Floats
    if_not: Floats

    @property
    def winner(self) -> Candidate:
        """The learner that was chosen on the training part."""
        return self.candidates[self.model.winner]

    def verdict(self, is_newest: bool = True) -> Verdict:
        """Return whether the winner may decide who is contacted."""
        return uplift_verdict(self.model.winner, self.winner.test, is_newest=is_newest)


@dataclass(frozen=True)
class UpliftResult:
    """The contests of all arms. skipped: why an arm has none."""

    arms: Mapping[str, ArmResult]
    model: UpliftModel
    skipped: Mapping[str, str]

    def verdict(self, is_newest: bool) -> Verdict:
        """Return whether the model becomes champion: if it passes for any arm; the others keep their average effect."""
        findings = {}
        for name, arm in self.arms.items():
            found = arm.verdict()
            findings[name] = (found.accepted, f"{name}: {' '.join(found.reasons[1:])}")
        return replace(Verdict.by_parts("The uplift model", findings, is_newest), parts={})


def hold_contest(
    sample: Sample, horizon_days: int, log: Callable[[str], None] = lambda text: None
) -> UpliftResult:
    """Hold the contest of each arm. Raise EvaluationError if every arm has too few contacts."""
    splits, skipped = dict[str, Split](), dict[str, str]()
    for arm in sample.arms:
        if len(splits) == _MOST_ARMS:
            skipped[arm] = f"{arm}: only the {_MOST_ARMS} arms with the most contacts are evaluated"
            continue
        found = split_of(Comparison.of(sample.contacts, arm))
        if isinstance(found, str):
            skipped[arm] = found
        else:
            splits[arm] = found
    if not splits:
        raise EvaluationError(f"no arm has enough contacts to learn from: {'; '.join(skipped.values())}")
    first = max(splits.values(), key=lambda split: len(split.training.outcome))
    encoder = Encoder.fit(first.training.frame)
    arms = {}
    for name, split in splits.items():
        log(f"{name}: {len(split.training.outcome):,} contacts to learn from")
        arms[name] = _contest(split, encoder)
    models = {name: replace(arm.model, proven=arm.verdict().accepted) for name, arm in arms.items()}
    return UpliftResult(arms, UpliftModel(encoder, models, horizon_days), skipped)


@dataclass(frozen=True)
class _Fitted:
    """A learner after the training part. areas: of the customers of each fold, fitted on the others, shape (folds,)."""

    areas: Floats
    model: ArmModel
    seconds: float

    @property
    def area(self) -> float:
        """The mean area of the folds."""
        return float(self.areas.mean())


def _contest(split: Split, encoder: Encoder) -> ArmResult:
    training, test = split.training, split.test
    x, later = encoder.matrix(training.frame), encoder.matrix(test.frame)
    fitted = {name: _fit(name, training, x) for name in LEARNERS}
    winner = simplest(compare({name: one.areas for name, one in fitted.items()}))
    treated = training.treatment == 1
    started = time.perf_counter()
    response = expected_outcome(x, training.outcome, treated, later)
    seconds = time.perf_counter() - started
    effects = {name: one.model.effects(later) for name, one in fitted.items()}
    effects |= {RESPONSE: response, RANDOM: np.random.default_rng(_SEED).random(len(response))}
    intervals = clustered_qini_intervals(
        effects,
        test.treatment,
        test.outcome,
        RESPONSE,
        customers=test.frame["customer_id"].to_numpy(dtype=str),
        groups=np.round(test.propensity, 6),
    )
    areas: dict[str, tuple[float | None, float]] = {
        name: (one.area, one.seconds) for name, one in fitted.items()
    }
    areas |= {RESPONSE: (_response_area(training, x), seconds), RANDOM: (None, 0.0)}
    return ArmResult(
        split=split,
        candidates={
            name: Candidate(name, area, intervals[name], taken) for name, (area, taken) in areas.items()
        },
        model=fitted[winner].model,
        effects=effects,
        if_treated=response,
        if_not=expected_outcome(x, training.outcome, ~treated, later),
    )


def _fit(name: str, training: Comparison, x: Floats) -> _Fitted:
    """Fit a learner, and predict each customer of the training part by a fit on the other folds."""
    started = time.perf_counter()
    t, y, e = training.treatment, training.outcome, training.propensity
    place, found = folds(training), np.empty(len(y))
    for fold in range(FOLDS):
        fit = place != fold
        learner = LEARNERS[name]().fit(x[fit], t[fit], y[fit], e[fit])
        found[~fit] = learner.predict(x[~fit])
    learner = LEARNERS[name]().fit(x, t, y, e)
    # Inverse propensity scores, whose mean is the average effect; the mean outcome makes them less noisy.
    measured = (y - y.mean()) * (t - e) / (e * (1 - e))
    centre, spread = float(found.mean()), float(found.var())
    slope = float(np.mean((measured - measured.mean()) * (found - centre))) / spread if spread > 0 else 0.0
    model = ArmModel(
        arm=training.arm,
        winner=name,
        learner=learner,
        average=float(measured.mean()),
        centre=centre,
        slope=float(np.clip(slope, 0.0, 1.0)),
    )
    return _Fitted(_areas(training, found, place), model, time.perf_counter() - started)


def _response_area(training: Comparison, x: Floats) -> float:
    place, found = folds(training), np.empty(len(x))
    for fold in range(FOLDS):
        fit = place != fold
        found[~fit] = expected_outcome(x[fit], training.outcome[fit], training.treatment[fit] == 1, x[~fit])
    return float(_areas(training, found, place).mean())


def _areas(training: Comparison, score: Floats, place: NDArray[np.int64]) -> Floats:
    """Return the Qini area of each fold, shape (folds,): scores of different fits do not rank together.

    The area of a fold is the mean over the propensities of its contacts, weighted by their number.
    """
    propensity = np.unique(np.round(training.propensity, 6), return_inverse=True)[1]
    found = np.zeros(FOLDS)
    for fold in range(FOLDS):
        for group in range(int(propensity.max()) + 1):
            rows = (place == fold) & (propensity == group)
            if 0 < training.treatment[rows].sum() < rows.sum():
                area = qini_area(score[rows], training.treatment[rows], training.outcome[rows])
                found[fold] += rows.sum() / (place == fold).sum() * area
    return found
