"""The past rate serves where no model passed its gate: its name, and its values against pandas."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.value.candidates import candidates
from clm_dagster.domains.value.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.value.features import lifetime_rate
from clm_dagster.domains.value.score import ScoreInputs, WeeklyInputs, expect_weekly, score
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.in_shards import in_one_step
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.trained_models.champions import WHOLE, Choice, Served
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster_tests.domains.value.shop import SETTINGS, TEST, Simulated

HORIZON = SETTINGS.horizon_days
REFUSED = Choice(
    pd.Series(
        {"model_name": "models.value_model", "model_version": "4", "as_of": TEST, "training_data_hash": "h"}
    ),
    "refused",
    is_baseline=True,
)


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> EvaluationResult:
    features, labels, plan = simulated
    chosen = [one for one in candidates() if one.name == "btyd"]
    return evaluate_candidates(features, labels, plan, SETTINGS, chosen)


@pytest.fixture
def buyers(simulated: Simulated) -> pd.DataFrame:
    features = simulated[0]
    return features[(features.as_of == pd.Timestamp(TEST)) & (features.order_days > 0)]


def scored(project: Project, buyers: pd.DataFrame, choice: Choice, fitted: Any) -> pd.DataFrame:
    columns = [name for name in project.nodes["marts.customer_value"].types if name != "as_of"]
    work: Any = SimpleNamespace(columns=columns, day=TEST, settings=SnapshotSettings(SETTINGS, 10_000))
    computed = score(
        Scoring(work, {WHOLE: Served(choice, fitted, "past_rate")}),
        ScoreInputs(CustomerRows.whole(buyers), buyers.iloc[:0], pd.DataFrame()),
    )
    output = in_one_step(computed)
    assert isinstance(output.rows, pd.DataFrame)
    return output.rows


def test_the_baseline_is_last_years_rate(
    project: Project, buyers: pd.DataFrame, result: EvaluationResult
) -> None:
    rows = scored(project, buyers, REFUSED, result.model)
    assert set(rows.model_name) == {"past_rate_baseline"} and set(rows.model_version) == {"4"}
    both = rows.merge(
        buyers[["customer_id", "tenure_days", "net_revenue_365d", "orders_365d"]], on="customer_id"
    )
    assert len(both) == len(buyers)
    days = both.tenure_days.clip(HORIZON, 365)
    revenue = both.net_revenue_365d.astype(float).clip(lower=0) / days * HORIZON
    np.testing.assert_allclose(both.expected_revenue, revenue)
    np.testing.assert_allclose(both.expected_orders, both.orders_365d / days * HORIZON)
    np.testing.assert_allclose(both.probability_of_no_order, np.exp(-both.expected_orders))
    share_above = (revenue.rank(ascending=False, method="min") - 1) / len(both)
    tier = np.select(
        [revenue <= 0, share_above < 0.05, share_above < 0.2], ["low", "vip", "regular"], "potential"
    )
    assert (both.value_tier == tier).all() and set(tier) >= {"vip", "regular", "potential"}
    actual = result.amounts.set_index("customer_id").net_revenue.reindex(both.customer_id).to_numpy()
    inside = (both.revenue_low <= actual) & (actual <= both.revenue_high)
    assert inside.mean() == pytest.approx(0.8, abs=0.08)


def test_without_a_training_the_baseline_has_no_intervals(project: Project, buyers: pd.DataFrame) -> None:
    """As after a change of the horizon, before a training with the new one."""
    rows = scored(project, buyers, Choice(None, "not trained", is_baseline=True), None)
    assert set(rows.model_name) == {"past_rate_baseline"} and set(rows.model_version) == {"none"}
    assert rows[["revenue_low", "revenue_high", "model_as_of", "training_data_hash"]].isna().all(axis=None)
    assert (
        rows.drop(columns=["revenue_low", "revenue_high", "model_as_of", "training_data_hash"])
        .notna()
        .all(axis=None)
    )


def test_the_weeks_of_the_baseline_are_linear_and_need_no_model(
    project: Project, buyers: pd.DataFrame
) -> None:
    value = scored(project, buyers, Choice(None, "not trained", is_baseline=True), None)
    columns = [name for name in project.nodes["marts.value_expectations"].types if name != "as_of"]
    work: Any = SimpleNamespace(columns=columns)
    weeks = expect_weekly(work, WeeklyInputs(buyers, value)).rows
    assert isinstance(weeks, pd.DataFrame)
    np.testing.assert_allclose(weeks.expected_revenue, value.expected_revenue.sum() * weeks.days / HORIZON)
    assert weeks.days.iloc[-1] == HORIZON and set(weeks.model_name) == {"past_rate_baseline"}


def test_the_lifetime_rate_counts_all_revenue(buyers: pd.DataFrame) -> None:
    rates = lifetime_rate(buyers, HORIZON)
    old = (buyers.tenure_days > 400).to_numpy()
    assert old.sum() > 20
    expected = (buyers.net_revenue.astype(float) / buyers.tenure_days * HORIZON).to_numpy()
    np.testing.assert_allclose(rates[old], expected[old])
