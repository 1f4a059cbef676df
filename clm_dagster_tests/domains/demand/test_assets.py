"""Demand end to end on a complete run: trainings in MLflow, forecasts, and their accuracy."""

import json

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.settings import DemandSettings
from clm_dagster.platform.job_names import MODELS, SCORES
from clm_dagster.platform.resources import tracking_of
from clm_dagster_tests.trained_shop import FEW_DEMAND, Ran

pytestmark = pytest.mark.slow
SERIES = ["level", "key", "measure"]


def sold(ran: Ran) -> pd.DataFrame:
    """Compute units and revenue of each country, product and day with pandas from the events."""
    lines = ran.query(
        "select event_at, country, product_id, quantity::double as units, (quantity * unit_price)::double as revenue "
        "from raw.events"
    )
    return lines.assign(date=lines.event_at.dt.normalize())


def test_every_training_is_a_run_with_a_child_for_each_level(ran: Ran) -> None:
    rows = ran.query("select * from models.demand_model order by as_of")
    assert len(rows) == 2 and rows.model_version.notna().all()
    assert rows.series.eq(rows.series[0]).all() and rows.origins.gt(0).all()
    client, experiment = ran.mlflow()
    run_id = rows.mlflow_run_id[1]
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'")
    stored = ran.query(
        "select * from marts.demand_contest where as_of = (select max(as_of) from models.demand_model)"
    )
    assert {run.info.run_name for run in children} == {"shop", "country", "product"} == set(stored.level)
    assert set(stored.method) == {*FEW_DEMAND, "chosen"}
    for run in children:
        mine = stored[(stored.level == run.info.run_name) & (stored.period == "day")].set_index("method").mase
        logged = {
            name.split("/")[1]: v
            for name, v in run.data.metrics.items()
            if name[:3] == "day" and "mase" in name
        }
        assert logged == pytest.approx(mine.to_dict())
    files = {item.path for item in client.list_artifacts(run_id)}
    assert {"series.csv", "held_out.csv", "evaluation.json", "candidates.png"} <= files
    # The largest series has diagnostics where its forecasts use an ARIMA.
    arimas = {item.path for item in client.list_artifacts(run_id, "arima")} if "arima" in files else set()
    texts = {path.removesuffix(".txt") for path in arimas if path.endswith(".txt")}
    assert texts == {path.removesuffix(".png") for path in arimas if path.endswith(".png")}
    assert texts <= {"arima/days_of_revenue", "arima/weeks_of_revenue"}


