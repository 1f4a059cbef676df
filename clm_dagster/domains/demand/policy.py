"""The forecast policy: which method forecasts which series, and the backtest errors behind its intervals.

Belongs here: the stored result of an evaluation, and looking up its series in a later panel. Does not: the evaluation
(`model`), forecasts (`predict`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from clm_dagster.domains.demand.backtest import COMBINATION
from clm_dagster.domains.demand.names import BASELINES
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.domains.demand.series_class import CONSTANT, DORMANT, EVALUATED, FALLBACK, ZERO
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import FittedParameters


def apply_fallbacks(
    weights: Floats, names: NDArray[np.object_], series_class: NDArray[np.str_], methods: Sequence[str]
) -> None:
    """Set the fixed method of their class for series that are not evaluated, in place."""
    fallback = np.isin(series_class, FALLBACK)
    weights[fallback], names[fallback] = np.array(methods) == BASELINES[1], BASELINES[1]
    names[series_class == CONSTANT], names[series_class == DORMANT] = CONSTANT, ZERO


@dataclass(frozen=True)
class ForecastPolicy:
    """The result of the evaluation of one period (days or weeks); each array has one row for each series.

    keys: level, key, measure. weights: (series, methods), rows sum to one. names: the method of each series, or
    `combination`. series_class: the class of each series at the evaluation. combined: the methods that are combined,
    by class; series that were not evaluated use them. first_origin: the first day that was forecast in the backtest;
    None where the history was too short. paths: the chosen forecasts (series, origins, steps). actual: likewise, NaN
    for series that began too late. variances: mean squared errors (series,). parameters: the fitted parameters of
    each series, by method, and boosting: the model of all series, so that later forecasts need no search and no fit
    (`predict.with_fitted_parameters`).
    """

    keys: pd.DataFrame
    methods: tuple[str, ...]
    weights: Floats
    names: tuple[str, ...]
    series_class: NDArray[np.str_]
    combined: Mapping[str, tuple[str, ...]]
    first_origin: pd.Timestamp | None
    paths: Floats
    actual: Floats
    variances: Floats
    parameters: Mapping[str, Sequence[FittedParameters]] = field(default_factory=dict)
    boosting: HistGradientBoostingRegressor | None = None

    def rows_of(self, keys: pd.DataFrame) -> NDArray[np.int64]:
        """Return the row of each series of `keys` in this policy, -1 for one that was not evaluated."""
        rows = self.keys.assign(row=np.arange(len(self.keys)))
        return keys[KEYS].merge(rows, on=KEYS, how="left")["row"].fillna(-1).to_numpy(dtype=np.int64)

    def methods_of(self, key: Sequence[str]) -> tuple[str, ...]:
        """Return the methods that forecast a series (level, key, measure)."""
        rows = (self.keys[KEYS] == list(key)).all(axis=1).to_numpy()
        used = np.flatnonzero((self.weights[rows] > 0).any(axis=0))
        return tuple(self.methods[at] for at in used)

    def weights_for(
        self, keys: pd.DataFrame, series_class: NDArray[np.str_]
    ) -> tuple[Floats, tuple[str, ...]]:
        """Return weights (series, methods) and method names for series by their present class.

        An evaluated series keeps its choice. A new series gets the combination of its class. A series that is now
        young, constant or dormant gets the fixed method of that class.
        """
        at = self.rows_of(keys)
        before = np.where(at >= 0, self.series_class[at], "")
        names = np.full(len(keys), COMBINATION, dtype=object)
        weights = np.stack([self._combination(name) for name in series_class])
        kept = np.isin(before, EVALUATED)
        weights[kept] = self.weights[at[kept]]
        names[kept] = np.array(self.names, dtype=object)[at[kept]]
        mean = np.array(self.methods) == BASELINES[1]
        names[~kept & (weights == mean).all(axis=1)] = BASELINES[1]
        apply_fallbacks(weights, names, series_class, self.methods)
        return weights, tuple(names)

    def _combination(self, series_class: str) -> Floats:
        known = [self.combined[name] for name in (series_class, *EVALUATED) if name in self.combined]
        kept = np.isin(self.methods, known[0] if known else BASELINES[1:])
        weights: Floats = kept / kept.sum()
        return weights

    def backtest_of(self, keys: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return the backtest paths and actual values of some series; NaN for those that were not evaluated."""
        at = self.rows_of(keys)
        unknown = (at < 0)[:, None, None]
        return np.where(unknown, np.nan, self.paths[at]), np.where(unknown, np.nan, self.actual[at])

    def variances_of(self, keys: pd.DataFrame, own: Floats) -> Floats:
        """Return mean squared errors of some series; `own` for those that were not evaluated."""
        at = self.rows_of(keys)
        return np.where(at >= 0, self.variances[at], own)

    def parameters_of(self, method: str, keys: pd.DataFrame) -> list[FittedParameters | None]:
        """Return a method's fitted parameters of some series; None for those that it was not fitted on."""
        known = self.parameters.get(method, ())
        return [known[at] if at >= 0 and known else None for at in self.rows_of(keys)]

    # ------------------------------------------------------------------------ storage

    def arrays(self) -> dict[str, Floats]:
        """Return the part that is stored as arrays."""
        return {
            "weights": self.weights,
            "paths": self.paths,
            "actual": self.actual,
            "variances": self.variances,
        }

    def about(self) -> dict[str, Any]:
        """Return the part that is stored as JSON."""
        return {
            "keys": self.keys[KEYS].to_numpy().tolist(),
            "methods": list(self.methods),
            "names": list(self.names),
            "series_class": self.series_class.tolist(),
            "parameters": {method: list(found) for method, found in self.parameters.items()},
            "combined": {name: list(methods) for name, methods in self.combined.items()},
            "first_origin": None if self.first_origin is None else str(self.first_origin.date()),
        }

    @classmethod
    def from_parts(
        cls,
        about: Mapping[str, Any],
        arrays: Mapping[str, Floats],
        boosting: HistGradientBoostingRegressor | None = None,
    ) -> "ForecastPolicy":
        """Return the policy from the results of `about` and `arrays`, and its model of boosting."""
        first = about["first_origin"]
        return cls(
            keys=pd.DataFrame(about["keys"], columns=KEYS),
            methods=tuple(about["methods"]),
            names=tuple(about["names"]),
            series_class=np.array(about["series_class"]),
            combined={name: tuple(methods) for name, methods in about["combined"].items()},
            parameters=about["parameters"],
            first_origin=None if first is None else pd.Timestamp(first),
            weights=arrays["weights"],
            paths=arrays["paths"],
            actual=arrays["actual"],
            variances=arrays["variances"],
            boosting=boosting,
        )
