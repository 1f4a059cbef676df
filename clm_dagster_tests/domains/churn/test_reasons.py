"""Reasons name the strongest topics, with the customer's value and the shop's."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.feature_names import FEATURES, TOPICS
from clm_dagster.domains.churn.reasons import NO_PURCHASE, WORDS, medians_of, strongest_reasons, with_parts


@pytest.fixture
def x() -> pd.DataFrame:
    """Three customers; the middle one is the shop's median."""
    frame = pd.DataFrame({name: [1.0, 2.0, 3.0] for name in FEATURES if name != "country"})
    return frame.assign(
        country=["DE", "FR", "DE"],
        recency_days=[74.0, 31.0, 3.0],
        mean_gap_days=[31.0, np.nan, 20.0],
        orders_365d=[1.0, 4.0, 12.0],
        net_revenue_365d=[1234.4, 99.6, -20.0],
        no_purchase_log_odds=[0.0, -1.0, 1.0],
        return_rate=[0.0, 0.126, 0.5],
    )[list(FEATURES)]


def medians(x: pd.DataFrame) -> dict[str, float]:
    """The medians of a shop, by pandas."""
    found = x.drop(columns="country").median().to_dict()
    return {**found, NO_PURCHASE: (1 / (1 + np.exp(-x["no_purchase_log_odds"]))).median()}


def reasons_of(x: pd.DataFrame, parts: pd.DataFrame, count: int) -> pd.DataFrame:
    known = with_parts(x, parts)
    return strongest_reasons(known, medians_of(known), 90, count)


def test_the_strongest_topics_come_first_with_their_direction(x: pd.DataFrame) -> None:
    parts = pd.DataFrame(0.0, index=x.index, columns=list(FEATURES))
    parts.loc[0, ["recency_days", "recency_by_gap"]] = [0.5, 0.4]  # one topic: .9
    parts.loc[0, "orders_365d"] = 0.6
    parts.loc[0, "net_revenue_365d"] = -0.7
    reasons = reasons_of(x, parts, 3)
    assert reasons.T[0].to_list() == [
        "raises risk: no order for 74 days (shop 31); usual gap 31",
        pytest.approx(0.9),
        "lowers risk: net revenue of 1,234 in the last 365 days (shop 100)",
        pytest.approx(-0.7),
        "raises risk: orders in the last 365 days: 1 (shop 4)",
        pytest.approx(0.6),
    ]
    assert reasons.loc[1].isna().all()  # the median customer has no reason


def test_effects_are_measured_from_the_shops_median(x: pd.DataFrame) -> None:
    parts = pd.DataFrame(0.0, index=x.index, columns=list(FEATURES)).assign(recency_days=[1.0, 0.4, 0.1])
    reasons = reasons_of(x, parts, 1)
    assert reasons.reason_1_effect.round(6).fillna(0).to_list() == [0.6, 0.0, -0.3]
    assert reasons.reason_1[2].startswith("lowers risk: no order for 3 days (shop 31); usual gap 20")


def test_every_topic_has_a_sentence_for_any_columns_of_a_model(x: pd.DataFrame) -> None:
    assert set(WORDS) == set(TOPICS)
    for topic, columns in TOPICS.items():
        whole = WORDS[topic](x, 90, medians(x))
        assert whole.notna().all() and not whole.str.contains("nan").any(), topic
        for column in columns if topic not in ("recency",) else ():
            assert WORDS[topic](x[[column]], 90, medians(x)).notna().all(), column


def test_sentences_for_missing_values(x: pd.DataFrame) -> None:
    assert WORDS["recency"](x, 90, medians(x))[1] == (
        "no order for 31 days (shop 31); one order day only, the shop's usual gap is 26"
    )
    assert WORDS["gaps"](x, 90, medians(x)).to_list()[:2] == [
        "orders every 31 days (shop 26)",
        "no second order day yet",
    ]
    assert WORDS["returns"](x, 90, medians(x))[1] == "share of purchases returned 13% (shop 13%)"
    assert WORDS["no_purchase"](x, 60, medians(x))[0] == (
        "at the purchase rate so far, 60 days without an order have a probability of 50% (shop 50%)"
    )
    unknown = x.assign(return_rate=[np.nan, 0.2, 0.4])
    empty = WORDS["returns"](unknown, 90, medians(unknown))
    assert empty.to_list()[0] == "share of purchases returned unknown (shop 30%)"