def test_the_model_takes_columns_by_name(ran: Ran) -> None:
    import mlflow

    ran.mlflow()
    newest = ran.query("select * from models.demand_model order by as_of").iloc[-1]
    loaded = mlflow.pyfunc.load_model(f"models:/models.demand_model/{newest.model_version}")
    history = pd.DataFrame(
        {
            "value": np.tile([3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 20),
            "day": pd.date_range("2023-03-06", periods=140),
            "measure": "units",
            "key": "all",
            "level": "shop",
        }
    )
    predicted = loaded.predict(history)
    assert predicted.groupby("period").size().to_dict() == {"day": 28, "week": 13}
    assert predicted[predicted.period == "week"]["mean"].to_numpy() == pytest.approx(42, rel=0.1)
    champion = tracking_of(ran.settings).champion("models.demand_model")
    accepted = ran.query("select * from models.demand_model where accepted order by as_of")
    assert champion == (accepted.model_version.iloc[-1] if len(accepted) else None)


def test_every_series_has_every_date_and_levels_add_up(ran: Ran) -> None:
    rows = ran.query("select * from marts.demand_forecasts")
    assert rows.as_of.nunique() == 13 and rows.notna().all(axis=None)
    assert (rows.groupby(["as_of", "period", *SERIES]).date.nunique().unstack("period") == [28, 13]).all(
        axis=None
    )
    assert (rows[rows.period == "day"].groupby("as_of").date.min() == rows.as_of.sort_values().unique()).all()
    assert (np.diff(rows[["q025", "q10", "q50", "q90", "q975"]], axis=1) >= 0).all() and (
        rows["mean"] >= 0
    ).all()
    keys = rows[rows.as_of == rows.as_of.max()][SERIES].drop_duplicates()
    assert keys.groupby(["level", "measure"]).size().to_dict() == {
        ("shop", "revenue"): 1,
        ("shop", "units"): 1,
        ("shop", "orders"): 1,
        ("shop", "buyers"): 1,
        ("country", "revenue"): 2,
        ("country", "units"): 2,
        ("country", "orders"): 2,
        ("country", "buyers"): 2,
        ("product", "revenue"): 6,
        ("product", "units"): 6,
    }
    cents = rows.assign(cents=np.rint(rows["mean"] * 100))
    adding = cents[cents.measure.isin(["units", "revenue"])]
    sums = adding.groupby(["as_of", "period", "measure", "date", "level"]).cents.sum().unstack("level")
    assert (sums["country"] == sums["shop"]).all() and (sums["product"] == sums["shop"]).all()


def test_realised_accuracy_matches_pandas(ran: Ran) -> None:
    accuracy = ran.query("select * from marts.forecast_accuracy")
    newest = accuracy[(accuracy.as_of == accuracy.as_of.max()) & (accuracy.kind == "realised")]
    assert newest.forecast_as_of.nunique() == 12
    when = newest.forecast_as_of.min()
    forecasts = ran.query(f"select * from marts.demand_forecasts where as_of = '{when}'")
    lines, as_of = sold(ran), accuracy.as_of.max()
    lines = lines[lines.event_at < as_of]
    own = {"shop": lines.assign(key="all")}
    own["country"] = lines.assign(key=lines.country)
    products = set(forecasts[forecasts.level == "product"].key)
    own["product"] = lines.assign(key=lines.product_id.where(lines.product_id.isin(products), "other"))
    for row in newest[
        (newest.forecast_as_of == when) & newest.measure.isin(["units", "revenue"])
    ].itertuples():
        mine = forecasts[
            (forecasts[["period", *SERIES]] == [row.period, row.level, row.key, row.measure]).all(axis=1)
        ]
        by_day = own[row.level][own[row.level].key == row.key].groupby("date")[row.measure].sum()
        step = 1 if row.period == "day" else 7
        mine = mine[mine.date + pd.Timedelta(days=step) <= as_of]
        actual = np.array([by_day[d : d + pd.Timedelta(days=step - 1)].sum() for d in mine.date])
        assert row.steps == len(mine)
        assert row.actual == pytest.approx(actual.sum(), abs=1e-6)
        assert row.wape == pytest.approx(np.abs(mine["mean"] - actual).sum() / actual.sum())
        inside = (actual >= mine.q10.to_numpy()) & (actual <= mine.q90.to_numpy())
        assert row.coverage_80 == pytest.approx(inside.mean())


def test_the_backtest_is_in_the_same_table(ran: Ran) -> None:
    accuracy = ran.query("select * from marts.forecast_accuracy")
    backtest = accuracy[(accuracy.kind == "backtest") & (accuracy.as_of == accuracy.as_of.max())]
    model = ran.query("select * from models.demand_model order by as_of").iloc[-1]
    stored = pd.DataFrame(json.loads(model.accuracy))
    chosen = backtest[backtest.is_chosen]
    assert len(chosen) == 2 * model.series
    assert set(backtest[~backtest.is_chosen].model) == {"seasonal_naive", "eight_week_mean"}
    assert chosen.mase.mean() == pytest.approx(stored[stored.method == "chosen"].mase.mean())
    assert chosen.coverage_80.mean() == pytest.approx(0.8, abs=0.1)


def test_reorder_points_cover_products_and_their_lead_time(ran: Ran) -> None:
    points = ran.query("select * from marts.reorder_points")
    lead, as_of = ran.settings.of(DemandSettings).reorder_lead_days, points.as_of.max()
    newest = points[points.as_of == as_of]
    assert newest.groupby("product_id").size().eq(28 - lead + 1).all() and newest.product_id.nunique() == 5
    assert (newest.reorder_point >= newest.expected_demand).all() and (newest.safety_stock >= 0).all()
    days = ran.query(
        f"select * from marts.demand_forecasts where as_of = '{as_of}' and period = 'day' and level = 'product' "
        "and measure = 'units' order by date"
    )
    one = newest.sort_values("date").iloc[0]
    mine = days[days.key == one.product_id].head(lead)
    assert one.expected_demand == pytest.approx(mine["mean"].sum())


def test_the_calendar_adds_up_to_the_sales(ran: Ran) -> None:
    rows = ran.query("select * from marts.demand_calendar")
    whole = rows.trend + rows.seasonal + rows.holiday + rows.remainder
    np.testing.assert_allclose(whole, rows.value, atol=1e-6)
    newest = rows[(rows.as_of == rows.as_of.max()) & (rows.level == "shop") & (rows.measure == "units")]
    lines = sold(ran)
    by_day = lines[lines.event_at < rows.as_of.max()].groupby("date").units.sum()
    assert newest.set_index("date").value.to_dict() == by_day.reindex(newest.date, fill_value=0).to_dict()


def test_retraining_and_rescoring_give_the_same_rows(ran: Ran) -> None:
    """Train and forecast again: the rows are the same, and of the evaluation only the seconds differ."""
    models = ran.query(
        "select * exclude (model_version, mlflow_run_id, model_uri, seconds, said) from models.demand_model"
    )
    forecasts = ran.query("select * exclude (model_version) from marts.demand_forecasts order by all")
    as_of = models.as_of.max()
    key = (as_of - pd.Timedelta(days=7)).strftime("%Y-%m-%d")
    assert ran.materialize(MODELS, key, "models.demand_model").success
    last = (forecasts.as_of.max() - pd.Timedelta(days=7)).strftime("%Y-%m-%d")
    assert ran.materialize(SCORES, last, "marts.demand_forecasts").success
    again = ran.query(
        "select * exclude (model_version, mlflow_run_id, model_uri, seconds, said) from models.demand_model"
    )
    pd.testing.assert_frame_equal(again.sort_values("as_of"), models.sort_values("as_of"), check_like=True)
    again = ran.query("select * exclude (model_version) from marts.demand_forecasts order by all")
    pd.testing.assert_frame_equal(again, forecasts)
    assert not list((ran.settings.data_dir / "cache" / "models.demand_model").iterdir())


def test_checks_describe_their_results(ran: Ran) -> None:
    """Read the checks of the forecasts from Dagster's storage."""
    from clm_dagster_tests.trained_shop import at_home

    key = dg.AssetKey(["marts", "demand_forecasts"])
    with at_home(ran.settings), dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(key)
        assert event is not None and event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        found = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key, "levels_add_up"), limit=1
        )
    assert str(metadata["forecasts_by_day"].value).startswith("![forecasts by day](data:image/png")
    assert found and found[0].status.value == "SUCCEEDED"
