"""The contest of the uplift model: splits without overlap, a gate that passes and one that refuses."""

import numpy as np
import pandas as pd
import pytest
from mlflow.utils.validation import (
    MAX_ENTITY_KEY_LENGTH,
    _validate_metric_name,
    _validate_param_name,
)

from clm_dagster.domains.actions.uplift.contest import UpliftResult, hold_contest
from clm_dagster.domains.actions.uplift.names import BASELINES
from clm_dagster.domains.actions.uplift.notes import plain_names
from clm_dagster.domains.actions.uplift.plots import drawings
from clm_dagster.domains.actions.uplift.sample import Comparison, Sample
from clm_dagster.domains.actions.uplift.served import example, pack, unpack
from clm_dagster.domains.actions.uplift.splits import CUSTOMERS as OTHER
from clm_dagster.domains.actions.uplift.splits import LATER, Split, split_of
from clm_dagster.domains.actions.uplift.values import policy_results
from clm_dagster.platform.charts import make_figure
from clm_dagster.statistics.evaluation import EvaluationError
from clm_dagster.statistics.uplift import qini_area
from clm_dagster.statistics.uplift.selection import compare, simplest
from clm_dagster_tests.domains.actions.uplift.trials import sample


@pytest.fixture(scope="module")
def driven() -> UpliftResult:
    return hold_contest(sample(drives_effect=True), 30)


@pytest.fixture(scope="module")
def by_response() -> UpliftResult:
    return hold_contest(sample(drives_effect=False), 30)


def test_the_gate_passes_where_a_feature_drives_the_effect(driven: UpliftResult) -> None:
    found = driven.verdict(is_newest=True)
    assert found.accepted and not found.parts, found
    arm = driven.arms["discount"]
    assert arm.winner.test.area.low > 0 and arm.winner.test.over_reference.low > 0
    assert arm.winner.name not in BASELINES and driven.model.arms["discount"].proven
    assert not driven.verdict(is_newest=False).accepted
    # The planted effects are 0.25 and -0.15; what is learnt of them is shrunk to their mean.
    frame = arm.split.test.frame
    effect, loyal = arm.effects[arm.model.winner], frame["visits"] > frame["visits"].median()
    assert 0.15 < effect[~loyal].mean() < 0.27 and -0.17 < effect[loyal].mean() < -0.04


def test_the_gate_refuses_where_a_ranking_by_response_is_as_good(by_response: UpliftResult) -> None:
    found = by_response.verdict(is_newest=True)
    assert not found.accepted and "ontact customers by response" in str(found)
    assert not by_response.model.arms["discount"].proven
    # Its average effect is still right: 0.3 x (0.5 + 0.1) / 2.
    assert by_response.model.arms["discount"].average == pytest.approx(0.09, abs=0.03)


def test_the_winner_is_chosen_without_the_test(driven: UpliftResult) -> None:
    arm = driven.arms["discount"]
    learners = [one for name, one in arm.candidates.items() if name not in BASELINES]
    assert len(learners) == 6 and set(BASELINES) < set(arm.candidates)
    test = arm.split.test
    for name, one in arm.candidates.items():
        area = qini_area(arm.effects[name], test.treatment, test.outcome)
        assert one.test.area.value == pytest.approx(area), name


@pytest.mark.parametrize(
    ("areas", "winner"),
    [
        (
            {"plain": [10.0, 20.0, 30.0], "rich": [12.0, 15.0, 35.0]},
            "plain",
        ),  # 0.7 behind, a standard error of 3
        (
            {"plain": [10.0, 20.0, 30.0], "rich": [15.0, 26.0, 34.0]},
            "rich",
        ),  # 5 behind, a standard error of 0.6
        ({"plain": [10.0, 20.0, 30.0], "rich": [9.0, 19.0, 29.0]}, "plain"),
    ],
)
def test_the_simplest_of_the_equally_good_wins(areas: dict[str, list[float]], winner: str) -> None:
    assert simplest(compare({name: np.array(folds) for name, folds in areas.items()})) == winner


def test_no_order_counts_in_training_and_test() -> None:
    found = split_of(Comparison.of(sample(drives_effect=True, campaigns=6).contacts, "discount"))
    assert isinstance(found, Split) and found.how == LATER
    assert found.training.frame["matures_on"].max() <= found.test.frame["contacted_on"].min()
    assert set(found.test.frame["campaign_id"]) == {"mail-4", "mail-5"}


