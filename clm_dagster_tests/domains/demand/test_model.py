"""Complete forecasts of made-up shops: sums, unusual series, reproducibility, promotions, resuming."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.backtest import Ran
from clm_dagster.domains.demand.checkpoints import checkpointed_run
from clm_dagster.domains.demand.model import DemandForecast, candidates, evaluate_period, forecast
from clm_dagster.domains.demand.panel_methods import CalendarRegression, EightWeekMean, Method, SeasonalNaive
from clm_dagster.domains.demand.series import daily_panel, with_promotions
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster_tests.domains.demand.shop import AS_OF, WEEK, days_of, expected, only_methods, panel_of, shop

FAST = ("seasonal_naive", "eight_week_mean", "tsb", "regression", "theta", "exponential_smoothing")
BANDS = ["q025", "q10", "q50", "q90", "q975"]


@pytest.fixture(autouse=True, scope="module")
def fast() -> Iterator[None]:
    """Evaluate without the three slowest methods, which have their own tests."""
    with only_methods(*FAST):
        yield


@pytest.fixture(scope="module")
def series() -> pd.DataFrame:
    return shop()


@pytest.fixture(scope="module")
def done(fast: None, series: pd.DataFrame) -> DemandForecast:
    return forecast(series, AS_OF)


def test_every_series_has_every_date_and_ordered_bands(done: DemandForecast, series: pd.DataFrame) -> None:
    rows = done.forecasts
    assert rows.groupby("period").size().to_dict() == {"day": 8 * 28, "week": 8 * 13}
    assert not rows.isna().any().any()
    assert not rows.duplicated(["period", "level", "key", "measure", "date"]).any()
    days = rows[rows.period == "day"]
    assert (days.date.min(), days.date.max()) == (
        pd.Timestamp(AS_OF),
        pd.Timestamp(AS_OF) + pd.Timedelta(days=27),
    )
    assert set(rows[rows.period == "week"].date.diff().dropna().dt.days) >= {7}
    assert (np.diff(rows[BANDS], axis=1) >= 0).all()
    assert (rows[["mean", *BANDS]] >= 0).all().all()
    assert (days[days.date.dt.day_of_week == 5][["mean", *BANDS]] == 0).all().all()


def test_levels_add_up_to_the_penny(done: DemandForecast) -> None:
    rows = done.forecasts.assign(cents=np.rint(done.forecasts["mean"] * 100).astype(int))
    np.testing.assert_allclose(rows["mean"] * 100, rows.cents, atol=1e-6)
    sums = rows.groupby(["period", "measure", "date", "level"]).cents.sum().unstack("level")
    np.testing.assert_array_equal(sums["product"], sums["shop"])


def test_forecasts_match_the_simulated_means(done: DemandForecast) -> None:
    ahead = pd.date_range(AS_OF, periods=28)
    truth = {name: 5.0 + 8 * i for i, name in enumerate(("p0", "p1", "other"))}
    days = done.forecasts[(done.forecasts.period == "day") & (done.forecasts.measure == "units")]
    for key, level in truth.items():
        rows = days[days.key == key].set_index("date")
        drawn = np.random.default_rng(5).poisson(level * WEEK[ahead.day_of_week], (400, 28))
        assert rows["mean"].sum() == pytest.approx(expected(level, ahead).sum(), rel=0.08)
        inside = (drawn >= rows.q10.to_numpy()) & (drawn <= rows.q90.to_numpy())
        assert inside[:, ahead.day_of_week != 5].mean() == pytest.approx(0.8, abs=0.1)
    accuracy = done.accuracy.set_index("period")
    assert accuracy.coverage_95["day"].between(0.85, 1).all()
    assert (accuracy.origins["day"] >= 4).all()


def test_row_order_and_later_rows_do_not_change_forecasts(done: DemandForecast, series: pd.DataFrame) -> None:
    later = series.assign(day=series.day + pd.Timedelta(days=700), value=1e6)
    later = later[later.day >= pd.Timestamp(AS_OF)]
    again = forecast(pd.concat([later, series.sample(frac=1, random_state=1)]), AS_OF)
    pd.testing.assert_frame_equal(again.forecasts, done.forecasts)
    pd.testing.assert_frame_equal(again.backtest, done.backtest)


def test_the_backtest_table_matches_the_paths(series: pd.DataFrame) -> None:
    panel = daily_panel(series, AS_OF)
    evaluation = evaluate_period(panel, [SeasonalNaive(), EightWeekMean()], 28, DemandSettings())
    table = evaluation.backtest.table(evaluation.choice).set_index(["measure", "key", "method"])
    origin = panel.size - 28 - 14 * np.arange(8)[::-1]
    assert evaluation.backtest.origins.tolist() == origin.tolist()
    row = int(np.flatnonzero((panel.keys.key == "p1") & (panel.keys.measure == "units"))[0])
    values = panel.values[row]
    naive = [np.abs(np.tile(values[o - 7 : o], 4) - values[o : o + 28]).mean() for o in origin]
    scale = np.abs(values[7 : origin[0]] - values[: origin[0] - 7]).mean()
    assert table.loc[("units", "p1", "seasonal_naive"), "mase"] == pytest.approx(np.mean(naive) / scale)


# ------------------------------------------------------------------------------------ unusual series


def odd(name: str, value: np.ndarray, days: pd.DatetimeIndex) -> pd.DataFrame:
    frame = pd.DataFrame({"level": "product", "key": name, "measure": "orders", "day": days, "value": value})
    return frame[frame.value != 0]


def test_unusual_series_have_an_outcome(series: pd.DataFrame) -> None:
    days = days_of()
    rng = np.random.default_rng(2)
    two = np.zeros(days.size)
    two[[-40, -3]] = [2.0, 5.0]
    gaps = rng.poisson(6.0, days.size) * (rng.random(days.size) < 0.25)
    gaps[200:320] = 0
    ended = np.where(np.arange(days.size) < 200, 3.0, 0.0)
    frame = pd.concat(
        [
            series,
            odd("constant", np.full(days.size, 3.0), days),
            odd("two points", two, days),
            odd("gaps", gaps.astype(float), days),
            odd("ended", ended, days),
        ]
    )
    zero = frame.head(1).assign(key="never", measure="orders", value=0.0)
    rows = forecast(pd.concat([frame, zero]), AS_OF).forecasts
    rows = rows[(rows.measure == "orders") & (rows.period == "day")]
    outcome = rows.groupby("key").outcome.first().to_dict()
    assert outcome == {
        "constant": "constant",
        "two points": "young",
        "gaps": "intermittent",
        "ended": "dormant",
        "never": "dormant",
    }
    flat = rows[rows.key == "constant"]
    assert (flat[["mean", *BANDS]] == 3).all().all()
    assert (rows[rows.outcome == "dormant"][["mean", *BANDS]] == 0).all().all()
    gap = rows[rows.key == "gaps"]
    assert gap["mean"].sum() == pytest.approx(28 * 6 * 0.25, rel=0.5)
    young = rows[rows.key == "two points"]
    assert young.method.unique().tolist() == ["shrunk_weekday_mean"]
    assert 0 < young["mean"].sum() < 28


def test_the_choice_is_evaluated_on_held_out_dates(series: pd.DataFrame) -> None:
    panel = daily_panel(series, AS_OF)
    evaluation = evaluate_period(panel, candidates(), 28, DemandSettings())
    held_out = evaluation.held_out
    assert held_out.groupby("method").size().to_dict() == dict.fromkeys(
        ("chosen", "seasonal_naive", "eight_week_mean"), len(panel)
    )
    last = evaluation.backtest.origins[-2:]
    row = int(np.flatnonzero((panel.keys.key == "p1") & (panel.keys.measure == "units"))[0])
    paths = SeasonalNaive().paths(panel, evaluation.backtest.origins, 28)[row, -2:]
    actual = panel.values[row, last[:, None] + np.arange(28)]
    naive = held_out[(held_out.key == "p1") & (held_out.measure == "units")].set_index("method").mase
    scale = evaluation.backtest.scales[0][row]
    assert naive["seasonal_naive"] == pytest.approx(np.abs(paths - actual).mean() / scale)
    assert naive["chosen"] < naive["seasonal_naive"]
    young = evaluate_period(panel.latest(230), candidates(), 28, DemandSettings())
    assert young.backtest.origins.size == 2 and young.held_out.empty
    assert set(young.held_out.columns) == set(held_out.columns)


def test_a_shop_with_a_few_days_gets_forecasts() -> None:
    for size in (1, 3, 10, 40):
        as_of = date(2023, 1, 2) + pd.Timedelta(days=size)
        rows = forecast(shop(as_of=as_of), as_of).forecasts
        assert not rows.isna().any().any()
        assert set(rows.outcome) <= {"young", "constant", "regular", "intermittent", "dormant"}


def test_a_history_of_ten_years_is_cut_to_the_setting() -> None:
    values = np.random.default_rng(3).poisson(20.0, (1, 3650)).astype(float)
    values[0, :2000] *= 50  # a different shop in those years
    panel = panel_of(values)
    frame = pd.DataFrame({**dict(panel.keys.iloc[0]), "day": panel.dates, "value": values[0]})
    as_of = panel.dates[-1] + pd.Timedelta(days=1)
    done = forecast(frame, as_of.date())
    assert done.days.size == 4 * 364
    assert done.forecasts[done.forecasts.period == "day"]["mean"].mean() == pytest.approx(20, rel=0.1)


# ---------------------------------------------------------------------------- promotions, resuming


def test_a_planned_promotion_raises_the_forecast() -> None:
    days = days_of()
    rng = np.random.default_rng(8)
    ahead = pd.date_range(AS_OF, periods=28)
    promoted = (days.day <= 5) & (days.month % 2 == 0)
    value = rng.poisson(expected(30.0, days) * np.where(promoted, 2.5, 1.0)).astype(float)
    frame = pd.DataFrame({"level": "product", "key": "a", "measure": "units", "day": days, "value": value})
    planned = ahead[7:10]
    promotions = pd.DataFrame(
        {"level": "product", "key": "a", "day": [*days[promoted], *planned], "discount": 0.3}
    )
    plain = daily_panel(frame, AS_OF)
    knows = with_promotions(plain, promotions, 28)
    for method in [CalendarRegression(), *(m for m in candidates() if m.name in ("boosting", "arima"))]:
        now = np.array([plain.size])
        lift = method.paths(knows, now, 28)[0, 0, 7:10] / method.paths(plain, now, 28)[0, 0, 7:10]
        assert (lift > 1.4).all(), method.name
        assert (lift < 4).all(), method.name


def test_a_killed_forecast_resumes(series: pd.DataFrame, done: DemandForecast, tmp_path: Path) -> None:
    killed_after = 5

    class KilledError(Exception):
        pass

    keep = checkpointed_run(tmp_path)
    asked: list[str] = []

    def dying(method: Method, panel: object, origins: object, horizon: int) -> Ran:
        if len(asked) == killed_after:
            raise KilledError
        asked.append(method.name)
        return keep(method, panel, origins, horizon)  # type: ignore[arg-type]

    with pytest.raises(KilledError):
        forecast(series, AS_OF, run=dying)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == killed_after
    again = forecast(series, AS_OF, run=keep)
    pd.testing.assert_frame_equal(again.forecasts, done.forecasts)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name in kept} == kept
    late = series.assign(value=np.where(series.index == 7, series.value + 1, series.value))
    before = len(list(tmp_path.iterdir()))
    forecast(late, AS_OF, run=keep)
    assert len(list(tmp_path.iterdir())) == 2 * before
