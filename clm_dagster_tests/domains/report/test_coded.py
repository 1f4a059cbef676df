"""Reasons, states and reject reasons in the language of the page."""

import re

import pandas as pd
import pytest
import yaml
from scipy.special import expit

from clm_dagster.domains.churn.reasons import NO_PURCHASE, WORDS, medians_of
from clm_dagster.domains.ingest.contract import CONFLICTING
from clm_dagster.domains.report.coded import reason_of, reject_of, status_of
from clm_dagster.domains.report.wording import Wording
from clm_dagster.domains.report.words import NOTHING, Words
from clm_dagster.settings import PROJECT_DIR
from clm_dagster.statistics.experiments.effects import NotEnoughData
from clm_dagster.statistics.experiments.sample_ratio import SampleRatio

ENGLISH, CHINESE = (Words(Wording.of(code), "EUR") for code in ("en", "zh"))
_COLUMNS = {
    "recency": ("recency_days", "mean_gap_days"),
    "no_purchase": ("no_purchase_log_odds",),
    "frequency": (
        "orders_365d",
        "order_days",
        "orders",
        "orders_180d",
        "orders_90d",
        "orders_30d",
        "order_rate",
    ),
    "season": ("orders_year_ago_90d",),
    "gaps": ("mean_gap_days", "sd_gap_days"),
    "tenure": ("tenure_days",),
    "money": (
        "net_revenue_365d",
        "net_revenue",
        "average_order_value",
        "net_revenue_180d",
        "net_revenue_90d",
        "net_revenue_30d",
    ),
    "products": ("distinct_products", "units"),
    "returns": ("return_rate",),
    "hours": ("weekend_order_share", "evening_order_share"),
    "visits": ("visits_30d", "visits", "views", "carts"),
}


def sentences(topic: str) -> set[str]:
    """Return all sentences of a topic: with each of its columns alone, and with all of them."""
    values = {"no_purchase_log_odds": [-1.0, 0.5, 2.0]}
    frames = [
        pd.DataFrame({name: values.get(name, [0.25, 1234.5, None]) for name in names})
        for names in (_COLUMNS[topic], *((name,) for name in _COLUMNS[topic]))
    ]
    if topic == "recency":
        frames = [frame for frame in frames if "recency_days" in frame]
    known = [
        frame.assign(**{NO_PURCHASE: expit(frame["no_purchase_log_odds"])})
        if "no_purchase_log_odds" in frame
        else frame
        for frame in frames
    ]
    return {text for frame in known for text in WORDS[topic](frame, 90, medians_of(frame))}


@pytest.mark.parametrize("topic", [*_COLUMNS])
def test_every_reason_of_the_model_is_said_in_chinese(topic: str) -> None:
    for text in sentences(topic):
        assert reason_of(ENGLISH, text) == text
        said = reason_of(CHINESE, text)
        assert not re.search("[A-Za-z]", said), (text, said)
        assert re.findall(r"[\d,.]+\d%?", said) == [
            number for number in re.findall(r"[\d,.]+\d%?", text) if number not in ("365", "180", "90", "30")
        ] or sorted(re.findall(r"\d[\d,.]*", said)) == sorted(re.findall(r"\d[\d,.]*\b", text)), (text, said)


def test_topics_of_the_model_are_all_known() -> None:
    assert {*_COLUMNS, "country"} == {*WORDS}
    assert reason_of(CHINESE, "country is France") == "国家：France"


def test_a_reason_that_is_not_known_is_shown_as_it_is() -> None:
    assert reason_of(CHINESE, "returns: 3") == "returns: 3"
    assert reason_of(CHINESE, None) == reason_of(ENGLISH, None) == NOTHING


def test_states_of_campaigns_are_said_in_both_languages() -> None:
    later = str(NotEnoughData("customers in control", 3, 10, 1250))
    never = str(NotEnoughData("effective customers in treated", 0.53, 2, None))
    contradiction = str(SampleRatio({"a": 9, "b": 1}, {"a": 0.5, "b": 0.5}, 0.0001, 0.01, 1))
    assert "1,250 customers are needed" in status_of(ENGLISH, later) and "1,250" in status_of(CHINESE, later)
    assert status_of(ENGLISH, never) == "Not enough data yet."
    for text in (later, never, contradiction, "measured"):
        assert not re.search("[A-Za-z]", status_of(CHINESE, text))
    assert status_of(CHINESE, "paused by us") == "paused by us"


def test_reject_reasons_of_the_contract_have_names() -> None:
    folder = PROJECT_DIR / "dbt_like_sql" / "models" / "staging" / "raw"
    found = {
        entry["reason"]
        for path in folder.glob("*.yml")
        for entry in _rejects(yaml.safe_load(path.read_text(encoding="utf-8")))
    } | {"mangled_id", CONFLICTING}
    assert len(found) > 20
    for code in found:
        if not code.startswith("unreadable_"):
            assert not re.search("[A-Za-z]", reject_of(CHINESE, code)), code
    assert reject_of(ENGLISH, "unreadable_known_at") == "Unreadable: known at"
    assert reject_of(CHINESE, "my_own") == "my own"


def _rejects(node: object) -> list[dict[str, str]]:
    if isinstance(node, dict):
        own = [node] if isinstance(node.get("reason"), str) and "when" in node else []
        return own + [each for value in node.values() for each in _rejects(value)]
    return [each for value in node for each in _rejects(value)] if isinstance(node, list) else []
