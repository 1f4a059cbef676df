"""The rules of demand as scikit-learn and MLflow see them: one estimator, from a history to its forecasts.

Belongs here: the way into MLflow and back. Does not: MLflow itself, how forecasts are made.

The file in MLflow (skops) holds arrays and JSON: no code, and no type but scikit-learn's, numpy's and ours.
"""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.demand.model import DAY, DemandSettings, forecasts_of, look_ahead_of, panels_of
from clm_dagster.domains.demand.rules import Rules
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.statistics.forecasting.css import Floats

TRUSTED = ("clm_dagster.domains.demand.served.DemandForecaster", "numpy.dtype")
PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "statsmodels", "skops")
_EXAMPLE_DAYS, _EXAMPLE_SERIES = 120, 2


class DemandForecaster(BaseEstimator):
    """Forecasts of series from the day after the last one given."""

    def __init__(self, arrays: dict[str, Floats], about: str) -> None:
        self.arrays = arrays
        self.about = about

    def fit(self, x: pd.DataFrame, y: object = None) -> "DemandForecaster":
        """It is fitted already: a contest makes it."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """From level, key, measure, day, value to period, level, key, measure, date, mean, q025 to q975 and more."""
        as_of = (pd.to_datetime(x["day"]).max() + pd.Timedelta(days=1)).date()
        settings = DemandSettings()
        return forecasts_of(look_ahead_of(to_rules(self), panels_of(x, as_of, settings), settings))


def served(rules: Mapping[str, Rules]) -> DemandForecaster:
    """The rules of each period as one estimator."""
    arrays = {f"{period}/{name}": array for period, r in rules.items() for name, array in r.arrays().items()}
    return DemandForecaster(arrays, json.dumps({period: r.about() for period, r in rules.items()}))


def to_rules(estimator: DemandForecaster) -> dict[str, Rules]:
    """The rules that `served` took apart."""
    return {
        period: Rules.from_parts(
            about,
            {
                name.removeprefix(f"{period}/"): np.asarray(array)
                for name, array in estimator.arrays.items()
                if name.startswith(f"{period}/")
            },
        )
        for period, about in json.loads(estimator.about).items()
    }


def example(series: pd.DataFrame, rules: Mapping[str, Rules]) -> pd.DataFrame:
    """The last days of two series, as the served model takes them."""
    wanted = rules[DAY].keys.head(_EXAMPLE_SERIES)
    rows = series.merge(wanted[KEYS], on=KEYS)
    days = pd.to_datetime(rows["day"])
    rows = rows.assign(day=days, value=rows["value"].astype(float))
    return rows[days > days.max() - pd.Timedelta(days=_EXAMPLE_DAYS)].reset_index(drop=True)
