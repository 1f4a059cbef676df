"""Invalid input: a clear error or a defined result, never a NaN."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.statistics.btyd import (
    BGNBD,
    MBGNBD,
    DiscountRate,
    Duration,
    FitError,
    GammaGamma,
    Histories,
    HistoryError,
    ParetoNBD,
    Unit,
    days,
    discounted_value,
    summarise,
    weeks,
)
from clm_dagster.statistics.btyd.purchases import PurchaseModel

KINDS = [BGNBD, MBGNBD, ParetoNBD]
MODEL = BGNBD(unit=Unit.WEEK, r=0.243, alpha=4.414, a=0.793, b=2.426)


@pytest.mark.parametrize(
    ("x", "t_x", "t", "says"),
    [
        ([0, -1], [0, 0], [9, 9], "not a count: 1 of 2, first at row 1 .found -1."),
        ([1.5], [3], [9], "not a count"),
        ([1], [10], [9], "after as_of.*before as_of"),
        ([0], [3], [9], "one-time buyer has a last purchase"),
        ([2], [0], [9], "at the instant of the first"),
        ([np.nan], [0], [9], "missing or infinite"),
        ([1], [np.nan], [9], "missing or infinite"),
        ([1], [3], [np.inf], "missing or infinite"),
        ([1], [3], [-9], "duration is negative"),
        ([], [], [], "no customers"),
        ([1, 2], [3], [9], "not one row per customer"),
        (["many"], [3], [9], "not numeric"),
    ],
)
def test_impossible_histories(x: list[float | str], t_x: list[float], t: list[float], says: str) -> None:
    with pytest.raises(HistoryError, match=says):
        Histories(np.array(x), days(t_x), days(t))


def test_weights_are_checked() -> None:
    for weights, says in (([0.0], "not above 0"), ([1.0, 1.0], "not one per"), ([np.nan], "missing")):
        with pytest.raises(HistoryError, match=says):
            Histories(np.array([1.0]), days([3]), days([9]), np.array(weights))


def test_an_amount_without_a_unit_is_an_error() -> None:
    twice = np.array([2.0])
    one = Histories(twice, weeks([30.43]), weeks([38.86]))
    plain: Any = 39  # a type checker refuses it, too
    questions: list[Callable[[], object]] = [
        lambda: Histories(twice, plain, weeks([38.86])),
        lambda: Histories(twice, weeks([30.43]), plain),
        lambda: MODEL.expected_purchases(one, plain),
        lambda: MODEL.probability_of_no_purchase(one, plain),
        lambda: MODEL.expected_purchases_of_new(plain),
        lambda: MODEL.probability_of_purchases(0, plain),
        lambda: DiscountRate(0.1, per=plain),
        lambda: discounted_value(MODEL, one, 20.0, plain, DiscountRate(0.1, per=days(365))),
    ]
    for ask in questions:
        with pytest.raises(HistoryError, match="has no unit: write days"):
            ask()
    wrongs: list[Any] = ["day", 7, None]
    for wrong in wrongs:
        with pytest.raises(HistoryError, match="unit is"):
            Duration(np.array(3.0), wrong)
        with pytest.raises(HistoryError, match="unit is"):
            replace(MODEL, unit=wrong)
    with pytest.raises(TypeError):
        BGNBD(r=0.243, alpha=4.414, a=0.793, b=2.426)  # type: ignore[call-arg]


def test_durations_are_equal_if_their_lengths_are() -> None:
    assert weeks(2) == days(14) != days(15)
    assert weeks([1, 2]).to(Unit.DAY) == days([7, 14])
    assert days(14) != 14
    assert repr(weeks(2)) == "weeks(2.0)"


@pytest.mark.parametrize("kind", KINDS)
def test_too_little_data_is_an_error(kind: type[PurchaseModel]) -> None:
    with pytest.raises(FitError, match=r"none of 3 customers bought twice.*observe them longer"):
        kind.fit(Histories(np.zeros(3), days([0, 0, 0]), days([9, 8, 7])))
    with pytest.raises(FitError, match="one customer"):
        kind.fit(Histories(np.array([3.0]), days([5]), days([9])))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("x", "t_x", "t"),
    [
        ([1, 0], [5, 0], [9, 9]),
        ([3, 3, 3], [9, 9, 9], [9, 9, 9]),
        ([1] * 50, [1] * 50, [300] * 50),
        ([0] * 500 + [400], [0] * 500 + [364], [365] * 501),
        ([40] * 30, [364] * 30, [365] * 30),
    ],
)
def test_unusual_histories_have_a_defined_result(
    kind: type[PurchaseModel], x: list[int], t_x: list[float], t: list[float]
) -> None:
    """Two customers, no dropouts, immediate dropouts: parameters may reach their bound, which is reported."""
    histories = Histories(np.array(x, dtype=float), days(t_x), days(t))
    fit = kind.fit(histories)
    assert np.isfinite(list(fit.estimates.values())).all() and np.isfinite(fit.log_likelihood)
    assert not np.isnan(list(fit.standard_errors.values())).any()
    assert not np.isnan(list(fit.intervals().values())).any()
    assert all(np.isinf(fit.standard_errors[name]) for name in fit.at_bound)
    for answer in (
        fit.model.expected_purchases(histories, days(90)),
        fit.model.probability_of_no_purchase(histories, days(90)),
        fit.model.probability_alive(histories),
    ):
        assert np.isfinite(answer).all() and (answer >= 0).all()


def test_horizons_and_parameters() -> None:
    two = Histories(np.array([0.0, 2.0]), days([0, 5]), days([9, 9]))
    each = MODEL.expected_purchases(two, days([30, 60]))
    assert each[1] == MODEL.expected_purchases(two, days(60))[1]
    with pytest.raises(HistoryError, match="horizon of shape"):
        MODEL.expected_purchases(two, days([1, 2, 3]))
    with pytest.raises(HistoryError, match="one horizon for all"):
        discounted_value(MODEL, two, 1.0, days([1, 2]), DiscountRate(0.1, per=days(365)))
    with pytest.raises(HistoryError, match="not one per customer"):
        discounted_value(MODEL, two, [1.0], days(9), DiscountRate(0.1, per=days(365)))
    with pytest.raises(HistoryError, match="alpha is a number above 0, not -1"):
        replace(MODEL, alpha=-1)
    for rate, per in ((-1, days(365)), (np.nan, days(365)), (0.1, days(0)), (0.1, days([1, 2]))):
        with pytest.raises(HistoryError, match="discount rate is"):
            DiscountRate(rate, per=per)


def test_gamma_gamma_input() -> None:
    with pytest.raises(FitError, match="0 customers bought twice"):
        GammaGamma.fit([0, 0], [0, 0])
    with pytest.raises(FitError, match="1 customers bought twice"):
        GammaGamma.fit([0, 3], [0, 12.5])
    with pytest.raises(HistoryError, match=r"not above 0: 1 of 2, first at row 1.*returns outweigh"):
        GammaGamma.fit([2, 3], [10, -4])
    with pytest.raises(HistoryError, match="missing"):
        GammaGamma.fit([2, 3], [10, np.nan])
    with pytest.raises(HistoryError, match="not one row per customer"):
        GammaGamma.fit([2, 3], [10])
    model = GammaGamma(p=6.25, q=3.74, gamma=15.45)
    with pytest.raises(HistoryError, match=r"negative.*give it as 0"):
        model.expected_spend([2], [-1])
    assert model.expected_spend([2], [0])[0] > 0
    with pytest.raises(FitError, match="no finite expected spend"):
        GammaGamma(p=6.25, q=0.9, gamma=15.45).expected_spend([0], [0])
    with pytest.raises(HistoryError, match="gamma is a number above 0"):
        GammaGamma(p=6.25, q=3.74, gamma=0)
    with pytest.raises(FitError, match=r"4 customers who bought twice spend 10.*use that"):
        GammaGamma.fit([2, 3, 4, 1], [10.0, 10.0, 10.0, 10.0])


@pytest.mark.parametrize("spread", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("size", [3, 40, 3000])
def test_unusual_spends_have_a_defined_result(spread: float, size: int) -> None:
    """Few customers, nearly equal or very different spends: the result is finite, even at a bound."""
    rng = np.random.default_rng(size)
    x, z = rng.integers(1, 6, size), 20 * np.exp(spread * rng.normal(size=size))
    fit = GammaGamma.fit(x, z)
    assert np.isfinite(list(fit.estimates.values())).all()
    assert not np.isnan(list(fit.standard_errors.values())).any()
    spend = fit.model.expected_spend(x, z)
    assert np.isfinite(spend).all() and (spend > 0).all()


def test_summary_of_transactions() -> None:
    frame = pd.DataFrame(
        [
            ("b", "2024-01-03 09:00", 5.0),
            ("a", "2024-01-01 10:00", 10.0),
            ("a", "2024-01-01 20:00", 1.0),  # the same day: one purchase, the first
            ("a", "2024-01-08", 20.0),
            ("a", "2024-01-15 08:00", 25.0),
            ("a", "2024-01-15 09:00", 15.0),
            ("b", "2024-02-01", 99.0),  # too late
        ],
        columns=["who", "when", "spend"],
    )
    frame["when"] = pd.to_datetime(frame["when"], format="mixed")
    made = summarise(frame["who"], frame["when"], frame["spend"], pd.Timestamp("2024-01-29"), Unit.WEEK)
    assert list(made.customer_id) == ["a", "b"]
    assert list(made.histories.repeats) == [2, 0]
    assert made.histories.last == weeks([2, 0])
    assert made.histories.observed == days([28, 26])
    assert list(made.mean_spend) == [30.0, 0.0]
    with pytest.raises(HistoryError, match="no transaction up to 2023"):
        summarise(frame["who"], frame["when"], frame["spend"], pd.Timestamp("2023-01-01"), Unit.DAY)
    missing = frame.assign(who=frame["who"].where(frame.index > 0, None))
    with pytest.raises(HistoryError, match="no customer or no date"):
        summarise(missing["who"], frame["when"], frame["spend"], pd.Timestamp("2024-01-29"), Unit.DAY)
