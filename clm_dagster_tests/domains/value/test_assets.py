"""Customer value end to end on a shop that has run: evaluations in MLflow, expected and actual amounts."""

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from clm_dagster.platform.job_names import MODELS
from clm_dagster.platform.resources import tracking_of
from clm_dagster_tests.trained_shop import END, Ran

pytestmark = pytest.mark.slow
HORIZON = 30


def test_every_training_is_a_run_with_a_child_for_each_candidate(ran: Ran) -> None:
    rows = ran.query("select * from models.value_model order by as_of")
    assert len(rows) == 2 and rows.model_version.notna().all()
    assert (pd.to_datetime(rows.tested_as_of) + pd.Timedelta(days=35) == rows.as_of).all()
    client, experiment = ran.mlflow()
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{rows.mlflow_run_id[1]}'")
    stored = ran.query(
        "select * from marts.value_contest where as_of = (select max(as_of) from models.value_model)"
    )
    assert {run.info.run_name: run.data.metrics["test/mae"] for run in children} == pytest.approx(
        stored.set_index("contestant").mae.to_dict()
    )
    assert set(stored[stored.is_baseline].contestant) == {"past_rate", "lifetime_rate", "last_period"}
    assert stored[stored.is_winner].contestant.to_list() == [rows.winner[1]]
    assert rows.interval_coverage.between(0.7, 0.9).all()


def test_the_champion_takes_columns_by_name(ran: Ran) -> None:
    import mlflow

    ran.mlflow()
    rows = ran.query("select * from models.value_model where accepted order by as_of")
    champion = tracking_of(ran.settings).champion("models.value_model")
    assert champion == (rows.model_version.iloc[-1] if len(rows) else None)
    newest = ran.query("select * from models.value_model order by as_of").iloc[-1]
    loaded = mlflow.pyfunc.load_model(f"models:/models.value_model/{newest.model_version}")
    needed = loaded.metadata.get_input_schema().input_names()
    customers = ran.query(f"select * from core.customer_features where as_of = '{newest.tested_as_of}'")
    given = customers[customers.order_days > 0][needed[::-1]].astype(float)
    amounts = loaded.predict(given)["expected_revenue"]
    assert (amounts >= 0).all() and amounts.notna().all() and amounts.sum() > 0


def test_every_customer_with_an_order_has_an_amount_and_no_value_is_missing(ran: Ran) -> None:
    value = ran.query("select * from marts.customer_value order by as_of, customer_id")
    buyers = ran.query("select as_of, count(*) as n from core.customer_features where orders > 0 group by 1")
    expected = buyers.set_index("as_of").n.reindex(value.as_of.unique())
    assert value.groupby("as_of").size().to_dict() == expected.to_dict()
    assert value.notna().all(
        axis=None
    )  # the trained shop has a training of value before every scored snapshot
    assert ((value.revenue_low <= value.expected_revenue) | (value.expected_revenue < 1)).all()
    assert (value.revenue_low >= 0).all() and (value.revenue_low <= value.revenue_high).all()
    assert value.probability_of_no_order.between(0, 1).all()
    assert set(value.value_tier) <= {"vip", "regular", "potential", "low"}
    means = value.groupby("value_tier").expected_revenue.mean()
    assert means["vip"] > means["regular"] > means["potential"]


