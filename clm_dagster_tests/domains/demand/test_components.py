"""Trend, season, holidays and anomalies of days with known components."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.components import COLUMNS, components
from clm_dagster_tests.domains.demand.shop import CHRISTMAS, WEEK, days_of, expected, panel_of


@pytest.fixture(scope="module")
def parts() -> pd.DataFrame:
    days = days_of()
    rng = np.random.default_rng(12)
    growth = np.linspace(80, 160, days.size)
    value = rng.poisson(expected(1.0, days) * growth).astype(float)
    value[days == "2023-08-09"] += 150  # a Wednesday
    value[days == "2024-02-13"] = 2.0  # a Tuesday
    short = np.zeros(days.size)
    short[-20:] = 4.0
    return components(panel_of(np.stack([value, short])))


def test_components_sum_to_the_value(parts: pd.DataFrame) -> None:
    assert tuple(parts.columns) == COLUMNS
    np.testing.assert_allclose(
        parts.value, parts.trend + parts.seasonal + parts.holiday + parts.remainder, atol=1e-9
    )


def test_trend_and_season_are_estimated(parts: pd.DataFrame) -> None:
    days = parts[(parts.key == "k0") & (parts.day_kind == "open")]
    truth = np.linspace(80, 160, len(days_of()))[np.isin(days_of(), days.date)]
    mean = WEEK[WEEK > 0].mean()
    middle = slice(60, -60)
    np.testing.assert_allclose(days.trend.to_numpy()[middle], truth[middle] * mean, rtol=0.08)
    friday = days[days.date.dt.day_of_week == 4]
    assert (friday.seasonal / friday.trend).mean() == pytest.approx(WEEK[4] / mean - 1, abs=0.05)


def test_a_holiday_costs_the_expected_sales(parts: pd.DataFrame) -> None:
    days = parts[parts.key == "k0"].set_index("date")
    for day in pd.to_datetime([*CHRISTMAS]):
        assert days.day_kind[day] == "holiday"
        assert days.holiday[day] == pytest.approx(-days.trend[day] - days.seasonal[day])
        assert not days.is_anomaly[day]
    assert set(days.day_kind[pd.DatetimeIndex(days.index).day_of_week == 5]) == {"closed"}
    assert (days.holiday[days.day_kind == "open"] == 0).all()


def test_anomalies_are_the_planted_days(parts: pd.DataFrame) -> None:
    odd = parts[(parts.key == "k0") & parts.is_anomaly].set_index("date")
    assert {"2023-08-09", "2024-02-13"} <= {str(day.date()) for day in odd.index}
    assert len(odd) <= 4
    assert odd.anomaly_size[pd.Timestamp("2023-08-09")] == pytest.approx(150, abs=45)
    assert odd.anomaly_size[pd.Timestamp("2024-02-13")] < -100
    assert (parts.anomaly_size[~parts.is_anomaly] == 0).all()


def test_the_trend_of_a_short_series_is_its_mean(parts: pd.DataFrame) -> None:
    short = parts[parts.key == "k1"]
    assert len(short) == 20
    assert (short[short.day_kind == "open"].trend == 4).all()
    assert not short.is_anomaly.any()
