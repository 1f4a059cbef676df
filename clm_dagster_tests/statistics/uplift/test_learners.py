"""Uplift learners against a simulated trial whose effects are known."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression

from clm_dagster.statistics.uplift import (
    DRLearner,
    Learner,
    RLearner,
    SLearner,
    TLearner,
    TransformedOutcome,
    UpliftError,
    XLearner,
    folds_of,
)

LEARNERS = (SLearner, TLearner, XLearner, RLearner, DRLearner, TransformedOutcome)


def simulated(
    n: int, seed: int = 0, confounded: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return features, treatment, outcome, the true effect 1 + x0 and the true propensity."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    e = 1 / (1 + np.exp(-x[:, 1])) if confounded else np.full(n, 0.3)
    t = (rng.random(n) < e).astype(float)
    effect = 1 + x[:, 0]
    y = 2 * x[:, 1] + t * effect + rng.normal(size=n)
    return x, t, y, effect, e


@pytest.mark.parametrize("kind", LEARNERS)
def test_known_effects_are_found_with_linear_models(kind: type[Learner]) -> None:
    x, t, y, *_ = simulated(6_000)
    learner = kind(LinearRegression(), LinearRegression(), propensity=0.3, folds=3).fit(x, t, y)
    later, *_, true, _ = simulated(2_000, seed=1)
    found = learner.predict(later)
    # The transformed outcome has a much larger variance than the others.
    assert np.sqrt(np.mean((found - true) ** 2)) < (0.35 if kind is TransformedOutcome else 0.12)
    assert np.corrcoef(found, true)[0, 1] > 0.97


@pytest.mark.parametrize("kind", [RLearner, DRLearner, TransformedOutcome])
def test_an_estimated_propensity_removes_confounding(kind: type[Learner]) -> None:
    x, t, y, effect, e = simulated(20_000, confounded=True)
    assert y[t == 1].mean() - y[t == 0].mean() > effect.mean() + 1
    for learner in (
        kind(LinearRegression(), LinearRegression(), LogisticRegression()).fit(x, t, y),
        kind(LinearRegression(), LinearRegression()).fit(x, t, y, propensity=e),
    ):
        assert learner.predict(x).mean() == pytest.approx(effect.mean(), abs=0.25)


@pytest.mark.parametrize("kind", LEARNERS)
def test_defaults_are_deterministic_and_follow_scikit_learn(kind: type[Learner]) -> None:
    x, t, y, *_ = simulated(600)
    visits = (y > 1).astype(float)
    first = kind().fit(x, t, visits)
    second = clone(first).fit(x, t, visits)
    np.testing.assert_array_equal(first.predict(x), second.predict(x))
    assert first.get_params()["folds"] == 5
    assert first.predict(x[:0]).shape == (0,)
    assert np.abs(first.predict(x)).max() < 2


@pytest.mark.parametrize("kind", LEARNERS)
def test_an_arm_without_responses_is_no_error(kind: type[Learner]) -> None:
    x, t, _, *_ = simulated(200)
    y = t * (x[:, 0] > 0)
    assert np.isfinite(kind().fit(x, t, y).predict(x)).all()
    assert kind().fit(x, t, 0 * y).predict(x) == pytest.approx(0, abs=1e-9)


def test_the_t_learner_is_the_difference_of_two_regressions() -> None:
    x, t, y, *_ = simulated(500)
    means = [LinearRegression().fit(x[t == arm], y[t == arm]).predict(x) for arm in (1, 0)]
    found = TLearner(LinearRegression()).fit(x, t, y).predict(x)
    np.testing.assert_allclose(found, means[0] - means[1])


def test_folds_have_equal_shares_of_arms_and_outcomes() -> None:
    t = np.repeat([1.0, 0.0], [100, 400])
    y = np.tile([1.0, 0, 0, 0, 0], 100)
    place = folds_of(t, y, 5)
    assert [t[place == fold].sum() for fold in range(5)] == [20] * 5
    assert [y[place == fold].sum() for fold in range(5)] == [20] * 5
    assert set(folds_of(np.array([1.0, 1, 0, 0, 0]), np.arange(5.0), 5)) == {0, 1}


def test_bad_input_is_named() -> None:
    x, t, y, *_ = simulated(50)
    learner = TLearner(LinearRegression())
    with pytest.raises(UpliftError, match="not fitted"):
        learner.predict(x)
    with pytest.raises(UpliftError, match=r"shape \(customers, features\)"):
        learner.fit(x[:, 0], t, y)
    with pytest.raises(UpliftError, match="features of 49 customers, outcomes of 50"):
        learner.fit(x[1:], t, y)
    with pytest.raises(UpliftError, match="1 for treated"):
        learner.fit(x, t + 1, y)
    with pytest.raises(UpliftError, match="got 50 treated and 0"):
        learner.fit(x, np.ones(50), y)
    with pytest.raises(UpliftError, match="outcomes must be finite, 50 are not"):
        learner.fit(x, t, y * np.nan)
    with pytest.raises(UpliftError, match="above 0 and below 1"):
        TLearner(LinearRegression(), propensity=1.0).fit(x, t, y)
    with pytest.raises(UpliftError, match="smaller arm has 1"):
        DRLearner().fit(x, np.eye(50)[0], y)
    with pytest.raises(UpliftError, match="fitted with 3 features, got 2"):
        learner.fit(x, t, y).predict(x[:, :2])
