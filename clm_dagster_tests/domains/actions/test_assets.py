"""Plans, own segments, campaigns and results on a complete run of a shop."""

import json
from typing import Any

import pandas as pd
import pytest

from clm_dagster.definitions import build_definitions
from clm_dagster.domains.actions.campaign_reading import plan_and_read, read_results
from clm_dagster.domains.actions.campaigns import CampaignError
from clm_dagster.domains.actions.playbook import read_playbook
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.statistics.experiments.assignment import is_held_out
from clm_dagster_tests.trained_shop import Ran, at_home

pytestmark = pytest.mark.slow
_NEWEST = "select max(as_of) from marts.next_best_actions"


def test_a_plan_is_worth_what_it_says_and_holds_out_who_the_hash_says(ran: Ran) -> None:
    rows = ran.query(
        "select plans.*, profiles.average_order_value, profiles.churn_probability, rates.margin_rate "
        "from marts.next_best_actions as plans inner join marts.customer_profiles as profiles "
        "using (as_of, customer_id) inner join core.margin_rates as rates using (as_of)"
    )
    assert rows["as_of"].nunique() == 13
    plays = {
        play.play: play
        for play in read_playbook((ran.settings.sql_dir / "seeds" / "playbook.csv").read_text())
    }
    planned = rows[rows["action"] != "nothing"]
    assert len(planned) > 500 and planned["play"].nunique() > 3
    for name, part in planned.groupby("play"):
        play = plays[str(name)]
        value = part["order_value"]
        assert (part["expected_margin"] - play.effect * value * part["margin_rate"]).abs().max() < 1e-9
        chance = part["order_probability"].fillna(0) + play.effect
        cost = play.cost + play.discount * value * chance.clip(0, 1)
        assert (part["expected_cost"] - cost).abs().max() < 1e-9
        held = is_held_out(part["customer_id"], str(name), "clm", 0.1)
        everywhere = is_held_out(part["customer_id"], "global", "clm", 0.05)
        assert ((part["arm"] == "global_holdout").to_numpy() == everywhere).all()
        assert ((part["arm"] == "holdout").to_numpy() == (held & ~everywhere)).all()
        known = part["average_order_value"].notna()
        assert (value[known] - part.loc[known, "average_order_value"].astype(float)).abs().max() < 1e-9
    scored = rows[rows["churn_probability"].notna()]
    assert (scored["order_probability"] - (1 - scored["churn_probability"])).abs().max() < 1e-12


def test_the_holdout_is_balanced_over_groups(ran: Ran) -> None:
    rows = ran.query(
        f"select plans.arm, stages.stage from marts.next_best_actions as plans "
        f"inner join core.stage_states as stages using (as_of, customer_id) where as_of = ({_NEWEST})"
    )
    as_of: Any = ran.query(_NEWEST).iloc[0, 0]
    result = ran.materialize("scores", key_of_as_of(as_of), "marts.next_best_actions")
    (event,) = result.asset_materializations_for_node("marts__next_best_actions")
    shown = str(event.metadata["holdout_by_group"].value)
    for stage, part in rows.groupby("stage"):
        held = int((part["arm"] == "global_holdout").sum())
        assert f"| stage | {stage} | {len(part)} | {held} |" in shown, shown


def test_nobody_is_planned_for_twice_within_a_cool_down(ran: Ran) -> None:
    plays = {
        play.play: play
        for play in read_playbook((ran.settings.sql_dir / "seeds" / "playbook.csv").read_text())
    }
    planned = ran.query(
        "select customer_id, play, as_of from marts.next_best_actions where play is not null order by 1, 3"
    )
    gap = planned.groupby(["customer_id", "play"])["as_of"].diff().dt.days
    cool = planned["play"].map({name: play.cool_down_days for name, play in plays.items()})
    assert gap.notna().any() and (gap[gap.notna()] >= cool[gap.notna()]).all()
    assert (planned.groupby("customer_id")["as_of"].diff().dt.days.dropna() >= 7).all()


