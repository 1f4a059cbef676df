"""The uplift model on a complete run of a shop with planted effects: registered, scored, planned with."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.actions.uplift.registered import REGISTERED
from clm_dagster.platform.resources import tracking_of
from clm_dagster_tests.domains.actions.uplift.shop import CUSTOMERS, newest_contact_day, run_planted
from clm_dagster_tests.trained_shop import Ran

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    yield run_planted(tmp_path_factory.mktemp("planted"))


def test_the_training_learns_the_planted_effects_and_becomes_champion(planted: Ran) -> None:
    row = planted.query("select * from models.uplift_model").iloc[0]
    assert row["accepted"] and "becomes champion for discount" in row["said"], row["said"]
    assert row["campaigns"] == 6 and row["contacts"] == 6 * CUSTOMERS and row["customers"] == CUSTOMERS
    assert row["tested_from"].date() <= newest_contact_day()
    arms = json.loads(row["arms"])
    assert arms["discount"]["accepted"] and not arms["news"]["accepted"]
    assert arms["discount"]["average_effect"] == pytest.approx(0.05, abs=0.03)
    assert arms["news"]["average_effect"] == pytest.approx(0, abs=0.03)
    metrics = planted.query("select * from models.group_metrics where model = 'models.uplift_model'")
    assert set(metrics["group_name"]) == {"discount", "news"} and set(metrics["dimension"]) == {"arm"}
    assert len(metrics[metrics["metric"] == "qini"]) == 2 * 8


def test_mlflow_has_the_contest_and_the_champion(planted: Ran) -> None:
    row = planted.query("select * from models.uplift_model").iloc[0]
    client, _ = planted.mlflow()
    assert tracking_of(planted.settings).champion("models.uplift_model") == row["model_version"]
    run = client.get_run(row["mlflow_run_id"])
    assert run.data.metrics["discount/test/qini/low"] > 0
    assert run.data.params["discount/winner"] in row["winner"] and run.data.params["horizon_days"] == "30"
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"qini.png", "uplift_by_decile.png", "policy_values.png", "evaluation.json"} <= files
    children = client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    assert len(children) == 2 * 8
    version = client.get_model_version("models.uplift_model", row["model_version"])
    assert version.tags["clm.gate"] == "accepted" and version.tags["clm.horizon_days"] == "30"


def test_scores_are_those_of_the_champion_and_of_the_average_effect(planted: Ran) -> None:
    scores = planted.query(
        "select scores.*, features.visits from marts.uplift_scores as scores "
        "inner join core.customer_features as features using (as_of, customer_id)"
    )
    assert len(scores) == 2 * CUSTOMERS
    discount, news = (scores[scores["arm"] == arm] for arm in ("discount", "news"))
    assert discount["is_proven"].all() and set(discount["model_name"]) == {"models.uplift_model"}
    assert not news["is_proven"].any() and set(news["model_name"]) == {"average_effect_baseline"}
    assert news["effect"].nunique() == 1
    browses = discount["visits"] > 0
    assert discount.loc[~browses, "effect"].mean() > 0.15 and discount.loc[browses, "effect"].mean() < -0.05
    version = str(discount["model_version"].iloc[0])
    model = REGISTERED.load(tracking_of(planted.settings), version)
    features = planted.query(
        "select features.*, null as acquisition_channel from core.customer_features as features "
        "where as_of = (select max(as_of) from marts.uplift_scores) order by customer_id"
    )
    expected = pd.Series(model.effects(features)["discount"], index=features["customer_id"])
    found = discount.set_index("customer_id")["effect"].reindex(expected.index)
    np.testing.assert_allclose(found, expected)


def test_the_plan_uses_the_proven_effects_and_contacts_nobody_whom_they_harm(planted: Ran) -> None:
    plans = planted.query(
        "select plans.*, scores.effect as predicted from marts.next_best_actions as plans "
        "inner join marts.uplift_scores as scores using (as_of, customer_id) where scores.arm = 'discount'"
    )
    discount = plans[plans["play"] == "offer_discount"]
    assert len(discount) > 300 and set(discount["effect_source"]) == {"uplift_model"}
    np.testing.assert_allclose(discount["effect"], discount["predicted"])
    harmed = plans[plans["predicted"] < 0]
    assert len(harmed) > 300 and not harmed["play"].eq("offer_discount").any()
    others = plans[plans["play"].isin(["tell_news", "remind_all"])]
    assert len(others) > 0 and set(others["effect_source"]) == {"playbook"}
    version = str(planted.query("select model_version from models.uplift_model")["model_version"][0])
    receipt = json.loads(harmed["receipt"].iloc[0])
    assert receipt["models"]["uplift_scores"] == f"models.uplift_model {version}"
    (line,) = [one for one in receipt["considered"] if one["play"] == "offer_discount"]
    assert (
        line["effect_source"] == "uplift_model" and line["outcome"] == "a contact makes an order less likely"
    )
