"""Means of learners, and choices between them, against simulated effects and a choice by loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from clm_dagster.statistics.uplift import (
    AveragedLearner,
    Candidate,
    Learner,
    RLearner,
    SLearner,
    TLearner,
    TransformedOutcome,
    UpliftError,
    XLearner,
    folds_of,
    qini_area,
    select_learner,
)

Simulated = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def simulated(n: int, seed: int = 0) -> Simulated:
    """Return features, treatment, visits and the true effect on their probability, -0.25 to 0.25."""
    rng = np.random.default_rng(seed)
    x = rng.random(size=(n, 3)) - 0.5
    t = (rng.random(n) < 0.4).astype(float)
    effect = 0.5 * x[:, 0]
    return x, t, (rng.random(n) < 0.4 + 0.4 * x[:, 1] + t * effect).astype(float), effect


def linear(kind: type[Learner] = TLearner) -> Learner:
    """Return a learner with linear models."""
    return kind(LinearRegression(), LinearRegression())


class Counting(TLearner):
    """A linear T-learner that counts the fits of all its copies."""

    fits = 0

    def _fit(self, trial: object) -> None:
        type(self).fits += 1
        super()._fit(trial)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(
        st.sampled_from([SLearner, TLearner, XLearner, RLearner, TransformedOutcome]), min_size=1, max_size=4
    ),
    n=st.integers(40, 120),
    seed=st.integers(0, 1_000),
)
def test_the_mean_is_between_its_learners_in_any_order(kinds: list[type[Learner]], n: int, seed: int) -> None:
    x, t, y, _ = simulated(n, seed)
    t[:4], y[:4] = [0, 0, 1, 1], [0, 1, 0, 1]
    learners = [linear(kind) for kind in kinds]
    found = AveragedLearner(learners).fit(x, t, y).predict(x)
    each = np.array([clone(learner).fit(x, t, y).predict(x) for learner in learners])
    np.testing.assert_allclose(found, sum(each) / len(each))
    assert (found <= each.max(axis=0) + 1e-12).all()
    assert (found >= each.min(axis=0) - 1e-12).all()
    np.testing.assert_allclose(AveragedLearner(learners[::-1]).fit(x, t, y).predict(x), found, atol=1e-12)


def test_a_mean_is_a_learner_like_others() -> None:
    x, t, y, _ = simulated(400)
    mean = AveragedLearner([linear(SLearner), AveragedLearner([linear(XLearner)])])
    first = mean.fit(x, t, y)
    np.testing.assert_array_equal(clone(first).fit(x, t, y).predict(x), first.predict(x))
    assert not hasattr(mean.learners[0], "outcome_"), "a fit must leave the given learners as they are"
    # A known probability reaches each learner.
    known = np.where(x[:, 2] > 0, 0.6, 0.3)
    expected = linear(TransformedOutcome).fit(x, t, y, known).predict(x)
    np.testing.assert_allclose(
        AveragedLearner([linear(TransformedOutcome)]).fit(x, t, y, known).predict(x), expected
    )
    with pytest.raises(UpliftError, match="at least one learner"):
        AveragedLearner().fit(x, t, y)
    with pytest.raises(UpliftError, match="fitted with 3 features, got 2"):
        first.predict(x[:, :2])
    with pytest.raises(UpliftError, match="not fitted"):
        clone(first).predict(x)


def test_independent_errors_cancel_in_the_mean() -> None:
    """Two learners that see different halves of the features are each half right; their mean ranks better."""
    rng = np.random.default_rng(3)
    x, later = rng.normal(size=(2, 8_000, 2))
    t = (rng.random(8_000) < 0.5).astype(float)
    y = t * x.sum(axis=1) + rng.normal(size=8_000)
    true = later.sum(axis=1)
    parts = [
        TLearner(make_pipeline(ColumnTransformer([("one", "passthrough", [column])]), LinearRegression()))
        for column in (0, 1)
    ]
    single = [np.corrcoef(clone(part).fit(x, t, y).predict(later), true)[0, 1] for part in parts]
    both = np.corrcoef(AveragedLearner(parts).fit(x, t, y).predict(later), true)[0, 1]
    assert both > 0.97 > 0.8 > max(single)


def test_the_choice_is_that_of_a_loop_over_folds() -> None:
    x, t, y, _ = simulated(3_000)
    candidates = {
        "s": SLearner(LogisticRegression()),
        "x": linear(XLearner),
        "to": linear(TransformedOutcome),
    }
    found = select_learner(candidates, x, t, y, folds=3, repeats=2, seed=7)
    areas: dict[str, list[float]] = {name: [] for name in candidates}
    for seed in (7, 8):
        place = folds_of(t, y, 3, seed)
        for fold in range(3):
            a, b = place != fold, place == fold
            for name, learner in candidates.items():
                effect = clone(learner).fit(x[a], t[a], y[a]).predict(x[b])
                areas[name].append(qini_area(effect, t[b], y[b]))
    best = max(areas, key=lambda name: sum(areas[name]))
    assert list(found.candidates) == list(candidates)
    for name, figure in found.candidates.items():
        losses = np.subtract(areas[best], areas[name])
        assert figure.area == pytest.approx(sum(areas[name]) / 6)
        assert figure.behind == pytest.approx(losses.mean())
        # Six folds of two draws: the customers of three folds.
        assert figure.standard_error == pytest.approx(losses.std(ddof=1) / np.sqrt(3))
    assert found.candidates[best].behind == 0
    assert found.winner == next(name for name, one in found.candidates.items() if one.level_with_best)
    again = select_learner(candidates, x, t, y, folds=3, repeats=2, seed=7)
    assert again.candidates == found.candidates


def test_a_clearly_better_candidate_wins_whatever_the_order() -> None:
    x, t, y, _ = simulated(12_000)
    blind = TransformedOutcome(effect_model=DummyRegressor())
    wrong_way = XLearner(LinearRegression(), LinearRegression(positive=True))
    flipped = x * [-1, 1, 1]
    good = linear(XLearner)
    for names in (("blind", "good"), ("good", "blind")):
        candidates = {name: {"blind": blind, "good": good}[name] for name in names}
        assert select_learner(candidates, x, t, y).winner == "good"
    # Coefficients above zero cannot describe an effect that falls with the feature.
    found = select_learner({"wrong_way": wrong_way, "good": good}, flipped, t, y)
    assert found.winner == "good"
    assert not found.candidates["wrong_way"].level_with_best
    assert found.learner.fit(flipped, t, y).predict(flipped).shape == (12_000,)


def test_the_first_of_equal_candidates_wins() -> None:
    x, t, y, _ = simulated(600)
    for names in (("a", "b"), ("b", "a")):
        found = select_learner({name: linear() for name in names}, x, t, y)
        assert found.winner == names[0]
        assert found.candidates["a"] == found.candidates["b"]
    assert Candidate(30.0, 2.0, 2.0).level_with_best
    assert not Candidate(30.0, 2.1, 2.0).level_with_best


def test_a_mean_of_candidates_costs_no_fits() -> None:
    x, t, y, _ = simulated(300)
    one, two = Counting(LinearRegression()), linear(XLearner)
    Counting.fits = 0
    found = select_learner({"mean": AveragedLearner([one, two]), "one": one, "two": two}, x, t, y, folds=3)
    assert Counting.fits == 3
    # The same figures as those of copies, which are fitted again.
    copies = {"mean": AveragedLearner([clone(one), clone(two)]), "one": one, "two": two}
    assert select_learner(copies, x, t, y, folds=3).candidates == found.candidates
    assert Counting.fits == 9


def test_known_probabilities_reach_the_fits_of_a_choice() -> None:
    x, t, y, _ = simulated(900)
    candidates = {"to": linear(TransformedOutcome)}
    half = select_learner(candidates, x, t, y, propensity=np.where(x[:, 0] > 0, 0.8, 0.2), folds=3)
    assert half.candidates != select_learner(candidates, x, t, y, folds=3).candidates
    same = select_learner(candidates, x, t, y, propensity=0.4, folds=3)
    assert (
        same.candidates
        == select_learner(
            {"to": linear(TransformedOutcome).set_params(propensity=0.4)}, x, t, y, folds=3
        ).candidates
    )


def test_bad_choices_are_named() -> None:
    x, t, y, _ = simulated(50)
    candidates = {"t": linear()}
    with pytest.raises(UpliftError, match="got 0 candidates, 1 repeats and 5 folds"):
        select_learner({}, x, t, y)
    with pytest.raises(UpliftError, match="got 1 candidates, 0 repeats and 5 folds"):
        select_learner(candidates, x, t, y, repeats=0)
    with pytest.raises(UpliftError, match="got 1 candidates, 1 repeats and 1 folds"):
        select_learner(candidates, x, t, y, folds=1)
    with pytest.raises(UpliftError, match="at least one learner"):
        select_learner({"mean": AveragedLearner()}, x, t, y)
    with pytest.raises(UpliftError, match="1 for treated"):
        select_learner({"t": linear()}, x, t + 1, y)
