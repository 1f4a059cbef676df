"""Interactions compared with pandas, and their invariance."""

from dataclasses import fields
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.recommend.interactions import InteractionError, Interactions, interactions
from clm_dagster_tests.domains.recommend.shop import AS_OF


def same(a: Interactions, b: Interactions) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Interactions))


def test_decay_is_a_sum_over_days_of_purchase(lines: pd.DataFrame, past: Interactions) -> None:
    before = lines[lines["day"] < pd.Timestamp(AS_OF)]
    days = before.groupby(["customer_id", "product_id", "day"], as_index=False)["quantity"].sum()
    age = (pd.Timestamp(AS_OF) - days["day"]).dt.days
    expected = days.assign(w=0.5 ** (age / 30)).pivot_table(
        index="customer_id", columns="product_id", values="w", aggfunc="sum", fill_value=0.0
    )
    assert list(past.customers) == list(expected.index)
    assert list(past.products) == list(expected.columns)
    np.testing.assert_allclose(past.decayed(30).toarray(), expected.to_numpy(), rtol=1e-12)
    latest = days.assign(age=age).pivot_table(
        index="customer_id", columns="product_id", values="age", aggfunc="min", fill_value=0
    )
    np.testing.assert_array_equal(past.latest().toarray(), latest.to_numpy())
    units = days.pivot_table(
        index="customer_id",
        columns="product_id",
        values="quantity",
        aggfunc=lambda q: np.log1p(q).sum(),
        fill_value=0.0,
    )
    np.testing.assert_allclose(past.decayed(log_quantity=True).toarray(), units.to_numpy(), rtol=1e-12)


def test_row_order_does_not_matter(lines: pd.DataFrame, past: Interactions) -> None:
    fractions = lines.assign(quantity=lines["quantity"] / 7)
    shuffled = fractions.sample(frac=1, random_state=3)
    assert same(interactions(fractions, AS_OF), interactions(shuffled, AS_OF))


def test_purchases_at_or_after_as_of_do_not_count(lines: pd.DataFrame, past: Interactions) -> None:
    later = lines["day"] >= pd.Timestamp(AS_OF)
    assert later.any()
    changed = lines.assign(product_id=lines["product_id"].where(~later, "future"))
    assert same(past, interactions(changed, AS_OF))
    assert past.age.min() >= 1


@pytest.mark.parametrize("day", [AS_OF, date(2024, 3, 9), date(2023, 7, 4)])
def test_before_matches_interactions_of_the_earlier_day(
    day: date, lines: pd.DataFrame, later: Interactions
) -> None:
    assert same(later.before(day), interactions(lines, day))
    with pytest.raises(InteractionError, match="before 2020-01-01"):
        later.before(date(2020, 1, 1))
    with pytest.raises(ValueError, match="2025-01-01 is later than"):
        later.before(date(2025, 1, 1))


def test_a_block_of_customers_has_the_same_rows(past: Interactions) -> None:
    rows = np.array([7, 0, 31, 8])
    some = past.of(rows)
    assert some.customers.tolist() == past.customers[rows].tolist()
    for make in (
        lambda p: p.decayed(30),
        lambda p: p.decayed(90, log_quantity=True),
        Interactions.latest,
        Interactions.earliest,
    ):
        np.testing.assert_array_equal(make(some).toarray(), make(past).toarray()[rows])
    assert past.of(rows[:0]).decayed(30).shape == (0, past.shape[1])


def test_unknown_ids_have_position_minus_one(past: Interactions) -> None:
    assert past.rows_of(["c001", "nobody"]).tolist() == [list(past.customers).index("c001"), -1]
    assert past.columns_of(["nothing"]).tolist() == [-1]


def test_one_customer_one_product() -> None:
    one = pd.DataFrame(
        {
            "customer_id": ["a"],
            "product_id": ["x"],
            "day": [date(2024, 5, 31)],
            "quantity": [2],
            "order_id": ["o"],
        }
    )
    found = interactions(one, AS_OF)
    assert found.shape == (1, 1)
    assert found.latest().toarray().tolist() == [[1.0]]
    assert found.sold_within(1).tolist() == [True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantity": -1}, "not above 0"),
        ({"day": pd.NaT}, "have no day"),
        ({"day": pd.Timestamp("2025-01-01")}, "no customer bought anything before 2024-06-01"),
        ({"customer_id": None}, "no customer bought anything"),
    ],
)
def test_invalid_lines_are_errors(lines: pd.DataFrame, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InteractionError, match=words):
        interactions(lines.assign(**change), AS_OF)
    with pytest.raises(InteractionError, match="lack quantity"):
        interactions(lines.drop(columns="quantity"), AS_OF)
