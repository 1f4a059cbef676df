"""Forecasts by the policies of an earlier evaluation: at its as_of, and later with other series."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io

from clm_dagster.domains.demand import checkpoints, model
from clm_dagster.domains.demand.local_methods import LocalMethod
from clm_dagster.domains.demand.model import (
    candidates,
    evaluate_candidates,
    fit_policies,
    forecast,
    forecast_rows,
    panels_of,
    predict_panels,
)
from clm_dagster.domains.demand.names import DAY
from clm_dagster.domains.demand.panel_methods import GlobalBoosting
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.predict import predict_panel
from clm_dagster.domains.demand.registered import REGISTERED
from clm_dagster.domains.demand.served import example, pack, unpack
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.statistics.forecasting.local_models import ArimaModel
from clm_dagster_tests.domains.demand.shop import AS_OF, days_of, only_methods, shop

FAST = ("seasonal_naive", "eight_week_mean", "tsb", "regression", "theta", "exponential_smoothing", "arima")
SETTINGS = DemandSettings()


@pytest.fixture(autouse=True, scope="module")
def fast() -> Iterator[None]:
    """Evaluate without the slow methods."""
    with only_methods(*FAST):
        yield


@pytest.fixture(scope="module")
def policies(fast: None) -> dict[str, ForecastPolicy]:
    return fit_policies(evaluate_candidates(panels_of(shop(), AS_OF, SETTINGS), SETTINGS), SETTINGS)


def ahead(policies: Mapping[str, ForecastPolicy], series: pd.DataFrame, as_of: date) -> pd.DataFrame:
    return forecast_rows(predict_panels(policies, panels_of(series, as_of, SETTINGS), SETTINGS))


def test_a_stored_policy_gives_the_same_forecasts(
    policies: dict[str, ForecastPolicy],
) -> None:
    expected = forecast(shop(), AS_OF).forecasts
    pd.testing.assert_frame_equal(ahead(policies, shop(), AS_OF), expected)
    estimator = pack(policies)
    pd.testing.assert_frame_equal(ahead(unpack(estimator), shop(), AS_OF), expected)
    given = example(shop(), policies)
    predicted = estimator.predict(given)
    assert predicted.date.min() == pd.Timestamp(AS_OF)
    assert set(
        predicted.groupby("period").size() / len(given[["level", "key", "measure"]].drop_duplicates())
    ) == {
        28.0,
        13.0,
    }


def test_stored_parameters_are_reused_and_only_new_series_are_searched(
    policies: dict[str, ForecastPolicy], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    search = ArimaModel.fit

    def counted(self: ArimaModel, history: np.ndarray, season: int, x: np.ndarray) -> dict[str, object]:
        searched.append(history.size)
        return search(self, history, season, x)

    monkeypatch.setattr(ArimaModel, "fit", counted)
    later = AS_OF + timedelta(days=35)
    ahead(policies, shop(as_of=later), later)
    assert not searched
    series = shop(as_of=later)
    new = series[series.key == "p1"].assign(key="p9")
    ahead(policies, pd.concat([series, new]), later)
    periods = [period for period, found in policies.items() if "arima" in found.parameters]
    assert periods and len(searched) == 2 * len(periods)  # units and revenue


def test_boosting_is_stored_and_forecasts_without_a_new_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    with only_methods("seasonal_naive", "eight_week_mean", "boosting"):
        panels = panels_of(shop(), AS_OF, SETTINGS)
        policies = fit_policies(evaluate_candidates(panels, SETTINGS), SETTINGS)
        assert all(policy.boosting is not None for policy in policies.values())
        expected = ahead(
            {name: replace(policy, boosting=None) for name, policy in policies.items()}, shop(), AS_OF
        )
        stored = skops.io.dumps(pack(policies))
        assert set(skops.io.get_untrusted_types(data=stored)) <= set(REGISTERED.trusted)
        loaded = unpack(skops.io.loads(stored, trusted=list(REGISTERED.trusted)))

        def refused(*_: object) -> None:
            raise AssertionError("a stored model needs no fit")

        with monkeypatch.context() as patch:
            patch.setattr(GlobalBoosting, "fit", refused)
            pd.testing.assert_frame_equal(ahead(loaded, shop(), AS_OF), expected)
            later = AS_OF + timedelta(days=35)
            assert ahead(loaded, shop(as_of=later), later)["mean"].sum() > 0
        # A model that knows no promotions is not used once there are some.
        promotions = pd.DataFrame({"level": "product", "key": "p1", "day": days_of()[::9], "discount": 0.2})
        promoted = panels_of(shop(), AS_OF, SETTINGS, promotions)
        assert len(forecast_rows(predict_panels(loaded, promoted, SETTINGS))) == len(expected)


def test_orders_of_the_backtest_are_kept(policies: dict[str, ForecastPolicy]) -> None:
    panels = panels_of(shop(), AS_OF, SETTINGS)
    evaluations = evaluate_candidates(panels, SETTINGS)
    for period, policy in fit_policies(evaluations, SETTINGS).items():
        if "arima" not in policy.parameters:
            continue
        before = evaluations[period].backtest.parameters["arima"]
        kept = [
            one["fit"]["orders"] == earlier["fit"]["orders"]
            for one, earlier in zip(policy.parameters["arima"], before, strict=True)
        ]
        assert np.mean(kept) > 0.8  # another season or other regressors need a new search
        changed = [
            one["fit"]["parameters"] != earlier["fit"]["parameters"]
            for one, earlier in zip(policy.parameters["arima"], before, strict=True)
        ]
        assert np.mean(changed) > 0.5


def test_a_killed_fit_resumes(
    policies: dict[str, ForecastPolicy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SERIES_PER_CHUNK", 3)
    panel = panels_of(shop(), AS_OF, SETTINGS)[DAY]
    theta = next(method for method in candidates() if method.name == "theta")
    assert isinstance(theta, LocalMethod)
    killed = checkpoints.checkpointed_fit(tmp_path)
    fitted = killed(theta, panel, None)
    assert fitted == theta.fit(panel)
    files = sorted(tmp_path.iterdir())
    assert len(files) == -(-len(panel) // 3)
    files[0].unlink()
    kept = {path: path.stat().st_mtime_ns for path in files[1:]}
    assert checkpoints.checkpointed_fit(tmp_path)(theta, panel, None) == fitted
    assert {path: path.stat().st_mtime_ns for path in files[1:]} == kept


def test_later_forecasts_use_the_sales_since_the_training(policies: dict[str, ForecastPolicy]) -> None:
    later = AS_OF + timedelta(days=35)
    series = shop(as_of=later)
    predicted = ahead(policies, series, later)
    assert predicted[predicted.period == DAY].date.min() == pd.Timestamp(later)
    doubled = series.assign(value=np.where(series.day >= pd.Timestamp(AS_OF), 2 * series.value, series.value))
    more = ahead(policies, doubled, later)
    days = [
        frame[(frame.period == DAY) & (frame.measure == "units")]["mean"].sum() for frame in (predicted, more)
    ]
    assert days[1] > 1.2 * days[0]
    units = predicted[(predicted.measure == "units") & (predicted.period == DAY)]
    sums = units.groupby(["date", "level"])["mean"].sum().unstack("level")
    np.testing.assert_allclose(sums["product"], sums["shop"], atol=0.001)


def test_a_new_series_gets_forecasts(policies: dict[str, ForecastPolicy]) -> None:
    later = AS_OF + timedelta(days=70)
    days = days_of(as_of=later)
    rng = np.random.default_rng(4)

    def sold(key: str, since: int) -> pd.DataFrame:
        value = np.where(np.arange(days.size) >= days.size - since, rng.poisson(9, days.size), 0)
        frame = pd.DataFrame(
            {"level": "product", "key": key, "measure": "orders", "day": days, "value": value}
        )
        return frame[frame.value > 0]

    series = pd.concat([shop(as_of=later), sold("old, chosen now", 600), sold("new", 20)])
    rows = ahead(policies, series, later)
    rows = rows[(rows.measure == "orders") & (rows.period == DAY)].groupby("key").agg("first")
    assert [rows[c]["old, chosen now"] for c in ("outcome", "method")] == ["regular", "combination"]
    assert [rows[c]["new"] for c in ("outcome", "method")] == ["young", "shrunk_weekday_mean"]
    for key in ("old, chosen now", "new"):
        assert rows.loc[key, "mean"] == pytest.approx(9, rel=0.35)
        assert rows.q025[key] < rows.q10[key] < rows.q90[key] < rows.q975[key]


def test_a_series_that_ended_is_forecast_as_zero(policies: dict[str, ForecastPolicy]) -> None:
    later = AS_OF + timedelta(days=250)
    series = shop(as_of=later)
    ended = series[(series.key != "p0") | (series.day < pd.Timestamp(AS_OF))]
    rows = ahead(policies, ended, later)
    gone = rows[rows.key == "p0"]
    assert set(gone.outcome) == {"dormant"} and set(gone.method) == {"zero"}
    assert (gone[["mean", "q975"]] == 0).all(axis=None)


def test_a_policy_with_an_unknown_method_is_an_error(policies: dict[str, ForecastPolicy]) -> None:
    panel = panels_of(shop(), AS_OF, SETTINGS)[DAY]
    with pytest.raises(ValueError, match=r"no method .* train again"):
        predict_panel(policies[DAY], panel, model.candidates()[:1], 28)
