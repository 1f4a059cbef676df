"""The mean of eight weeks serves where no forecasts passed their gate: its values against pandas."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.demand.baseline import baseline_key, baseline_policies
from clm_dagster.domains.demand.model import evaluate_candidates, forecast_rows, panels_of, predict_panels
from clm_dagster.domains.demand.names import DAY, WEEK
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.served import pack, unpack
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster_tests.domains.demand.shop import AS_OF, only_methods, shop

SETTINGS = DemandSettings()


@pytest.fixture(scope="module")
def policies() -> Iterator[dict[str, ForecastPolicy]]:
    with only_methods("seasonal_naive", "eight_week_mean", "regression"):
        evaluations = evaluate_candidates(panels_of(shop(), AS_OF, SETTINGS), SETTINGS)
        chosen = {period: evaluation.policy for period, evaluation in evaluations.items()}
        yield chosen | baseline_policies(evaluations)


def forecasts(policies: dict[str, ForecastPolicy]) -> pd.DataFrame:
    served = {period: policies[baseline_key(period)] for period in (DAY, WEEK)}
    return forecast_rows(predict_panels(served, panels_of(shop(), AS_OF, SETTINGS), SETTINGS))


def test_every_series_gets_the_mean_of_eight_weeks(policies: dict[str, ForecastPolicy]) -> None:
    rows, sold = forecasts(policies), shop()
    assert set(rows.method) == {"eight_week_mean"}
    last = sold[sold.day >= pd.Timestamp(AS_OF) - pd.Timedelta(weeks=8)]
    for (level, key, measure), mine in rows[rows.measure == "units"].groupby(["level", "key", "measure"]):
        history = last[(last.level == level) & (last.key == key) & (last.measure == measure)]
        by_weekday = (
            history.groupby(history.day.dt.day_of_week).value.sum().reindex(range(7), fill_value=0) / 8
        )
        days = mine[mine.period == DAY]
        np.testing.assert_allclose(days["mean"], by_weekday[days.date.dt.day_of_week], atol=0.011)
        weeks = mine[mine.period == WEEK]
        np.testing.assert_allclose(weeks["mean"], history.value.sum() / 8, rtol=0.001)


def test_its_bands_come_from_its_own_errors(policies: dict[str, ForecastPolicy]) -> None:
    rows = forecasts(policies)
    assert (np.diff(rows[["q025", "q10", "q50", "q90", "q975"]], axis=1) >= 0).all()
    own, other = policies[baseline_key(DAY)], policies[DAY]
    assert own.paths.shape == other.paths.shape and not np.allclose(own.paths, other.paths)


def test_the_registered_model_holds_both(policies: dict[str, ForecastPolicy]) -> None:
    back = unpack(pack(policies))
    assert set(back) == {DAY, WEEK, baseline_key(DAY), baseline_key(WEEK)}
    pd.testing.assert_frame_equal(forecasts(dict(back)), forecasts(policies))
