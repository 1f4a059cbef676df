"""The contest on Online Retail II: the figures that were measured, with room for rounding.

Revenue is what was bought, cancellations left out, as in the issue's table: so that the order of 74,215 pieces of
customer 12346 (2011-01-18, 77,184 pounds, cancelled minutes later) stands, and must move nobody else.
"""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.value.candidates import Candidate, candidates
from clm_dagster.domains.value.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.value.plan import EvaluationSettings
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.value.conftest import Shop, contest_of

pytestmark = pytest.mark.slow

SETTINGS = EvaluationSettings()
JUNE, SEPTEMBER = date(2011, 6, 1), date(2011, 9, 10)
HUGE = ("12346", 77_183.6, pd.Timestamp(2011, 1, 18))
# Issue "Customer value", next 90 days: MAE, bias, Spearman, catch of the last 90 days and of the last 365 / 4.
KNOWN = {
    JUNE: {"last_period": (275.9, 0.01, 0.503, 0.622), "past_year": (293.7, 0.21, 0.517, 0.656)},
    SEPTEMBER: {"last_period": (422.7, -0.35, 0.481, 0.562), "past_year": (384.6, -0.29, 0.567, 0.597)},
}
# The best of any column of that table: Spearman and catch.
BEST = {JUNE: (0.557, 0.661), SEPTEMBER: (0.583, 0.597)}


def entries() -> list[Candidate]:
    return [
        e for e in candidates() if e.name in ("btyd", "boosting_ratio", "boosting_sqrt", "two_part", "mlp")
    ]


@pytest.fixture(scope="module")
def given(real_shop: Callable[[str], Shop]) -> dict[date, tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]]:
    shop = real_shop("online_retail_ii")
    return {day: contest_of(shop, day, date(2009, 12, 1), SETTINGS) for day in KNOWN}


@pytest.fixture(scope="module")
def held(
    given: dict[date, tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]],
) -> dict[date, EvaluationResult]:
    return {day: evaluate_candidates(*inputs, SETTINGS, entries()) for day, inputs in given.items()}


def test_the_dumb_rules_are_those_of_the_table(held: dict[date, EvaluationResult]) -> None:
    for day, rules in KNOWN.items():
        for rule, (mae, bias, spearman, catch) in rules.items():
            test = held[day].results[rule].test
            assert test["mae"] == pytest.approx(mae, rel=0.01)
            assert test["bias"] == pytest.approx(bias, abs=0.015)
            assert test["spearman"] == pytest.approx(spearman, abs=0.002)
            assert test["catch"] == pytest.approx(catch, abs=0.002)


def test_the_level_is_met_before_and_after(held: dict[date, EvaluationResult]) -> None:
    for day, before in ((JUNE, -0.01), (SEPTEMBER, -0.41)):
        best = held[day].results[held[day].winner]
        assert best.before["bias"] == pytest.approx(before, abs=0.03)
        assert abs(best.test["bias"]) < 0.05
        assert held[day].level.method in ("season", "half")


def test_the_winner_ranks_as_the_best_known_and_is_closer_than_the_rules(
    held: dict[date, EvaluationResult],
) -> None:
    for day, (spearman, catch) in BEST.items():
        result = held[day]
        best = result.results[result.winner]
        assert best.test["spearman"] > spearman - 0.002 and best.test["catch"] > catch - 0.002
        assert result.verdict().accepted, str(result.verdict())
        assert best.mae_over["last_period"].below_zero and best.catch_over["last_period"].above_zero
    june, september = (held[day].results[held[day].winner].test["mae"] for day in (JUNE, SEPTEMBER))
    # To beat were 243.9 and 378.8, of a model 10% and 41% short; 255 and 384 of one 3% and 11% short.
    assert june < 248 and september < 393
    clearly = held[JUNE].results[held[JUNE].winner]
    assert clearly.mae_over["past_year"].below_zero and clearly.catch_over["past_rate"].above_zero


def test_at_the_bias_of_what_was_known_the_mae_is_smaller(held: dict[date, EvaluationResult]) -> None:
    for day, bias, mae in ((JUNE, -0.03, 255), (SEPTEMBER, -0.11, 384)):
        actual = held[day].amounts.net_revenue.to_numpy()
        said = held[day].amounts[held[day].winner].to_numpy()
        said = said * (1 + bias) * actual.sum() / said.sum()
        assert np.abs(said - actual).mean() < mae - 5


def test_four_of_five_lie_within_their_interval(held: dict[date, EvaluationResult]) -> None:
    for result in held.values():
        assert result.coverage == pytest.approx(0.8, abs=0.035)
        assert min(result.coverage_by_decile) > 0.65


def test_the_largest_order_moves_nobody_else(
    given: dict[date, tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]], held: dict[date, EvaluationResult]
) -> None:
    """The contest with the order, and with it taken out of features and labels."""
    features, labels, plan = given[JUNE]
    who, amount, day = HUGE
    money = [c for c in features if "revenue" in c and "returned" not in c]
    f = features.astype(dict.fromkeys(money, float))
    y = labels.astype({"net_revenue": float})
    has = (f.customer_id == who) & (f.as_of > day)
    assert has.sum() >= 4
    age = (f.as_of - day).dt.days
    for name in money:
        window = int(name.rsplit("_", 1)[1][:-1]) if name.endswith("d") else 10_000
        f.loc[has & (age <= window), name] -= amount
    inside = (y.customer_id == who) & (y.as_of <= day) & (y.as_of + pd.Timedelta(days=90) > day)
    assert (y.loc[inside, "net_revenue"] > amount - 1).all() and inside.sum() >= 3
    y.loc[inside, "net_revenue"] -= amount
    without = evaluate_candidates(f, y, plan, SETTINGS, entries())
    assert without.winner == held[JUNE].winner
    before, after = (r.amounts.set_index("customer_id")[r.winner].drop(who) for r in (without, held[JUNE]))
    assert after.sum() / before.sum() == pytest.approx(1, abs=0.01)
    assert (after / before - 1).abs().median() < 0.05
    # Uncut, it is a twentieth of what all customers spent in those 90 days, and more.
    assert amount / y.loc[y.as_of == y.loc[inside, "as_of"].max(), "net_revenue"].sum() > 0.05
