"""What an offer is worth, and which contact limits forbid it."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.actions.offers import (
    COOLING,
    HARMFUL,
    LEFT_ALONE,
    OPEN,
    RESTING,
    limit_contacts,
    price_offers,
)
from clm_dagster.domains.actions.plan import PlanInputs, plan
from clm_dagster.domains.actions.playbook import Play
from clm_dagster.domains.actions.table_settings import PlanSettings
from clm_dagster.platform.build_ledger.versions import Version


def play(name: str, action: str = "reminder", **values: object) -> Play:
    usual = {
        "line": 2,
        "channel": "email",
        "conditions": {},
        "cost": 0.0,
        "discount": 0.0,
        "effect": 0.0,
        "cool_down_days": 0,
        "arm": "",
        "valid_from": None,
        "valid_to": None,
    }
    return Play(play=name, action=action, **(usual | values))  # type: ignore[arg-type]


CUSTOMERS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "order_probability": [0.5, None, 0.99],
        "order_value": [100.0, 40.0, None],
    }
)


def test_a_discount_is_also_given_to_those_who_would_order_anyway() -> None:
    plays = [play("coupon", cost=0.1, discount=0.2, effect=0.04), play("silence", "nothing")]
    pairs = pd.DataFrame({"customer_id": ["a", "a", "b", "c"], "place": [0, 1, 0, 0]})
    found = price_offers(pairs, CUSTOMERS, plays, margin_rate=0.5).set_index("customer")
    assert list(found.index) == [0, 1, 2]
    assert found[["margin", "cost"]].to_numpy()[0] == pytest.approx(
        [0.04 * 100 * 0.5, 0.1 + 0.2 * 100 * 0.54]
    )
    # Nothing predicts whether b orders: then only the orders that the coupon brings cost a discount.
    assert found[["margin", "cost"]].to_numpy()[1] == pytest.approx([0.04 * 40 * 0.5, 0.1 + 0.2 * 40 * 0.04])
    assert found[["margin", "cost", "gain"]].to_numpy()[2] == pytest.approx([0, 0.1, -0.1])


def test_a_probability_with_its_effect_is_at_most_one() -> None:
    customers = CUSTOMERS.assign(order_value=10.0)
    pairs = pd.DataFrame({"customer_id": ["c"], "place": [0]})
    found = price_offers(pairs, customers, [play("coupon", discount=0.5, effect=0.05)], margin_rate=0.5)
    assert found["cost"].tolist() == pytest.approx([5.0])


def test_contact_limits() -> None:
    plays = [play("weekly", cool_down_days=30), play("other"), play("silence", "nothing")]
    pairs = pd.DataFrame({"customer_id": ["a", "a", "b", "b", "c", "c"], "place": [0, 1, 0, 1, 0, 2]})
    contacts = pd.DataFrame(
        {
            "customer_id": ["a", "b", "b", "x"],
            "play": ["weekly", None, "weekly", None],
            "days": [14, 6, 30, 1],
        }
    )
    offers = price_offers(pairs, CUSTOMERS, plays, 0.3)
    found = limit_contacts(offers, pairs, CUSTOMERS, contacts, plays, rest_days=7)
    limits = {(row.customer, row.place): (row.limit, row.days) for row in found.itertuples()}
    assert limits[0, 0] == (COOLING, 14)
    assert limits[0, 1][0] == OPEN
    assert limits[1, 0] == (RESTING, 6) and limits[1, 1] == (RESTING, 6)
    assert limits[2, 0][0] == LEFT_ALONE


def test_a_line_with_an_arm_takes_its_proven_effect_and_never_harms() -> None:
    plays = [
        play("coupon", effect=0.04, arm="discount"),
        play("hello", effect=0.01, arm="news"),
        play("note", effect=0.02),
    ]
    pairs = pd.DataFrame({"customer_id": ["a", "a", "a", "b", "c"], "place": [0, 1, 2, 0, 0]})
    uplift = pd.DataFrame({"customer_id": ["a", "c"], "arm": "discount", "effect": [0.1, -0.2]})
    offers = price_offers(pairs, CUSTOMERS, plays, 0.5, uplift)
    found = {(row.customer, row.place): (row.effect, row.source) for row in offers.itertuples()}
    assert found == {
        (0, 0): (0.1, "uplift_model"),
        (0, 1): (0.01, "playbook"),
        (0, 2): (0.02, "playbook"),
        (1, 0): (0.04, "playbook"),  # the model does not know this customer
        (2, 0): (-0.2, "uplift_model"),
    }
    assert offers["margin"].tolist()[0] == pytest.approx(0.1 * 100 * 0.5)
    contacts = pd.DataFrame({"customer_id": pd.Series(dtype=str), "play": [], "days": pd.Series(dtype=float)})
    limited = limit_contacts(offers, pairs, CUSTOMERS, contacts, plays, rest_days=7)
    assert limited["limit"].tolist() == [OPEN] * 4 + [HARMFUL]


@pytest.mark.parametrize("days", [6, 7, 8])
def test_the_rest_ends_after_its_days(days: int) -> None:
    pairs = pd.DataFrame({"customer_id": ["a"], "place": [0]})
    contacts = pd.DataFrame({"customer_id": ["a"], "play": [None], "days": [days]})
    offers = price_offers(pairs, CUSTOMERS, [play("p")], 0.3)
    (limit,) = limit_contacts(offers, pairs, CUSTOMERS, contacts, [play("p")], rest_days=7)["limit"]
    assert limit == (RESTING if days < 7 else OPEN)


def test_a_shop_without_customers_or_lines_has_no_offers() -> None:
    empty = pd.DataFrame({"customer_id": pd.Series(dtype=str), "place": pd.Series(dtype=int)})
    contacts = pd.DataFrame(
        {"customer_id": pd.Series(dtype=str), "play": pd.Series(dtype=str), "days": pd.Series(dtype=int)}
    )
    for plays in ([], [play("p")]):
        for customers in (CUSTOMERS, CUSTOMERS[:0]):
            offers = price_offers(empty, customers, plays, 0.3)
            assert limit_contacts(offers, empty, customers, contacts, plays, 7).empty


LIMITS = PlanSettings(None, (), 7, False, 0.1, 0.05, "key", (), 30)


def test_of_lines_that_are_worth_the_same_the_first_one_is_the_reason() -> None:
    """Else the same plan, made again, would give another reason."""
    plays = [play(name, line=number) for number, name in enumerate("zyxabc", start=2)]
    ids = [f"c{number}" for number in range(3_000)]
    customers = pd.DataFrame({"customer_id": ids, "order_probability": 0.5, "order_value": 0.0}).assign(
        stage="loyal", segment="champions", risk_band="low", recency_days=3
    )
    pairs = pd.DataFrame({"customer_id": np.repeat(ids, 6), "place": np.tile(range(6), 3_000)})
    nobody = pd.DataFrame(
        {"customer_id": pd.Series(dtype=str), "play": pd.Series(dtype=str), "days": pd.Series(dtype=int)}
    )
    products = pd.DataFrame({"customer_id": ids[:1], "list": "next_best", "products": [["p"]]})
    given = PlanInputs(
        plays,
        len(ids),
        customers,
        pairs.sample(frac=1, random_state=1),
        nobody,
        products,
        0.3,
        {},
        pd.DataFrame(),
    )
    rows, _ = plan(given, plays, LIMITS, Version("test"))
    assert set(rows["reason"]) == {"nothing; the best line is z: earns no more than it costs"}
