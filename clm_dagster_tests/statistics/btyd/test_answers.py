"""Predictions of the models, compared with closed forms and simulated customers, and general properties."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, gammaln, hyp2f1

from clm_dagster.statistics.btyd import (
    BGNBD,
    MBGNBD,
    DiscountRate,
    GammaGamma,
    Histories,
    ParetoNBD,
    PurchaseModel,
    Unit,
    days,
    discounted_purchases,
    discounted_value,
    weeks,
)
from clm_dagster_tests.statistics.btyd.simulator import simulate

BG = BGNBD(unit=Unit.WEEK, r=0.243, alpha=4.414, a=0.793, b=2.426)
MBG = MBGNBD(unit=Unit.WEEK, r=0.525, alpha=6.183, a=0.891, b=1.614)
PARETO = ParetoNBD(unit=Unit.WEEK, r=0.553, alpha=10.578, s=0.606, beta=11.669)
SOME = Histories(
    np.array([0.0, 1, 2, 7, 30]), weeks([0, 3, 30.43, 20, 38]), weeks([38.86, 39, 38.86, 39, 39])
)


def test_bgnbd_expected_purchases_matches_the_published_closed_form() -> None:
    """Fader, Hardie and Lee 2005, equation 10."""
    r, alpha, a, b = BG.parameters.values()
    x, t_x, t, ahead = SOME.repeats, SOME.last.amount, SOME.observed.amount, 39
    z = ahead / (alpha + t + ahead)
    top = (
        (a + b + x - 1)
        / (a - 1)
        * (1 - ((alpha + t) / (alpha + t + ahead)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, z))
    )
    bottom = 1 + (x > 0) * a / (b + np.maximum(x, 1) - 1) * ((alpha + t) / (alpha + t_x)) ** (r + x)
    assert BG.expected_purchases(SOME, weeks(39)) == pytest.approx(top / bottom, rel=1e-10)


@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_paretonbd_likelihood_matches_the_published_closed_form(scale: float) -> None:
    """Fader and Hardie 2005, "A note on deriving the Pareto/NBD model"; alpha above and below beta."""
    model = ParetoNBD(unit=Unit.WEEK, r=0.553, alpha=10.578 * scale, s=0.606, beta=5.0)
    r, alpha, s, beta = model.parameters.values()
    x, t_x, t = SOME.repeats, SOME.last.amount, SOME.observed.amount
    most, gap = max(alpha, beta), abs(alpha - beta)
    which = s + 1 if alpha >= beta else r + x

    def part(y: np.ndarray) -> np.ndarray:
        k = r + s + x
        found: np.ndarray = hyp2f1(k, which, k + 1, gap / (most + y)) / (most + y) ** k
        return found

    bracket = (alpha + t) ** -(r + x) * (beta + t) ** -s + s / (r + s + x) * (part(t_x) - part(t))
    before = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    assert model.log_likelihood(SOME) == pytest.approx(before + np.log(bracket), rel=1e-9)
    alive = (alpha + t) ** -(r + x) * (beta + t) ** -s / bracket
    assert model.probability_alive(SOME) == pytest.approx(alive, rel=1e-8)


@pytest.mark.parametrize("model", [BG, MBG, PARETO])
def test_likelihood_of_one_purchase_integrates_to_its_probability(model: PurchaseModel) -> None:
    """Integrated over the time of the one repeat purchase, the density is P(X = 1); without one it is P(X = 0)."""
    t = 20.0

    def density(at: float) -> float:
        return float(np.exp(model.log_likelihood(Histories(np.array([1.0]), weeks([at]), weeks([t])))[0]))

    once = quad(density, 0, t, epsabs=1e-10)[0]
    none = np.exp(model.log_likelihood(Histories(np.zeros(1), weeks([0]), weeks([t]))))[0]
    new = Histories(np.zeros(1), weeks([0]), weeks([0]))
    assert model.probability_of_no_purchase(new, weeks(t)) == pytest.approx([none], rel=1e-9)
    if isinstance(model, BGNBD):
        assert model.probability_of_purchases([0, 1], weeks(t)) == pytest.approx([none, once], rel=1e-7)


@pytest.mark.parametrize("model", [BG, MBG])
def test_probabilities_of_counts_sum_to_1_and_to_the_mean(model: BGNBD) -> None:
    counts = np.arange(3000)
    for horizon in (weeks(0), weeks(3), weeks(39)):
        chances = model.probability_of_purchases(counts, horizon)
        assert chances.sum() == pytest.approx(1, abs=1e-9)
        assert chances @ counts == pytest.approx(float(model.expected_purchases_of_new(horizon)), abs=1e-7)


def worlds() -> dict[str, tuple[PurchaseModel, Callable[[np.random.Generator, int], dict[str, Any]]]]:
    def dropping(model: BGNBD, at_once: bool) -> Callable[[np.random.Generator, int], dict[str, Any]]:
        return lambda rng, size: {
            "rate": rng.gamma(model.r, 1 / model.alpha, size),
            "leave": rng.beta(model.a, model.b, size),
            "leave_at_once": at_once,
        }

    bg = BGNBD(unit=Unit.WEEK, r=0.8, alpha=6.0, a=0.9, b=3.0)
    mbg = MBGNBD(unit=Unit.WEEK, r=0.8, alpha=6.0, a=0.9, b=3.0)
    pareto = ParetoNBD(unit=Unit.WEEK, r=0.8, alpha=6.0, s=0.7, beta=12.0)
    return {
        "bg": (bg, dropping(bg, False)),
        "mbg": (mbg, dropping(mbg, True)),
        "pareto": (
            pareto,
            lambda rng, size: {
                "rate": rng.gamma(0.8, 1 / 6.0, size),
                "lifetime": rng.exponential(1 / rng.gamma(0.7, 1 / 12.0, size)),
            },
        ),
    }


@pytest.mark.parametrize("name", ["bg", "mbg", "pareto"])
def test_predictions_match_simulated_customers(name: str) -> None:
    """Compare mean purchases and the share without a purchase by repeats and recency, within 4 standard errors."""
    model, draw = worlds()[name]
    rng = np.random.default_rng(5)
    size, ahead = 200_000, 26.0
    histories, later = simulate(
        rng, observed=np.full(size, 40.0), unit=Unit.WEEK, ahead=ahead, **draw(rng, size)
    )
    expected = model.expected_purchases(histories, weeks(ahead))
    silent = model.probability_of_no_purchase(histories, weeks(ahead))
    recent = histories.last.amount > 25
    for repeats in (0, 1, 2, 3, 5, 8):
        for half in (recent, ~recent):
            group = (histories.repeats == repeats) & half
            if group.sum() < 300:
                continue
            error = later[group].std() / np.sqrt(group.sum())
            assert abs(later[group].mean() - expected[group].mean()) < 4 * error
            share = np.mean(later[group] == 0)
            error = np.sqrt(share * (1 - share) / group.sum()) + 1e-9
            assert abs(share - silent[group].mean()) < 4 * error


size = st.floats(0.02, 50)
times = st.floats(1, 400)


@st.composite
def questions(draw: st.DrawFn) -> tuple[PurchaseModel, Histories]:
    unit = draw(st.sampled_from(Unit))
    r, alpha, third, fourth = (draw(size) for _ in range(4))
    models: list[PurchaseModel] = [
        BGNBD(unit=unit, r=r, alpha=alpha, a=third, b=fourth),
        MBGNBD(unit=unit, r=r, alpha=alpha, a=third, b=fourth),
        ParetoNBD(unit=unit, r=r, alpha=alpha, s=third, beta=fourth),
    ]
    model = draw(st.sampled_from(models))
    repeats = draw(st.one_of(st.just(0), st.integers(1, 800)))
    observed = draw(times)
    last = observed * draw(st.floats(1e-3, 1)) if repeats else 0.0
    return model, Histories(np.array([repeats]), days([last]), days([observed]))


@settings(max_examples=80, deadline=None)
@given(questions(), st.lists(times, min_size=2, max_size=2, unique=True).map(sorted))
def test_properties_of_any_model_and_history(
    question: tuple[PurchaseModel, Histories], horizons: list[float]
) -> None:
    model, one = question
    short, long = (days(amount) for amount in horizons)
    alive = model.probability_alive(one)
    silent = [model.probability_of_no_purchase(one, horizon)[0] for horizon in (days(0), short, long)]
    bought = [model.expected_purchases(one, horizon)[0] for horizon in (days(0), short, long)]
    assert 0 <= alive[0] <= 1
    assert silent[0] == pytest.approx(1, abs=1e-9) and bought[0] == pytest.approx(0, abs=1e-9)
    assert 0 <= silent[2] <= silent[1] + 1e-9 <= 1 + 2e-9
    assert silent[2] >= 1 - alive[0] - 1e-9
    assert -1e-9 <= bought[1] <= bought[2] * (1 + 1e-9)
    # A customer who buys, buys at least once.
    assert bought[2] >= (1 - silent[2]) * (1 - 1e-6) - 1e-9
    other = model.to(Unit.DAY if model.unit is Unit.WEEK else Unit.WEEK)
    assert other.expected_purchases(one, long) == pytest.approx(bought[2:], rel=1e-7, abs=1e-12)
    assert other.probability_of_no_purchase(one, long) == pytest.approx(silent[2:], rel=1e-7, abs=1e-9)
    worth = discounted_purchases(model, one, long, DiscountRate(0.1, per=days(365)))[0]
    assert 0 <= worth <= bought[2] * (1 + 1e-9)


def test_limits_where_closed_forms_are_undefined() -> None:
    """At a = 1, a + b = 1 and s = 1 the result is the limit, not nan; close to them the closed form agrees."""
    ahead = weeks(39)
    at = [BGNBD(unit=Unit.WEEK, r=0.3, alpha=4.0, a=a, b=b) for a, b in ((1.0, 2.0), (0.4, 0.6))]
    near = [
        BGNBD(unit=Unit.WEEK, r=0.3, alpha=4.0, a=a, b=b) for a, b in ((1.0 + 1e-7, 2.0), (0.4, 0.6 + 1e-7))
    ]
    for one, other in zip(at, near, strict=True):
        assert one.expected_purchases(SOME, ahead) == pytest.approx(
            other.expected_purchases(SOME, ahead), rel=1e-6
        )
    two, three = (ParetoNBD(unit=Unit.WEEK, r=0.5, alpha=9.0, s=s, beta=12.0) for s in (1.0, 1.0 + 1e-7))
    assert two.expected_purchases(SOME, ahead) == pytest.approx(
        three.expected_purchases(SOME, ahead), rel=1e-6
    )


def test_one_time_buyers_of_bgnbd_are_all_alive_and_of_mbgnbd_are_not() -> None:
    """This is why 1 - P(alive) is not a churn probability and is not provided."""
    assert BG.probability_alive(SOME)[0] == 1
    assert MBG.probability_alive(SOME)[0] < 0.7
    assert not [name for name in dir(BG) if "churn" in name or "dead" in name]


def test_gamma_gamma_is_between_the_customer_and_the_population() -> None:
    model = GammaGamma(p=6.25, q=3.74, gamma=15.45)
    everybody = 6.25 * 15.45 / 2.74
    few, many = model.expected_spend([1, 500], [100.0, 100.0])
    assert everybody < few < many < 100
    assert many == pytest.approx(100, rel=0.01)
    assert model.expected_spend([0], [1e9]) == pytest.approx([everybody])
    # The density integrates to 1.
    total = quad(lambda z: np.exp(model.log_likelihood([3], [z])[0]), 1e-9, np.inf)[0]
    assert total == pytest.approx(1, abs=1e-6)


def test_discounted_value_by_hand() -> None:
    horizon, discount = days(70), DiscountRate(0.01, per=days(30))
    steps = np.array([BG.expected_purchases(SOME, days(day)) for day in (30, 60, 70)])
    each = np.diff(steps, axis=0, prepend=0)
    by_hand = each[0] / 1.01 + each[1] / 1.01**2 + each[2] / 1.01 ** (7 / 3)
    spend = np.array([1.0, 2, 3, 4, 5])
    assert discounted_value(BG, SOME, spend, horizon, discount) == pytest.approx(by_hand * spend)
    free = discounted_purchases(BG, SOME, horizon, DiscountRate(0.0, per=days(30)))
    assert free == pytest.approx(BG.expected_purchases(SOME, horizon))
    assert discounted_purchases(BG, SOME, days(0), discount) == pytest.approx(np.zeros(5))


def test_beta_means_of_many_purchases() -> None:
    """Compare with the series of the Beta function, where scipy's 2F1 is undefined."""
    from clm_dagster.statistics.btyd.quadrature import beta_nodes

    for a, b in ((0.05, 800.0), (1.0, 1.0), (0.4, 0.6), (30.0, 900.0)):
        p, weights = beta_nodes(64, a, b)
        assert weights.sum() == pytest.approx(1)
        for power in (1, 2, 9):
            moment = np.exp(betaln(a + power, b) - betaln(a, b))
            assert weights @ p**power == pytest.approx(moment, rel=1e-8)