def test_a_single_campaign_is_tested_on_other_customers() -> None:
    found = split_of(Comparison.of(sample(drives_effect=True, campaigns=1).contacts, "discount"))
    assert isinstance(found, Split) and found.how == OTHER
    both = set(found.training.frame["customer_id"]), set(found.test.frame["customer_id"])
    assert not both[0] & both[1] and len(both[0] | both[1]) == 1_500


def test_propensities_are_those_of_the_plan_and_an_arm_has_its_own_campaigns() -> None:
    contacts = sample(drives_effect=True).contacts
    contacts.loc[contacts["campaign_id"].eq("mail-0"), ["share", "control_share"]] = [0.2, 0.6]
    contacts.loc[contacts["campaign_id"].eq("mail-3") & ~contacts["is_control"], "arm"] = "news"
    found = Comparison.of(contacts, "discount")
    assert "mail-3" not in set(found.frame["campaign_id"])
    first = found.frame["campaign_id"].eq("mail-0").to_numpy()
    np.testing.assert_allclose(found.propensity, np.where(first, 0.25, 0.5))
    assert set(Comparison.of(contacts, "news").frame["campaign_id"]) == {"mail-3"}
    assert found.treatment.sum() == contacts["arm"].eq("discount").sum()


def test_too_few_contacts_are_said() -> None:
    small = sample(drives_effect=True, customers=300)
    with pytest.raises(EvaluationError, match=r"no arm has enough contacts.*discount: \d+ treated customers"):
        hold_contest(Sample(small.contacts[:500]), 30)


def test_policies_are_worth_what_the_truth_says(driven: UpliftResult) -> None:
    arm = driven.arms["discount"]
    found = {one.policy: one for one in policy_results(arm)}
    loyal = arm.split.test.frame["visits"]
    share = float((loyal <= loyal.median()).mean())
    for policy, truth in (("everybody", 0.25 * share - 0.15 * (1 - share)), ("effect above 0", 0.25 * share)):
        for one in (found[policy].weighted, found[policy].doubly_robust):
            assert one.low - 0.02 < truth < one.high + 0.02, policy
    best, everybody = found["effect above 0"].doubly_robust, found["everybody"].doubly_robust
    assert (
        best.value > everybody.value and best.standard_error < found["effect above 0"].weighted.standard_error
    )
    assert found["random half"].doubly_robust.value < found["half with the largest effect"].doubly_robust.low


def test_a_packed_model_predicts_the_same_and_takes_missing_values(driven: UpliftResult) -> None:
    rows = example(driven.arms["discount"].split.test.frame, 50)
    estimator = pack(driven.model)
    again = unpack(estimator)
    expected = driven.model.effects(rows)["discount"]
    np.testing.assert_allclose(again.effects(rows)["discount"], expected)
    assert again.arms["discount"].proven and again.horizon_days == 30
    without = rows.astype({"orders": float})
    without.loc[0, ["orders", "recency_days"]] = np.nan
    found = estimator.predict(without)
    assert list(found) == ["effect_discount"] and found["effect_discount"].notna().all()
    pd.testing.assert_series_equal(
        found["effect_discount"][1:], pd.Series(expected, name="effect_discount")[1:]
    )


def test_the_figures_and_tables_name_every_arm(driven: UpliftResult) -> None:
    figures = drawings(driven.arms)
    assert set(figures) == {"qini", "uplift_by_decile", "policy_values"}
    for draw, width, height in figures.values():
        figure = make_figure(draw, width, height)
        assert len(figure.axes) == 1 and "discount" in figure.axes[0].get_title(loc="left")
        assert figure.axes[0].get_legend() is not None
    formula = make_figure(*figures["qini"]).axes[0].get_xlabel()
    assert "G(k) = (Y1 - Y0 N1 / N0) / n" in formula


def test_mlflow_takes_the_names_of_arms_whatever_they_are() -> None:
    odd = ["20% off/März_2.0-a", "🎉", "😀", "x" * 300, "x" * 299, ".", "..", "../up", "<b>", "优惠", "a"]
    found = plain_names(odd)
    assert found["20% off/März_2.0-a"] == "20_ off_März_2.0-a" and found["优惠"] == "优惠"
    assert list(found) == odd and len(set(found.values())) == len(odd)
    for name in found.values():
        for key in (f"{name}/qini_over_response_high", f"{name}/winner"):
            _validate_metric_name(key)  # type: ignore[no-untyped-call]
            _validate_param_name(key)  # type: ignore[no-untyped-call]
            assert len(key) <= MAX_ENTITY_KEY_LENGTH
