"""What serves a shop that has run, with every gate refused: baselines in the scores, checks and the summary."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.shop.models_summary import read_models
from clm_dagster.platform.job_names import SCORES
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.trained_models.checks import COVERAGE
from clm_dagster_tests.trained_shop import Ran

pytestmark = pytest.mark.slow
PARTS = {
    "models.churn_model": (),
    "models.value_model": (),
    "models.demand_model": ("accepted_day", "accepted_week"),
    "models.recommender_model": ("accepted_next_best", "accepted_discover"),
}
CHANGED = (
    *PARTS,
    "models.serving",
    "marts.churn_scores",
    "marts.feature_drift",
    "marts.customer_value",
    "marts.value_expectations",
    "marts.demand_forecasts",
    "marts.reorder_points",
    "marts.recommendations",
    "raw.builds",
)


@pytest.fixture(scope="module")
def refused(ran: Ran) -> Iterator[Ran]:
    """The shop with no accepted training and no alias; everything is restored afterwards."""
    tracking = tracking_of(ran.settings)
    client, _ = ran.mlflow()
    aliases = {name: tracking.champion(name) for name in PARTS}
    ran.execute("create schema kept")
    for table in CHANGED:
        ran.execute(f"create table kept.{table.replace('.', '_')} as from {table}")
    for name, parts in PARTS.items():
        columns = ", ".join(f"{column} = false" for column in ("accepted", *parts))
        ran.execute(f"update {name} set {columns}")
        if aliases[name] is not None:
            client.delete_registered_model_alias(name, "champion")
    yield ran
    for table in CHANGED:
        ran.execute(f"delete from {table}")
        ran.execute(f"insert into {table} by name from kept.{table.replace('.', '_')}")
    ran.execute("drop schema kept cascade")
    for name, version in aliases.items():
        if version is not None:
            client.set_registered_model_alias(name, "champion", version)


def newest(ran: Ran) -> tuple[pd.Timestamp, str]:
    """Return the as_of of the newest scored snapshot and its partition key."""
    as_of = ran.query("select max(as_of) as at from core.customer_features")["at"][0]
    return as_of, str((as_of - pd.Timedelta(days=7)).date())


def score(ran: Ran, table: str, **settings: object) -> tuple[pd.DataFrame, dg.AssetCheckEvaluation | None]:
    as_of, key = newest(ran)
    result = ran.materialize(SCORES, key, table, **settings)
    assert result.success, [event.message for event in result.get_step_failure_events()]
    checks = {found.check_name: found for found in result.get_asset_check_evaluations()}
    return ran.query(f"select * from {table} where as_of = '{as_of}'"), checks.get(COVERAGE)


def test_churn_is_scored_by_recency(refused: Ran) -> None:
    rows, check = score(refused, "marts.churn_scores")
    assert set(rows.model_name) == {"recency_baseline"} and check is not None and not check.passed
    assert "The naive baseline recency_baseline serves instead." in str(check.description)
    as_of, _ = newest(refused)
    features = refused.query(
        f"select customer_id, recency_days from core.customer_features where as_of = '{as_of}'"
    )
    both = rows.merge(features, on="customer_id").sort_values("recency_days")
    assert (both.churn_probability.diff().dropna() >= -1e-12).all() and both.churn_probability.nunique() > 20
    card = refused.query(f"select * from marts.churn_scorecard where as_of = '{as_of}'")
    assert set(card.model_name) == {"recency_baseline"} and card.promised.isna().all()


def test_value_is_last_years_rate(refused: Ran) -> None:
    rows, check = score(refused, "marts.customer_value")
    assert set(rows.model_name) == {"past_rate_baseline"} and check is not None and not check.passed
    as_of, _ = newest(refused)
    features = refused.query(
        "select customer_id, tenure_days, net_revenue_365d::double as revenue from core.customer_features "
        f"where as_of = '{as_of}'"
    )
    both = rows.merge(features, on="customer_id")
    expected = both.revenue.clip(lower=0) / both.tenure_days.clip(30, 365) * 30
    np.testing.assert_allclose(both.expected_revenue, expected)
    weeks, _ = score(refused, "marts.value_expectations")
    assert set(weeks.model_name) == {"past_rate_baseline"}
    assert weeks.expected_revenue.max() == pytest.approx(expected.sum())


def test_demand_is_the_mean_of_eight_weeks(refused: Ran) -> None:
    rows, check = score(refused, "marts.demand_forecasts")
    assert set(rows.model_name) == {"eight_week_mean_baseline"} and check is not None and not check.passed
    assert "day: No training" in str(check.description) and "week: No training" in str(check.description)
    as_of, _ = newest(refused)
    lines = refused.query(f"select event_at, order_id from raw.events where event_at < '{as_of}'")
    lines = lines[lines.event_at >= as_of - pd.Timedelta(weeks=8)]
    by_weekday = lines.groupby(lines.event_at.dt.day_of_week).order_id.nunique() / 8
    days = rows[(rows.period == "day") & (rows.level == "shop") & (rows.measure == "orders")]
    np.testing.assert_allclose(days["mean"], by_weekday.reindex(days.date.dt.day_of_week), atol=0.01)
    points, _ = score(refused, "marts.reorder_points")
    assert set(points.model_name) == {"eight_week_mean_baseline"} and len(points)


def test_lists_are_made_by_their_baselines(refused: Ran) -> None:
    rows, check = score(refused, "marts.recommendations")
    bought = rows[rows.model_name != "cold_start"]
    assert bought.groupby("list").model_name.unique().map(list).to_dict() == {
        "discover": ["popularity_baseline"],
        "next_best": ["buy_again_baseline"],
    }
    assert check is not None and not check.passed


def test_the_summary_names_what_serves(refused: Ran) -> None:
    with warehouse_of(refused.settings).connect("a test") as connection:
        states = {state.name: (state.gate, state.serves) for state in read_models(connection)}
    assert states["churn_model"] == ("refused", "recency_baseline")
    assert states["value_model"] == ("refused", "past_rate_baseline")
    assert states["demand_model (week)"] == ("refused", "eight_week_mean_baseline")
    assert states["recommender_model (discover)"] == ("refused", "popularity_baseline")
    assert "persona_model" in states


def test_after_a_change_of_horizon_the_baseline_serves_and_says_so(refused: Ran) -> None:
    client, _ = refused.mlflow()
    version = refused.query("select max(model_version) as v from models.value_model").v[0]
    client.set_registered_model_alias("models.value_model", "champion", version)
    try:
        rows, check = score(refused, "marts.customer_value", value_horizon_days=45)
    finally:
        client.delete_registered_model_alias("models.value_model", "champion")
    assert set(rows.model_name) == {"past_rate_baseline"} and set(rows.model_version) == {"none"}
    assert set(rows.horizon_days) == {45} and rows.revenue_low.isna().all()
    assert check is not None and not check.passed
    text = str(check.description)
    assert "has no such version with a horizon of 45 days" in text and "past_rate_baseline serves" in text


def test_the_setting_lets_refused_models_serve_loudly(refused: Ran) -> None:
    rows, check = score(refused, "marts.churn_scores", serve_refused_models=True)
    assert set(rows.model_name) == {"models.churn_model"}
    assert check is not None and not check.passed
    assert "CLM_SERVE_REFUSED_MODELS is on" in str(check.description)
    with warehouse_of(refused.settings).connect("a test") as connection:
        loud = [state.name for state in read_models(connection) if state.is_loud]
    assert loud == ["churn_model"]
