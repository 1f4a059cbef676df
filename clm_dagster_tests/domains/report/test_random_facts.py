"""Facts over random small shops: always said, always the same numbers, never a change within its noise."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_dagster.domains.report.fact import Fact
from clm_dagster.domains.report.fact_inputs import FactInputs
from clm_dagster.domains.report.facts import fact_rows, facts_of
from clm_dagster.domains.report.names import MONDAY
from clm_dagster.domains.report.sentences import Speech
from clm_dagster.domains.report.wording import Wording

DAY = date(2024, 6, 10)
SEGMENTS = ("champions", "loyal", "new", "hibernating", "undetermined", "own words")
STAGES = ("prospect", "new", "loyal", "lost")
ODD = ("web", "shop {n}", "<script>", "a" * 300, "%s", "مرحبا", "🛒", "x\ny", "", "{day}")
amounts = st.one_of(st.integers(-10_000, 100_000).map(float), st.sampled_from([0.0, 1e13, -1e13, 0.001]))
counts = st.one_of(st.integers(0, 3), st.integers(0, 5_000), st.just(10**12)).map(float)


@st.composite
def shops(draw: st.DrawFn) -> FactInputs:
    """A shop of any age whose tables fit together only as far as facts need."""
    age = draw(st.sampled_from([1, 3, 7, 8, 14, 40, 140]))
    weeks = []
    for back in range(max(1, min(19, age // 7))):
        orders = draw(counts)
        buyers = min(orders, draw(counts))
        weeks.append(
            {
                "back": back,
                "orders": orders,
                "guest_orders": min(orders - buyers, draw(counts)),
                "sales": draw(amounts),
                "returns": draw(amounts),
                "sessions": draw(counts),
                "days": draw(st.integers(0, 7)),
                "buyers": buyers,
                "new_buyers": min(buyers, draw(counts)),
            }
        )
    frame = pd.DataFrame(weeks)
    frame["revenue"] = frame["sales"] - frame["returns"]
    frame["gross"] = frame["sales"] + 5.0
    squares = st.floats(0, 1e12)
    pairs = [
        {
            "back": back,
            **{name: draw(squares) for name in ("revenue", "sales", "returns", "orders", "buyers")},
        }
        for back in (1, 4)
    ]
    splits = [
        {"dimension": dimension, "name": name, "r0": draw(amounts), "r1": draw(amounts), "r4": draw(amounts)}
        for dimension, names in (
            ("channel", ODD),
            ("country", ("DE", "Frankreich")),
            ("kind", ("new", "guests")),
        )
        for name in names[: draw(st.integers(1, 4))]
    ]
    backs = draw(st.sampled_from([(0,), (0, 1), (0, 1, 4), (0, 4)]))
    states = [
        {"kind": kind, "state": state, "back": back, "customers": draw(st.integers(0, 9_000))}
        for kind, names in (("segment", SEGMENTS), ("stage", STAGES))
        for state in names
        for back in backs
        if draw(st.booleans())
    ]
    moves = [
        {
            "kind": kind,
            "state": state,
            "back": back,
            "entered": draw(st.integers(0, 99)),
            "gone": draw(st.integers(0, 99)),
        }
        for kind, names in (("segment", SEGMENTS), ("stage", STAGES))
        for state in names
        for back in (1, 4)
    ]
    causes = [
        {"previous_segment": "new", "segment": "loyal", "customers": count}
        | dict.fromkeys(("purchases", "time", "cutoffs", "late"), count / 4)
        for count in [draw(st.integers(1, 50))]
        if draw(st.booleans())
    ]
    churn = [
        {
            "back": back,
            "customers": draw(st.integers(1, 900)),
            "high": 1,
            "loss": draw(st.one_of(st.none(), amounts)),
        }
        | {"horizon_days": 90, "model": draw(st.sampled_from(["a 1", "a 2"]))}
        for back in backs
        if draw(st.booleans())
    ]
    plays = [
        {"back": 0, "play": play, "action": "reminder", "contacts": draw(st.integers(0, 9)), "held_out": 1}
        | {"cost": draw(amounts), "gain": draw(amounts)}
        for play in ("welcome_new", "own {play}", "b.c")
        if draw(st.booleans())
    ]
    campaigns = [
        {
            "basis": basis,
            "campaign_id": name,
            "arm": arm,
            "metric": metric,
            "customers": 5,
            "effect": draw(amounts),
        }
        | {"low": -1.0, "high": 1.0, "total": draw(amounts), "is_discovery": draw(st.booleans())}
        for basis in ("touches", "plan")
        for name, arm in (
            (ODD[0], "a"),
            (ODD[1], "a"),
            (ODD[1], "a b"),
            (f"{ODD[1]} a", "b"),
            (ODD[2], ODD[3]),
        )
        for metric in ("conversion", "revenue")
        if draw(st.booleans())
    ]
    forecasts = [
        {"week": week, "mean": 5.0, "low": draw(amounts), "high": draw(amounts)}
        for week in ("past", "next")
        if draw(st.booleans())
    ]
    serving = [
        {"model": f"models.{name}_model", "part": "all", "is_champion": draw(st.booleans())}
        | {"model_name": draw(st.sampled_from(["models.a_model", "a_baseline", None]))}
        for name in ("churn", "demand", "uplift", "other")
        if draw(st.booleans())
    ]
    reviews = [
        {
            "back": back,
            "reviews": count,
            "rating": 3.0 if count else None,
            "variance": 0.5 if count > 1 else None,
        }
        for back in (0, 1, 4)
        for count in [draw(st.integers(0, 3))]
    ]
    return FactInputs(
        day=DAY,
        first_day=DAY - timedelta(days=age),
        last_day=DAY - timedelta(days=draw(st.integers(1, age))),
        weeks=frame,
        pairs=pd.DataFrame(pairs),
        splits=pd.DataFrame(splits),
        states=pd.DataFrame(states),
        moves=pd.DataFrame(moves),
        lost=pd.DataFrame([{"back": back, "lost": draw(st.integers(0, 9)), "won_back": 1} for back in backs]),
        causes=pd.DataFrame(causes),
        churn=pd.DataFrame(churn),
        churn_moves=pd.DataFrame([{"back": back, "high": 3, "loss": draw(squares)} for back in (1, 4)]),
        contactable=draw(st.sampled_from([None, 0, 5])),
        plays=pd.DataFrame(plays),
        campaigns=pd.DataFrame(campaigns),
        stock=pd.DataFrame(
            [
                {
                    "product_id": "1",
                    "name": name,
                    "lead_days": 7,
                    "expected_demand": 3.5,
                    "reorder_point": 9.0,
                }
                for name in ODD[: draw(st.integers(0, 3))]
            ]
        ),
        reviews=pd.DataFrame(reviews),
        forecasts=pd.DataFrame(forecasts),
        serving=pd.DataFrame(serving),
        drift=pd.DataFrame([{"feature": "score", "status": "fail"}] if draw(st.booleans()) else []),
        currencies=draw(st.sampled_from([[], ["EUR"], ["EUR", "USD"]])),
        rejected=draw(st.sampled_from([{}, {"accepted": 0, "rejected": 5}, {"accepted": 99, "rejected": 1}])),
    )


def rows_of(inputs: FactInputs) -> pd.DataFrame:
    speeches = {code: Speech(Wording.of(code), inputs.currency) for code in ("en", "zh")}
    return fact_rows(facts_of(inputs), speeches, inputs.currency)


def figures(sentence: str) -> list[str]:
    """The numbers of a sentence without its days, sorted: languages have them in different places."""
    for pattern in (r"\d{1,2} [A-Z][a-z]+ \d{4}", r"\d{4}年\d{1,2}月\d{1,2}日"):
        sentence = re.sub(pattern, "", sentence)
    return sorted(re.findall(r"\d[\d,.]*\d|\d", sentence))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(shops())
def test_every_fact_is_said_in_all_languages_with_the_same_numbers(inputs: FactInputs) -> None:
    rows = rows_of(inputs)
    assert list(rows["rank"]) == list(range(1, len(rows) + 1))
    assert len(rows) >= MONDAY
    assert list(rows["section"][5:MONDAY]) == ["actions", "trust"]
    for row in rows.to_dict("records"):
        english, chinese = row["sentence_en"], row["sentence_zh"]
        assert english.strip() and chinese.strip()
        assert figures(english) == figures(chinese), row
        assert not (row["unit"] in ("count", "share") and row["low"] is not None and row["low"] < 0), row
        for text in (english, chinese):
            assert not re.search(r"\bnan\b|\binf\b|None|facts\.|\n", text), text
    names = rows[["section", "fact", "subject"]].fillna("")
    assert not names.duplicated().any()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(shops())
def test_no_change_within_its_noise_is_told(inputs: FactInputs) -> None:
    for fact in facts_of(inputs):
        found = fact.compared
        if found is None:
            continue
        for change, width, is_change in (
            (found.change_week, found.noise_week, found.is_change_week),
            (found.change_4_weeks, found.noise_4_weeks, found.is_change_4_weeks),
        ):
            assert is_change is (None if change is None or width is None else abs(change) > width)
        text = fact.sentence.text(Speech(Wording.of("en"), "EUR"))
        if not found.is_change_week and not found.is_change_4_weeks:
            assert fact.importance == 0, fact
            assert not re.search(r"\b(up|down) ", text), text


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(shops(), st.randoms())
def test_headlines_are_the_same_whatever_the_order_of_rows(inputs: FactInputs, random: Random) -> None:
    shuffled: dict[str, Any] = {
        name: value.sample(frac=1, random_state=random.randrange(10**6)).reset_index(drop=True)
        for name, value in vars(inputs).items()
        if isinstance(value, pd.DataFrame) and name not in ("weeks", "stock") and len(value)
    }
    again = replace(inputs, **shuffled)
    first, second = rows_of(inputs), rows_of(again)
    pd.testing.assert_frame_equal(
        first.drop(columns="value"), second.drop(columns="value"), check_exact=False
    )


def said(inputs: FactInputs, section: str, fact: str) -> str:
    (found,) = [one for one in facts_of(inputs) if (one.section, one.fact) == (section, fact)]
    return found.sentence.text(Speech(Wording.of("en"), "EUR"))


def week(back: int, **values: float) -> Mapping[str, float]:
    names = ("orders", "guest_orders", "sales", "returns", "sessions", "buyers", "new_buyers")
    row = {"back": back, "days": 7, **dict.fromkeys(names, 0.0), **values}
    return {"gross": row["sales"], **row, "revenue": row["sales"] - row["returns"]}


def shop(*weeks: Mapping[str, float]) -> FactInputs:
    days = 7 * len(weeks)
    empty = pd.DataFrame(columns=["dimension", "name", "r0", "r1", "r4"])
    return FactInputs(
        DAY,
        DAY - timedelta(days=days),
        DAY - timedelta(days=1),
        weeks=pd.DataFrame(list(weeks)),
        splits=empty,
    )


def test_a_shop_without_data_says_so() -> None:
    facts = facts_of(FactInputs(DAY))
    assert said(FactInputs(DAY), "revenue", "revenue") == (
        "There is no data before 10 June 2024, so there is nothing to report."
    )
    assert not any(fact.is_trusted for fact in facts if fact.fact == "summary")


def test_what_nothing_predicts_is_told_apart_from_baselines() -> None:
    rows = [("churn", None), ("value", None), ("demand", "eight_week_mean_baseline"), ("uplift", None)]
    serving = pd.DataFrame(
        [
            {"model": f"models.{name}_model", "part": "all", "is_champion": False, "model_name": serves}
            for name, serves in rows
        ]
    )
    # Most shops have no campaigns with random arms, so nothing to learn effects from.
    assert said(FactInputs(DAY, serving=serving), "trust", "summary") == (
        "Handle with care. There is no data yet. The model for demand has not passed its test; a naive baseline stands "
        "in for it. There are no models for churn and customer value yet, so they are not predicted."
    )
    only = replace(FactInputs(DAY), serving=serving[serving["model"] == "models.uplift_model"])
    assert said(only, "trust", "summary") == "Handle with care. There is no data yet."


def test_a_shop_of_one_day() -> None:
    inputs = shop(week(0, orders=1, buyers=1, new_buyers=1, sales=20))
    assert said(inputs, "revenue", "revenue") == (
        "Revenue in the week to 9 June 2024 was €20.00: there is nothing to compare it with in the week "
        "before or four weeks before."
    )
    assert said(inputs, "customers", "new").startswith("1 customer ordered for the first time in the week")
    assert "Only 1 customer ordered" in said(inputs, "trust", "summary")


def test_a_week_without_orders_and_one_with_negative_revenue() -> None:
    quiet = [week(back, orders=10, buyers=9, sales=1000) for back in range(1, 10)]
    nothing = said(shop(week(0), *quiet), "revenue", "revenue")
    assert nothing.startswith(
        "Revenue in the week to 9 June 2024 was €0.00: down €1,000 (100%) on the week before"
    )
    assert "Nobody ordered that week." in nothing
    assert "Nobody ordered in the week." in said(shop(week(0), *quiet), "trust", "summary")
    assert "fewer customers ordering (-€1,000)" in nothing
    returned = said(shop(week(0, returns=500), *quiet), "revenue", "revenue")
    assert "was -€500: down €1,500 (150%) on the week before" in returned
    assert "more money went back" in returned


def test_a_week_is_compared_with_its_forecast_in_the_same_sales() -> None:
    """Demand is forecast before discounts and returns; net revenue would always lie below it."""
    weeks = [week(back, orders=10, buyers=9, gross=1000, sales=800, returns=300) for back in range(10)]
    forecasts = pd.DataFrame([{"week": "past", "mean": 1000.0, "low": 900.0, "high": 1100.0}])
    inputs = replace(shop(*weeks), forecasts=forecasts)
    assert said(inputs, "revenue", "revenue_and_forecast") == (
        "Sales before discounts and returns in the week to 9 June 2024 (€1,000) were within the range forecast a week "
        "earlier: €900 to €1,100, expected €1,000."
    )


def test_a_change_since_a_week_of_nothing_has_no_percentage() -> None:
    inputs = shop(week(0, orders=5, buyers=5, sales=100), *(week(back) for back in range(1, 10)))
    assert "up €100 on the week before" in said(inputs, "revenue", "revenue")


def test_a_young_shop_calls_nothing_a_change() -> None:
    inputs = shop(week(0, orders=5, buyers=5, sales=900), week(1, orders=5, buyers=5, sales=100))
    assert "€100 the week before (the history is too short to call that a change)" in said(
        inputs, "revenue", "revenue"
    )


def test_the_first_headline_is_revenue_and_the_last_two_are_actions_and_trust() -> None:
    facts: list[Fact] = facts_of(shop(*(week(back, orders=50, buyers=40, sales=100) for back in range(12))))
    assert [(fact.section, fact.fact) for fact in facts[:MONDAY]] == [
        ("revenue", "revenue"),
        ("customers", "active"),
        ("customers", "new"),
        ("customers", "returning"),
        ("revenue", "order_value"),
        ("actions", "planned"),
        ("trust", "summary"),
    ]


@pytest.mark.parametrize(
    ("missing", "gap", "is_late"), [(0, 1, False), (1, 1, True), (1, 2, False), (3, 2, True)]
)
def test_data_is_late_if_it_ends_earlier_than_the_shop_ever_rests(
    missing: int, gap: int, is_late: bool
) -> None:
    inputs = shop(week(0, orders=50, buyers=40, sales=100))
    late = replace(inputs, last_day=DAY - timedelta(days=1 + missing), longest_gap=gap)
    assert ("data ends on" in said(late, "trust", "summary")) == is_late
    (revenue,) = [fact for fact in facts_of(late) if fact.fact == "revenue"]
    assert revenue.is_trusted is not is_late
