"""Plans by the uplift model: its effects where it is proven, those of the playbook where it is not."""

import json

import pandas as pd
import pytest

from clm_dagster.domains.actions.plan import PlanInputs, plan
from clm_dagster.domains.actions.uplift.contest import UpliftResult, hold_contest
from clm_dagster.domains.actions.uplift.score import effect_rows
from clm_dagster.platform.build_ledger.versions import Version
from clm_dagster_tests.domains.actions.test_choosing import limits
from clm_dagster_tests.domains.actions.test_offers import play
from clm_dagster_tests.domains.actions.uplift.trials import sample

PLAYS = [play("coupon", "win_back_coupon", cost=0.1, effect=0.05, arm="discount")]


def contest(drives_effect: bool) -> tuple[UpliftResult, pd.DataFrame]:
    """The contest, and the customers of its last campaign."""
    found = sample(drives_effect)
    contacts = found.contacts
    customers = contacts[contacts["campaign_id"] == "mail-3"].sort_values("customer_id", ignore_index=True)
    return hold_contest(found, 30), customers


def planned(customers: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    ids = customers["customer_id"]
    inputs = PlanInputs(
        plays=PLAYS,
        known=len(ids),
        customers=pd.DataFrame(
            {
                "customer_id": ids,
                "stage": "loyal",
                "segment": "champions",
                "risk_band": "low",
                "recency_days": 10,
                "order_probability": 0.3,
                "order_value": 50.0,
            }
        ),
        pairs=pd.DataFrame({"customer_id": ids, "place": 0}),
        contacts=pd.DataFrame(
            {"customer_id": pd.Series(dtype=str), "play": pd.Series(dtype=str), "days": pd.Series(dtype=int)}
        ),
        products=pd.DataFrame({"customer_id": ids[:1], "list": "next_best", "products": [["p"]]}),
        margin_rate=0.4,
        served={"uplift_scores": "models.uplift_model 7"},
        uplift=scores.loc[scores["is_proven"], ["customer_id", "arm", "effect"]],
    )
    rows, _ = plan(inputs, PLAYS, limits(), Version("test"))
    return rows


def test_a_proven_model_decides_and_nobody_whom_it_harms_is_contacted() -> None:
    found, customers = contest(drives_effect=True)
    scores = effect_rows(found.model, customers, serves=True, accepted=found.verdict(True).accepted)
    assert scores["is_proven"].all() and scores["model_name"].isna().all()
    rows = planned(customers, scores)
    effect = scores.set_index("customer_id")["effect"].reindex(rows["customer_id"]).to_numpy()
    sent = rows["action"] != "nothing"
    assert 0.2 < sent.mean() < 0.8 and not sent[effect < 0].any()
    # A contact costs 0.10 and an order brings 20.00.
    assert (sent == (effect * 20 > 0.1)).all()
    assert (
        set(rows.loc[sent, "effect_source"]) == {"uplift_model"}
        and rows.loc[~sent, "effect_source"].isna().all()
    )
    assert rows.loc[sent, "effect"].to_numpy() == pytest.approx(effect[sent])
    receipt = json.loads(rows["receipt"][int((effect < 0).argmax())])
    assert receipt["models"] == {"uplift_scores": "models.uplift_model 7"}
    (line,) = receipt["considered"]
    assert (
        line["effect_source"] == "uplift_model" and line["outcome"] == "a contact makes an order less likely"
    )


def test_a_refused_model_leaves_the_effects_of_the_playbook() -> None:
    found, customers = contest(drives_effect=False)
    accepted = found.verdict(True).accepted
    assert not accepted
    baseline = effect_rows(found.model, customers, serves=False, accepted=accepted)
    assert baseline["effect"].nunique() == 1 and not baseline["is_proven"].any()
    assert set(baseline["model_name"]) == {"average_effect_baseline"}
    # CLM_SERVE_REFUSED_MODELS shows its effects, and plans do without them.
    refused = effect_rows(found.model, customers, serves=True, accepted=accepted)
    assert refused["model_name"].isna().all() and not refused["is_proven"].any()
    for scores in (baseline, refused):
        rows = planned(customers, scores)
        assert set(rows["effect_source"]) == {"playbook"} and set(rows["effect"]) == {0.05}
