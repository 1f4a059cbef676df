"""Acting by a plan in the simulator: a small version of the benchmark `acting`, from deliveries to profits.

At this size the learnt effects are too noisy for a plan that surely wins. With the true effects it does, which tests
the plan, the second run and the accounts.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clm_dagster.simulate.post_purchase import MAIL_COST
from clm_dagster.statistics.uplift import policy_difference
from clm_dagster_tests.benchmarks import acting
from clm_dagster_tests.benchmarks.acting_shop import run_until_plan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("acting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder))
        # Raises an error if the run on disk with the plan's mails differs from the future in memory.
        return acting.policies(run_until_plan(folder, customers=2_000, products=60, seed=31))


def test_the_plan_with_true_effects_earns_more_than_every_other_policy(found: dict[str, Any]) -> None:
    profits = found["profits"]
    for name in profits:
        if name in (acting.ORACLE, acting.PLAN):
            continue
        more = policy_difference(profits[acting.ORACLE], profits[name])
        assert more.value > 0, name
        assert name == "news to all" or more.low > 0, f"{name}: {more}"


def test_policies_mail_whom_they_say_and_pay_for_it(found: dict[str, Any]) -> None:
    mails, customers = found["mails"], found["customers"]
    assert mails[acting.NOBODY] == {"discount": 0, "news": 0}
    planned = sum(mails[acting.PLAN].values())
    assert 0 < planned < customers
    for arm in ("discount", "news"):
        assert mails[f"{arm} to all"][arm] == customers
        assert sum(mails[f"{arm} by churn risk"].values()) == mails[f"{arm} by churn risk"][arm] <= planned
    # A mail that changes nothing of a customer's orders costs its price, and the discount on what they buy anyway.
    nobody, news, discount = (
        np.array(found["profits"][name]) for name in (acting.NOBODY, "news to all", "discount to all")
    )
    idle = nobody == 0
    assert idle.any() and np.isclose(news[idle], -MAIL_COST).mean() > 0.9
    assert np.isclose(news - nobody, -MAIL_COST).mean() > 0.2
    assert (discount - nobody)[np.isclose(news - nobody, -MAIL_COST)].min() < -MAIL_COST


def test_a_summary_adds_up_customers_of_all_shops(found: dict[str, Any]) -> None:
    twice = acting.summary([found, found])
    once = acting.summary([found])
    assert twice["shops"][0] == twice["shops"][1] == once["shops"][0]
    assert once["plan_over"] == once["shops"][0]["plan_over"]
    for name, (value, low, high) in twice["plan_over"].items():
        one = once["plan_over"][name]
        assert value == pytest.approx(one[0])
        assert high - low == pytest.approx((one[2] - one[1]) / np.sqrt(2), rel=1e-3)
        total = once["shops"][0]["total"]
        assert value == pytest.approx(1_000 * (total[acting.PLAN] - total[name]) / found["customers"])