def test_a_receipt_says_what_was_considered(ran: Ran) -> None:
    rows = ran.query(f"select * from marts.next_best_actions where as_of = ({_NEWEST})")
    versions = ran.query(f"select distinct model_version from marts.churn_scores where as_of = ({_NEWEST})")
    for row in rows.sample(200, random_state=0).to_dict("records"):
        receipt = json.loads(row["receipt"])
        assert receipt["models"]["churn_scores"].endswith(f" {versions.model_version[0]}")
        chosen = [one for one in receipt["considered"] if one["outcome"] == "chosen"]
        assert [one["play"] for one in chosen] == ([row["play"]] if row["action"] != "nothing" else [])
        for one in chosen:
            assert one["gain"] == pytest.approx(one["margin"] - one["cost"], abs=0.011)
            assert f"expected gain {row['expected_gain']:.2f}" in row["reason"]
    shown = rows[rows["products"].notna() & (rows["action"] != "cross_sell")]
    listed = ran.query(
        "select customer_id, list(product_id order by rank) as best from marts.recommendations "
        "where list = 'next_best' "
        f"and rank <= 3 and as_of = ({_NEWEST}) group by customer_id"
    ).set_index("customer_id")["best"]
    few = shown[shown["action"].isin(["replenishment", "reminder"])].head(50)
    assert [list(found) for found in few["products"]] == [list(listed[one]) for one in few["customer_id"]]


def test_only_treated_customers_can_be_sent_anything(ran: Ran) -> None:
    sent = ran.query("select as_of, customer_id, play from marts.actions_to_send order by all")
    plans = ran.query(
        "select as_of, customer_id, play from marts.next_best_actions "
        "where arm = 'treated' and action <> 'nothing' order by all"
    )
    pd.testing.assert_frame_equal(sent, plans)


def test_own_segments_hold_whom_their_condition_names(ran: Ran) -> None:
    found = ran.query(
        "select as_of, customer_id from marts.custom_segments where segment = 'full_price_buyers' order by all"
    )
    expected = ran.query(
        "select as_of, customer_id from core.customer_features "
        "where orders >= 2 and discounts <= 0.02 * net_revenue "
        "and as_of in (select as_of from marts.next_best_actions) order by all"
    )
    assert len(found) > 100
    pd.testing.assert_frame_equal(found, expected)


def test_a_campaign_is_planned_within_its_budget_and_read_when_it_is_over(ran: Ran) -> None:
    with at_home(ran.settings):
        plan = plan_and_read(
            ran.settings, build_definitions(ran.settings), "replenish", 3.0, None, lambda step, done: None
        )
        unlimited = plan_and_read(
            ran.settings,
            build_definitions(ran.settings),
            "replenish",
            None,
            plan.as_of,
            lambda step, done: None,
        )
    assert 0 < plan.cost <= 3 and plan.contacts < unlimited.contacts
    assert plan.expected_gain <= unlimited.expected_gain
    stored = ran.query("select * from marts.campaign_plans")
    assert set(stored["campaign"]) == {"replenish"} and len(stored) == sum(
        one.contacts + one.held_out for one in unlimited.plays
    )
    results = read_results(ran.settings, "replenish")
    assert set(results["metric"]) == {"conversion", "revenue"} and set(results["arm"]) == {"treated"}
    assert (results["customers"] > results["control_customers"]).all()
    with pytest.raises(CampaignError, match="no result of a campaign 'spring'"):
        read_results(ran.settings, "spring")


def test_results_count_those_whose_window_is_over(ran: Ran) -> None:
    newest = ran.query(f"select * from marts.campaign_results where as_of = ({_NEWEST})")
    plans = ran.query(
        "select play, customer_id, min(as_of) as since, max(arm) as arm from marts.next_best_actions "
        "where arm in ('treated', 'holdout') and play is not null group by all"
    )
    end = newest["as_of"].max()
    over = plans[plans["since"] + pd.Timedelta(days=30) <= end]
    counts = over.groupby(["play", "arm"]).size()
    for row in newest[(newest["campaign_id"] != "all_actions")].to_dict("records"):
        assert row["customers"] == counts.get((row["campaign_id"], "treated"), 0)
        assert row["control_customers"] == counts.get((row["campaign_id"], "holdout"), 0)
    assert (newest["status"] == "measured").any()
