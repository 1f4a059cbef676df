"""The registered model of demand: one scikit-learn estimator that turns a sales history into forecasts.

Belongs here: conversion between policies and the estimator. Does not: MLflow itself, the forecasting.

The file in MLflow (skops) holds arrays, JSON and trees. It has no code, and only types of scikit-learn, numpy and this
package.
"""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor

from clm_dagster.domains.demand.model import forecast_rows, panels_of, predict_panels
from clm_dagster.domains.demand.names import DAY
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.table_settings import DemandSettings
from clm_dagster.platform.trained_models.examples import round_digits
from clm_dagster.statistics.forecasting.css import Floats

_EXAMPLE_DAYS, _EXAMPLE_SERIES = 120, 2


class DemandForecaster(BaseEstimator):
    """Estimator that forecasts series from the day after the last one of their history."""

    def __init__(
        self, arrays: dict[str, Floats], about: str, boosting: dict[str, HistGradientBoostingRegressor]
    ) -> None:
        self.arrays = arrays
        self.about = about
        self.boosting = boosting

    def fit(self, x: pd.DataFrame, y: object = None) -> "DemandForecaster":
        """Return self: the estimator is already fitted by an evaluation."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return forecasts of a history.

        x: level, key, measure, day, value. Columns of the result: those of `model.forecast_rows`.
        """
        as_of = (pd.to_datetime(x["day"]).max() + pd.Timedelta(days=1)).date()
        settings = DemandSettings()
        return forecast_rows(predict_panels(unpack(self), panels_of(x, as_of, settings), settings))


def pack(policies: Mapping[str, ForecastPolicy]) -> DemandForecaster:
    """Return the policies of all periods as one estimator."""
    arrays = {
        f"{period}/{name}": array
        for period, policy in policies.items()
        for name, array in policy.arrays().items()
    }
    return DemandForecaster(
        arrays,
        json.dumps({period: policy.about() for period, policy in policies.items()}),
        {period: policy.boosting for period, policy in policies.items() if policy.boosting is not None},
    )


def unpack(estimator: DemandForecaster) -> Mapping[str, ForecastPolicy]:
    """Return the policies of an estimator that `pack` made."""
    # Models that were registered before 2026-12 have no model of boosting; it is then fitted at each forecast.
    boosting = getattr(estimator, "boosting", {})
    return {
        period: ForecastPolicy.from_parts(
            about,
            {
                name.removeprefix(f"{period}/"): np.asarray(array)
                for name, array in estimator.arrays.items()
                if name.startswith(f"{period}/")
            },
            boosting.get(period),
        )
        for period, about in json.loads(estimator.about).items()
    }


def typical_weeks(series: pd.DataFrame) -> pd.DataFrame:
    """Return made-up days of the series: the rounded median of each weekday in place of every value."""
    weekday = pd.to_datetime(series["day"]).dt.day_of_week
    medians = series.groupby([*KEYS, weekday])["value"].transform("median")
    return series.assign(value=round_digits(medians))


def example(series: pd.DataFrame, policies: Mapping[str, ForecastPolicy]) -> pd.DataFrame:
    """Return the last days of two series, as input of the registered model."""
    wanted = policies[DAY].keys.head(_EXAMPLE_SERIES)
    rows = series.merge(wanted[KEYS], on=KEYS)
    days = pd.to_datetime(rows["day"])
    rows = rows.assign(day=days, value=rows["value"].astype(float))
    return rows[days > days.max() - pd.Timedelta(days=_EXAMPLE_DAYS)].reset_index(drop=True)
