"""The choice among offers: limits hold for those who are contacted, whoever is held out, and reasons say why."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clm_dagster.domains.actions.choosing import CHOSEN, choose
from clm_dagster.domains.actions.names import GLOBAL_HOLDOUT, HOLDOUT, TREATED
from clm_dagster.domains.actions.offers import COOLING, OPEN, RESTING
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster_tests.domains.actions.test_offers import play

PLAYS = [play("mail"), play("call", channel="phone"), play("card", channel="post")]


def limits(budget: float | None = None, **capacity: int) -> PlanSettings:
    return PlanSettings(
        budget=budget,
        capacity=tuple(sorted(capacity.items())),
        rest_days=7,
        assume_consent=False,
        holdout_share=0.2,
        global_holdout_share=0.1,
        holdout_key="k",
        control_arms=(),
        horizon_days=90,
    )


def offers_of(gains: np.ndarray, costs: np.ndarray, limit: str = OPEN) -> pd.DataFrame:
    """One offer for each customer and play."""
    customer, place = np.indices(gains.shape)
    return pd.DataFrame(
        {
            "customer": customer.ravel(),
            "place": place.ravel(),
            "cost": costs.ravel(),
            "gain": gains.ravel(),
            "limit": limit,
            "days": np.nan,
        }
    )


@given(
    seed=st.integers(0, 10_000),
    customers=st.integers(0, 40),
    budget=st.none() | st.floats(0, 60),
    phone=st.integers(0, 6),
)
@settings(max_examples=150, deadline=None)
def test_contacts_never_break_a_limit_and_nobody_gets_two(
    seed: int, customers: int, budget: float | None, phone: int
) -> None:
    rng = np.random.default_rng(seed)
    gains, costs = rng.normal(2, 3, (customers, 3)).round(1), rng.uniform(0, 4, (customers, 3)).round(1)
    held = rng.choice([TREATED, HOLDOUT, GLOBAL_HOLDOUT], (customers, 3), p=[0.7, 0.2, 0.1])
    offers = offers_of(gains, costs)
    found = choose(offers, held.astype(object), PLAYS, limits(budget, phone=phone))
    chosen = offers[found.outcome == CHOSEN]
    assert chosen["customer"].is_unique and (chosen["gain"] > 0).all()
    sent = chosen[held[chosen["customer"], chosen["place"]] == TREATED]
    assert budget is None or sent["cost"].sum() <= budget + 1e-9
    assert (sent["place"] == 1).sum() <= phone
    assert 0 <= found.gap <= 1 and chosen["gain"].sum() <= found.bound + 1e-6


def test_without_limits_everybody_gets_what_earns_most() -> None:
    gains = np.array([[1.0, 3.0, 2.0], [-1.0, -2.0, 0.0], [5.0, 5.0, 4.0]])
    offers = offers_of(gains, np.ones((3, 3)))
    found = choose(offers, np.full((3, 3), TREATED, dtype=object), PLAYS, limits())
    chosen = offers[found.outcome == CHOSEN]
    assert list(zip(chosen["customer"], chosen["place"], strict=True)) == [(0, 1), (2, 0)]
    assert found.gap == 0 and found.bound == 8


def test_the_budget_of_those_who_are_held_out_is_spent_on_others() -> None:
    gains, costs = np.full((100, 1), 2.0), np.ones((100, 1))
    held = np.full((100, 1), TREATED, dtype=object)
    held[:28] = HOLDOUT
    offers = offers_of(gains, costs)
    found = choose(offers, held, PLAYS[:1], limits(budget=50))
    chosen = offers.loc[found.outcome == CHOSEN, "customer"]
    assert (chosen >= 28).sum() <= 50 < len(chosen)


@pytest.mark.parametrize(
    ("limit", "days", "words"),
    [
        (COOLING, 3.0, "planned 3 days ago, within its cool-down"),
        (RESTING, 2.0, "last contact 2 days ago"),
        (OPEN, np.nan, "earns no more than it costs"),
    ],
)
def test_an_offer_that_is_not_made_says_why(limit: str, days: float, words: str) -> None:
    gain = -1.0 if limit == OPEN else 1.0
    offers = offers_of(np.array([[gain]]), np.ones((1, 1)), limit).assign(days=days)
    found = choose(offers, np.full((1, 1), TREATED, dtype=object), PLAYS[:1], limits())
    assert found.outcome.tolist() == [words]


def test_limits_that_are_used_up_are_named() -> None:
    gains, costs = np.array([[9.0], [8.0], [7.0]]), np.ones((3, 1))
    held = np.full((3, 1), TREATED, dtype=object)
    one_call = choose(offers_of(gains, costs), held, PLAYS[1:2], limits(phone=1))
    assert one_call.outcome.tolist() == [CHOSEN, *["the capacity of its channel earns more with others"] * 2]
    one_unit = choose(offers_of(gains, costs), held, PLAYS[1:2], limits(budget=1.0))
    assert one_unit.outcome.tolist() == [CHOSEN, *["the budget earns more with others"] * 2]
    assert one_unit.budget_price > 0
    better = choose(
        offers_of(np.array([[3.0, 2.0]]), np.ones((1, 2))), held[:1].repeat(2, 1), PLAYS[:2], limits()
    )
    assert better.outcome.tolist() == [CHOSEN, "another line earns more"]


def test_a_capacity_of_a_channel_that_no_line_uses_does_not_matter() -> None:
    nobody = choose(
        offers_of(np.ones((2, 0)), np.ones((2, 0))), np.zeros((2, 0), dtype=object), [], limits(phone=1)
    )
    assert len(nobody.outcome) == 0 and nobody.bound == 0
    offers, held = offers_of(np.ones((2, 1)), np.ones((2, 1))), np.full((2, 1), TREATED, dtype=object)
    assert choose(offers, held, PLAYS[:1], limits(phone=0)).outcome.tolist() == [CHOSEN, CHOSEN]