def test_weekly_tracking_adds_up_to_the_actual_amounts(ran: Ran) -> None:
    tracking = ran.query("select * from marts.value_tracking order by as_of, week")
    over = tracking[tracking.actual_revenue.notna()]
    assert 0 < len(over) < len(tracking)
    assert (pd.to_datetime(over.ends_on) <= pd.Timestamp(END)).all()
    as_of = over[over.week == over.week.max()].as_of.max()
    orders = ran.query(
        f"select event_at, customer_id, order_id, quantity * unit_price as revenue from raw.events "
        f"where event_at >= '{as_of}' and customer_id in "
        f"(select customer_id from marts.customer_value where as_of = '{as_of}')"
    )
    for row in over[over.as_of == as_of].itertuples():
        until = orders[orders.event_at < as_of + pd.Timedelta(days=min(7 * row.week, HORIZON))]
        assert float(row.actual_revenue) == pytest.approx(float(until.revenue.sum()))
        assert row.actual_orders == until.order_id.nunique()
    ends = tracking[tracking.week == tracking.week.max()].set_index("as_of")
    value = ran.query(
        "select as_of, sum(expected_revenue) as revenue, sum(expected_orders) as orders "
        "from marts.customer_value group by 1"
    )
    assert ends.expected_revenue.to_dict() == pytest.approx(value.set_index("as_of").revenue.to_dict())
    assert ends.expected_orders.to_dict() == pytest.approx(value.set_index("as_of").orders.to_dict())
    assert (tracking.groupby("as_of").expected_revenue.diff().dropna() >= 0).all()


def test_tenths_and_segments_match_pandas(ran: Ran) -> None:
    both = ran.query(
        "select as_of, customer_id, expected_revenue, revenue_low, revenue_high, net_revenue::double as actual "
        "from marts.customer_value join core.value_labels using (as_of, customer_id)"
    )
    day = both.as_of.max()
    rows = both[both.as_of == day].sort_values("expected_revenue", ascending=False, ignore_index=True)
    places = ((rows.expected_revenue.rank(ascending=False, method="min") - 1) * 10 // len(rows) + 1).astype(
        int
    )
    table = ran.query(f"select * from marts.value_deciles where as_of = '{day}' order by decile").set_index(
        "decile"
    )
    assert table.customers.to_dict() == places.value_counts().to_dict()
    assert table.actual_revenue.to_dict() == pytest.approx(rows.actual.groupby(places).sum().to_dict())
    inside = (rows.actual >= rows.revenue_low) & (rows.actual <= rows.revenue_high)
    assert table.interval_coverage.to_dict() == pytest.approx(inside.groupby(places).mean().to_dict())
    segments = ran.query(f"select * from marts.value_by_segment where as_of = '{day}'")
    assert segments.customers.sum() == len(rows)
    assert float(segments.actual_revenue.astype(float).sum()) == pytest.approx(rows.actual.sum())
    assert segments.expected_share.sum() == pytest.approx(1)


def test_expected_loss_is_the_probability_times_the_margin(ran: Ran) -> None:
    both = ran.query(
        "select churn_probability, expected_loss, expected_revenue from marts.churn_scores "
        "join marts.customer_value using (as_of, customer_id)"
    )
    assert len(both) == len(ran.query("select 1 from marts.churn_scores"))
    expected = both.churn_probability * both.expected_revenue * ran.settings.margin
    np.testing.assert_allclose(both.expected_loss, expected)


def test_training_again_gives_the_same_figures(ran: Ran) -> None:
    columns = "* exclude (mlflow_run_id, model_version, model_uri, said)"
    before = ran.query(f"select {columns} from models.value_model order by as_of")
    key = str((before.as_of.min() - pd.Timedelta(days=7)).date())
    champion = tracking_of(ran.settings).champion("models.value_model")
    assert ran.materialize(MODELS, key, "models.value_model").success
    pd.testing.assert_frame_equal(
        before, ran.query(f"select {columns} from models.value_model order by as_of")
    )
    assert tracking_of(ran.settings).champion("models.value_model") == champion


def test_a_young_shop_says_what_is_missing(ran: Ran) -> None:
    result: dg.ExecuteInProcessResult = ran.materialize(MODELS, "2023-02-20", "models.value_model")
    assert result.success
    checks = {e.check_name: (e.passed, e.description or "") for e in result.get_asset_check_evaluations()}
    assert (
        not checks["contest_was_held"][0]
        and "mature training snapshots, 2 are needed" in checks["contest_was_held"][1]
    )
    ran.execute("delete from models.value_model where model_version is null")
    ran.execute(
        "delete from raw.builds where relation = 'models.value_model' and partition_key = '2023-02-20'"
    )
