"""Properties of the fit of every model: gradients, weights, row order, units, standard errors."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from clm_dagster.statistics.btyd import (
    BGNBD,
    MBGNBD,
    Fit,
    GammaGamma,
    Histories,
    ParetoNBD,
    Summary,
    Unit,
    days,
)
from clm_dagster.statistics.btyd.durations import Duration
from clm_dagster.statistics.btyd.fitting import maximise
from clm_dagster.statistics.btyd.purchases import PurchaseModel
from clm_dagster_tests.statistics.btyd.simulator import simulate

MODELS = [BGNBD, MBGNBD, ParetoNBD]
Kind = type[PurchaseModel]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("theta", [[0.0, 1.0, -0.3, 0.8], [-1.4, 1.5, 0.7, -0.5], [1.0, 0.2, -1.5, 2.0]])
def test_the_gradient_matches_finite_differences(kind: Kind, theta: list[float], cdnow: Summary) -> None:
    grouped = cdnow.histories.grouped
    assert grouped.weights is not None
    objective = kind._objective(
        grouped.repeats, grouped.last.amount, grouped.observed.amount, grouped.weights
    )
    point = np.array(theta)
    steps = np.eye(4) * 1e-5
    slope = [(objective(point + step)[0] - objective(point - step)[0]) / 2e-5 for step in steps]
    assert objective(point)[1] == pytest.approx(slope, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("kind", MODELS)
def test_objective_is_the_sum_of_the_public_log_likelihood(kind: Kind, cdnow: Summary) -> None:
    fit = kind.fit(cdnow.histories)
    assert fit.model.log_likelihood(cdnow.histories).sum() == pytest.approx(fit.log_likelihood, abs=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_the_fit_is_a_maximum(kind: Kind, cdnow: Summary) -> None:
    fit = kind.fit(cdnow.histories)
    for name, error in fit.standard_errors.items():
        for sign in (-1, 1):
            moved = {**fit.estimates, name: fit.estimates[name] + sign * error / 10}
            there = kind(unit=Unit.WEEK, **moved).log_likelihood(cdnow.histories).sum()
            assert there < fit.log_likelihood


def test_standard_errors_match_a_numeric_hessian(cdnow: Summary, cdnow_bgnbd: Fit[BGNBD]) -> None:
    """Compute it in natural parameters from the public log-likelihood only."""
    names = list(cdnow_bgnbd.estimates)

    def slope(values: np.ndarray) -> np.ndarray:
        def total(at: np.ndarray) -> float:
            model = BGNBD(unit=Unit.WEEK, **dict(zip(names, at, strict=True)))
            return -float(model.log_likelihood(cdnow.histories).sum())

        found: np.ndarray = approx_fprime(values, total, 1e-5 * values)
        return found

    best = np.array(list(cdnow_bgnbd.estimates.values()))
    rows = [slope(best + step) - slope(best - step) for step in np.diag(2e-3 * best)]
    hessian = np.array(rows) / (4e-3 * best[:, None])
    errors = np.sqrt(np.diag(np.linalg.inv((hessian + hessian.T) / 2)))
    assert list(cdnow_bgnbd.standard_errors.values()) == pytest.approx(errors, rel=0.02)


@pytest.mark.parametrize("kind", MODELS)
def test_weights_equal_repeated_rows(kind: Kind, cdnow: Summary) -> None:
    h = cdnow.histories
    times = 1 + np.arange(len(h)) % 3
    weighted = Histories(h.repeats, h.last, h.observed, times.astype(float))
    repeated = Histories(
        np.repeat(h.repeats, times),
        Duration(np.repeat(h.last.amount, times), h.unit),
        Duration(np.repeat(h.observed.amount, times), h.unit),
    )
    one, other = kind.fit(weighted), kind.fit(repeated)
    assert one.customers == other.customers == times.sum()
    assert one.estimates == other.estimates
    assert one.log_likelihood == other.log_likelihood


@pytest.mark.parametrize("kind", MODELS)
def test_row_order_does_not_change_a_bit(kind: Kind, cdnow: Summary) -> None:
    h = cdnow.histories
    mixed = np.random.default_rng(3).permutation(len(h))
    shuffled = Histories(
        h.repeats[mixed], Duration(h.last.amount[mixed], h.unit), Duration(h.observed.amount[mixed], h.unit)
    )
    one, other = kind.fit(h), kind.fit(shuffled)
    assert one.estimates == other.estimates
    assert one.standard_errors == other.standard_errors
    horizon = days(90)
    assert np.array_equal(
        one.model.expected_purchases(h, horizon)[mixed], other.model.expected_purchases(shuffled, horizon)
    )


@pytest.mark.parametrize("kind", MODELS)
def test_a_fit_in_days_equals_the_fit_in_weeks(kind: Kind, cdnow: Summary) -> None:
    h = cdnow.histories
    in_days = kind.fit(Histories(h.repeats, h.last.to(Unit.DAY), h.observed.to(Unit.DAY)))
    in_weeks = kind.fit(h)
    assert in_days.model.unit is Unit.DAY
    assert in_days.model.to(Unit.WEEK).parameters == pytest.approx(in_weeks.estimates, rel=1e-6)
    for question in ("expected_purchases", "probability_of_no_purchase"):
        answers = [getattr(fit.model, question)(h, days(90)) for fit in (in_days, in_weeks)]
        assert answers[0] == pytest.approx(answers[1], rel=1e-6)


def test_gamma_gamma_gradient_weights_and_order(cdnow: Summary) -> None:
    x, z = cdnow.histories.repeats, cdnow.mean_spend
    fit = GammaGamma.fit(x, z)
    assert fit.model.log_likelihood(x, z).sum() == pytest.approx(fit.log_likelihood, abs=1e-6)
    for name, error in fit.standard_errors.items():
        for sign in (-1, 1):
            moved = GammaGamma(**{**fit.estimates, name: fit.estimates[name] + sign * error / 10})
            assert moved.log_likelihood(x, z).sum() < fit.log_likelihood
    mixed = np.random.default_rng(3).permutation(x.size)
    assert GammaGamma.fit(x[mixed], z[mixed]).estimates == fit.estimates
    times = 1 + np.arange(x.size) % 3
    repeated = GammaGamma.fit(np.repeat(x, times), np.repeat(z, times))
    assert GammaGamma.fit(x, z, times).estimates == pytest.approx(repeated.estimates, rel=1e-7)
    in_cents = GammaGamma.fit(x, z * 100)
    assert in_cents.model.gamma == pytest.approx(fit.model.gamma * 100, rel=1e-6)


TRUTH = {"r": 0.8, "alpha": 6.0, "a": 0.9, "b": 3.0}


def stationary(seed: int, customers: int) -> Histories:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], customers)
    leave = rng.beta(TRUTH["a"], TRUTH["b"], customers)
    return simulate(rng, rate, rng.uniform(30, 80, customers), Unit.WEEK, leave)[0]


def test_95_percent_intervals_cover_the_truth() -> None:
    """20 stationary worlds with 4 parameters each: at least 90% of the 80 intervals contain the truth."""
    fits = [BGNBD.fit(stationary(seed, 4000)) for seed in range(20)]
    covered = [low <= TRUTH[name] <= high for fit in fits for name, (low, high) in fit.intervals().items()]
    assert len(covered) == 80
    assert np.mean(covered) >= 0.9
    for name in TRUTH:
        spread = np.std([np.log(fit.estimates[name]) for fit in fits], ddof=1)
        claimed = np.mean([fit.standard_errors[name] / fit.estimates[name] for fit in fits])
        assert 0.6 < claimed / spread < 1.6  # the deviation of 20 draws is itself known to a third


@pytest.mark.parametrize("kind", [MBGNBD, ParetoNBD])
def test_other_models_recover_their_parameters(kind: Kind) -> None:
    rng = np.random.default_rng(11)
    size = 20_000
    rate, observed = rng.gamma(0.8, 1 / 6.0, size), rng.uniform(30, 80, size)
    if kind is MBGNBD:
        truth = TRUTH
        histories, _ = simulate(rng, rate, observed, Unit.WEEK, rng.beta(0.9, 3.0, size), leave_at_once=True)
    else:
        truth = {"r": 0.8, "alpha": 6.0, "s": 0.7, "beta": 12.0}
        lifetime = rng.exponential(1 / rng.gamma(0.7, 1 / 12.0, size))
        histories, _ = simulate(rng, rate, observed, Unit.WEEK, lifetime=lifetime)
    fit = kind.fit(histories)
    for name, (low, high) in fit.intervals(0.999).items():
        assert low <= truth[name] <= high


def test_an_unbounded_ridge_is_followed_to_the_bound() -> None:
    """The likelihood increases without bound in both parameters, as long as their difference is constant."""

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = theta
        off, rest = x - y - 1, 0.03 * np.exp(-1.2 * x)
        return -(off**2) - rest, np.array([-2 * off + 1.2 * rest, 2 * off])

    theta, _, _ = maximise(objective, np.zeros(2), weight=1)
    assert theta[0] - theta[1] == pytest.approx(1, abs=1e-3) and theta[0] > 5
