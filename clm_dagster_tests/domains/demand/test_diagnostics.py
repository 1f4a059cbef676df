"""Diagnostics of an ARIMA, and the accuracy of forecasts compared with actual sales."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.diagnostic import acorr_ljungbox

from clm_dagster.domains.demand.accuracy import COLUMNS, realised_accuracy
from clm_dagster.domains.demand.diagnostics import diagnose_arima
from clm_dagster.domains.demand.series import weekly_panel
from clm_dagster_tests.domains.demand.shop import days_of, expected, panel_of

DAYS = days_of()


def test_diagnostics_of_an_arima() -> None:
    rng = np.random.default_rng(21)
    panel = panel_of(np.stack([rng.poisson(expected(40.0, DAYS)).astype(float), np.full(DAYS.size, 2.0)]))
    found = diagnose_arima(panel, 0)
    assert found.arima.orders.season == 6
    assert str(found.arima.orders).startswith("ARIMA(")
    assert len(found.dates) == found.arima.series.size
    assert not (found.dates.day_of_week == 5).any()
    assert found.ljung_box.lag.tolist() == [6, 12, 24]
    by_hand = acorr_ljungbox(found.residuals, lags=[12])["lb_stat"].iloc[0]
    assert found.ljung_box.statistic[1] == pytest.approx(by_hand)
    assert (found.ljung_box.p_value > 0.001).all()
    assert found.residuals.std() == pytest.approx(1, abs=0.1)
    assert "SARIMAX Results" in found.text
    assert diagnose_arima(weekly_panel(panel), 0).arima.orders.season == 1
    with pytest.raises(ValueError, match="constant"):
        diagnose_arima(panel, 1)


def test_yearly_terms_need_two_years_of_history() -> None:
    """Three years with a strong yearly wave: Fourier terms are selected; in the first two years there are none."""
    days = pd.date_range("2021-01-04", periods=1100)
    wave = np.sin(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
    panel = panel_of(np.random.default_rng(22).normal(100 + 40 * wave, 6)[None], first=days[0].date())
    assert diagnose_arima(panel, 0).arima.regressors.shape[1] >= 2
    assert diagnose_arima(panel.until(700), 0).arima.regressors.shape[1] == 0


def test_accuracy_is_measured_once_the_sales_are_known() -> None:
    rng = np.random.default_rng(23)
    days = pd.date_range("2024-07-01", periods=14)
    value = rng.poisson(9.0, 14).astype(float)
    keys = {"level": "product", "key": "a", "measure": "units"}
    series = pd.DataFrame({**keys, "day": [pd.Timestamp("2024-06-01"), *days], "value": [1.0, *value]})
    bands = {"mean": 9.0, "q025": 4.0, "q10": 6.0, "q90": 12.0, "q975": 15.0}
    forecasts = pd.concat(
        [
            pd.DataFrame({"period": "day", **keys, "date": days, **bands}),
            pd.DataFrame(
                {"period": "week", **keys, "date": days[::7], **{name: 7 * v for name, v in bands.items()}}
            ),
            pd.DataFrame({"period": "day", **keys | {"key": "gone"}, "date": days, **bands}),
        ],
        ignore_index=True,
    )
    until = pd.Timestamp("2024-07-11")
    found = realised_accuracy(forecasts, series[series.day < until], until)
    assert tuple(found.columns) == COLUMNS
    found = found.set_index(["period", "key"]).sort_index()
    day, week, gone = (found.T[key] for key in (("day", "a"), ("week", "a"), ("day", "gone")))
    actual = value[:10]
    assert (day.steps, week.steps, gone.steps) == (10, 1, 10)
    assert day.wape == pytest.approx(np.abs(actual - 9).sum() / actual.sum())
    assert day.bias == pytest.approx((9 - actual).sum() / actual.sum())
    assert day.coverage_80 == pytest.approx(((actual >= 6) & (actual <= 12)).mean())
    assert week.actual == value[:7].sum()
    assert np.isnan(gone.wape)
    assert gone.coverage_95 == 0
    assert realised_accuracy(forecasts, series, pd.Timestamp("2024-07-01")).empty
