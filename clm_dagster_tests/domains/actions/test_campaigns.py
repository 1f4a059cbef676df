"""Which lines belong to a campaign, its partitions, and what its experiment could see."""

from collections.abc import Callable
from datetime import date, datetime
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from clm_dagster.domains.actions.campaign_asset import campaign_key, parse_campaign_key
from clm_dagster.domains.actions.campaign_reading import _newest_as_of, measurement_words, render_results
from clm_dagster.domains.actions.campaigns import CampaignError, plays_of
from clm_dagster.domains.actions.experiment_size import measurable
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.actions.test_choosing import limits
from clm_dagster_tests.domains.actions.test_offers import play

PLAYS = [
    play("win_back_lost", "win_back_coupon"),
    play("win_back_call"),
    play("remind", "reminder"),
    play("quiet", "nothing"),
]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("win_back", ["win_back_lost", "win_back_call"]),
        ("win_back_call", ["win_back_call"]),
        ("win_back_coupon", ["win_back_lost"]),
        ("reminder", ["win_back_call", "remind"]),
    ],
)
def test_a_campaign_is_a_line_an_action_or_the_start_of_one(name: str, found: list[str]) -> None:
    assert [one.play for one in plays_of(name, PLAYS)] == found


@pytest.mark.parametrize("name", ["winback", "quiet", "nothing", "x"])
def test_an_unknown_campaign_is_refused_with_the_nearest_names(name: str) -> None:
    with pytest.raises(CampaignError, match=r"lines and actions are .*remind"):
        plays_of(name, PLAYS if name != "winback" else PLAYS[2:])


def test_a_partition_is_a_campaign_and_an_as_of() -> None:
    key = campaign_key("win_back", date(2024, 6, 3))
    assert parse_campaign_key(key) == ("win_back", datetime(2024, 6, 3))
    for wrong in ("win_back", "_2024-06-03", "win_back_2024-06-31"):
        with pytest.raises(CampaignError, match="win_back_2024-06-03"):
            parse_campaign_key(wrong)


def test_who_plans_for_nobody_is_told_what_is_missing(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    with pytest.raises(CampaignError, match="run `clm run` first"):
        _newest_as_of(settings)
    with warehouse_of(settings).connect("a test") as connection:
        connection.execute("create schema if not exists marts")
        connection.execute("create table marts.next_best_actions (as_of timestamp)")
    with pytest.raises(
        CampaignError, match=r"no customer may be contacted.*consent_marketing.*CLM_ACTIONS_CONSENT"
    ):
        _newest_as_of(settings)


def planned(customers: int, held: int, probability: float, effect: float) -> pd.DataFrame:
    arm = np.array(["holdout"] * held + ["treated"] * (customers - held))
    return pd.DataFrame({"arm": arm, "order_probability": probability, "effect": effect}).assign(
        effect_source="playbook"
    )


def test_the_smallest_effect_that_is_seen_is_seen_with_the_stated_power() -> None:
    found = measurable(planned(20_000, 2_000, 0.271, 0.03), limits(), window_days=30)
    # A third of the horizon: 1 - (1 - p)^(1/3).
    assert found.base_rate == pytest.approx(0.1, abs=1e-3) and found.planned == pytest.approx(0.01)
    assert found.smallest is not None and 0.01 < found.smallest < 0.05
    rng = np.random.default_rng(0)
    control = rng.binomial(2_000, found.base_rate, 4_000) / 2_000
    treated = rng.binomial(18_000, found.base_rate + found.smallest, 4_000) / 18_000
    rate = found.base_rate + 0.9 * found.smallest
    error = np.sqrt(rate * (1 - rate) * (1 / 2_000 + 1 / 18_000))
    assert (treated - control > 3.04 * error).mean() == pytest.approx(0.8, abs=0.03)


def test_a_measured_effect_is_one_of_the_window_already() -> None:
    rows = planned(20_000, 2_000, 0.271, 0.03)
    assert measurable(rows, limits(), window_days=30).planned == pytest.approx(0.01)
    measured = rows.assign(effect_source="uplift_model")
    assert measurable(measured, limits(), window_days=30).planned == pytest.approx(0.03)


def test_a_plan_without_controls_or_customers_cannot_be_measured() -> None:
    for rows in (planned(100, 0, 0.2, 0.1), planned(0, 0, 0.2, 0.1), planned(3, 3, 0.2, 0.1)):
        found = measurable(rows, limits(), window_days=30)
        assert found.smallest is None and found.chance == 0
    everywhere = planned(100, 10, 0.2, 0.1).assign(arm="global_holdout")
    assert measurable(everywhere, limits(), window_days=30).customers == 0


def test_long_names_leave_room_for_the_figures() -> None:
    row = {
        "as_of": pd.Timestamp("2024-06-03"),
        "horizon_days": 30,
        "campaign_id": "x" * 300,
        "arm": "促销 " * 100,
        "metric": "revenue",
        "customers": 100,
        "control_customers": 90,
        "effect": 1.5,
        "anytime_low": 0.5,
        "anytime_high": 2.5,
        "incremental_total": 150.0,
        "incremental_low": 50.0,
        "incremental_high": 250.0,
        "return_on_spend": 3.0,
        "cost": 50.0,
        "status": "measured",
        "is_discovery": True,
    }
    for width in (80, 140):
        console = Console(width=width, record=True, file=StringIO(), markup=False)
        console.print(render_results(pd.DataFrame([row])))
        shown = console.export_text()
        assert max(map(cell_len, shown.splitlines())) <= width
        for text in ("revenue", "+1.50", "yes", "促销", "counts", "control", "95%"):
            assert text in shown, shown


def test_who_is_held_out_of_everything_is_told_apart() -> None:
    found = measurable(planned(20_000, 2_000, 0.271, 0.03), limits(), window_days=30)
    assert "2,000 of 20,000 customers are held out. With" in measurement_words(found, 2_000)
    said = measurement_words(found, 2_500)
    assert "2,000 of 20,000 customers are held out, besides 500 whom no action reaches. With" in said
