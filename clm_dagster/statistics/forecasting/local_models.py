"""Models of a single series: ARIMA, exponential smoothing, Theta, unobserved components.

Belongs here: fitting each model to parameters that JSON can store, and forecasting with these parameters after any
later history. Does not: the choice of series and days, which is up to the caller.
"""

from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import inv_boxcox
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing
from statsmodels.tsa.seasonal import seasonal_decompose
from statsmodels.tsa.statespace.structural import UnobservedComponents

from clm_dagster.statistics.forecasting.arima import Arima, auto_arima, fit_arima
from clm_dagster.statistics.forecasting.css import CssFit, Floats, Orders
from clm_dagster.statistics.forecasting.transforms import choose_power, transformed

# The fitted parameters of a model: numbers, strings, and lists of them.
FittedParameters = dict[str, Any]


class LocalModel(Protocol):
    """The interface of a model of one series."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """Fit to a history (n,) with a season (1 for none) and regressors (n, k)."""

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """Return the mean forecast after a history (n,), which may be longer, with regressors (n + horizon, k)."""


class ArimaModel:
    """ARIMA with searched orders; forecasts are means on the original scale of the series."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        model, power = search_arima(history, season, x)
        return {
            "orders": asdict(model.orders),
            "parameters": model.css.parameters.tolist(),
            "power": power,
            "regressors": model.regressors.shape[1],
            "variance": model.css.sigma2,
        }

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        fit = CssFit(
            Orders(**parameters["orders"]), np.array(parameters["parameters"]), np.zeros(0), converged=True
        )
        used, power = x[:, : parameters["regressors"]], float(parameters["power"])
        path = fit.forecast(transformed(known, power), used[: known.size], used[known.size :])
        return back_to_mean(path, power, parameters["variance"])


class SmoothingModel:
    """Holt-Winters with an additive season and no trend, by statsmodels."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        found = self._model(history, season).fit().params
        names = ("smoothing_level", *(("smoothing_seasonal",) if season > 1 else ()))
        return {name: float(found[name]) for name in names}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        fitted = self._model(known, season).fit(optimized=False, **parameters)
        return np.asarray(fitted.forecast(len(x) - known.size))

    @staticmethod
    def _model(known: Floats, season: int) -> ExponentialSmoothing:
        seasonal = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
        start = "heuristic" if known.size >= 10 + 2 * season else "estimated"
        return ExponentialSmoothing(known, initialization_method=start, **seasonal)


class ThetaMethod:
    """The Theta method (Assimakopoulos and Nikolopoulos 2000) with additive deseasonalisation.

    statsmodels tests for a season and estimates the smoothing constant. A longer history is smoothed with the same
    constant, with half the slope of its trend as drift, which is equivalent to the method (Hyndman and Billah 2003).
    """

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        model = ThetaModel(
            pd.Series(history), period=max(season, 1), deseasonalize=season > 1, method="additive"
        )
        found = model.fit()
        seasonal = season > 1 and bool(np.ptp(found.forecast_components(season)["seasonal"]) > 0)
        return {"alpha": float(found.params["alpha"]), "seasonal": seasonal}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        alpha, horizon = parameters["alpha"], len(x) - known.size
        pattern = np.zeros(1)
        if parameters["seasonal"]:
            pattern = seasonal_decompose(known, model="additive", period=season).seasonal[:season]
        level = known - np.resize(pattern, known.size)
        slope = np.polyfit(np.arange(known.size), level, 1)[0]
        smooth, _ = lfilter([alpha], [1, alpha - 1], level, zi=[(1 - alpha) * level[0]])
        reach = np.arange(horizon) + (1 - (1 - alpha) ** known.size) / max(alpha, 1e-8)
        season_ahead = np.resize(np.roll(pattern, -(known.size % pattern.size)), horizon)
        path: Floats = smooth[-1] + slope / 2 * reach + season_ahead
        return path


class ComponentsModel:
    """Unobserved components: a local level and a stochastic season (Harvey 1989), by statsmodels."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        found = self._model(history, season).fit(disp=0, maxiter=50, cov_type="none")
        return {"parameters": np.asarray(found.params).tolist()}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        filtered = self._model(known, season).filter(np.array(parameters["parameters"]), cov_type="none")
        return np.asarray(filtered.forecast(len(x) - known.size))

    @staticmethod
    def _model(known: Floats, season: int) -> UnobservedComponents:
        return UnobservedComponents(known, level="llevel", seasonal=season if season > 1 else None)


def search_arima(history: Floats, season: int, x: Floats) -> tuple[Arima, float]:
    """Return the selected ARIMA of a history, and the power of its scale, chosen by `transforms.choose_power`.

    The orders are searched with the discount as the only regressor, if there is one. Then zero, one or two pairs
    of yearly regressors are selected by AICc.
    """
    power = choose_power(history, season)
    scaled = transformed(history, power)
    discounts = x.shape[1] % 4  # the discount column, if present, comes first
    model = auto_arima(scaled, season, x[:, :discounts])
    for kept in range(discounts + 2, x.shape[1] + 1, 2):
        with_year = replace(fit_arima(scaled, model.orders, x[:, :kept]), tried=model.tried)
        model = min(model, with_year, key=lambda fitted: fitted.css.aicc)
    return model, power


def back_to_mean(path: Floats, power: float, variance: float) -> Floats:
    """Transform a path back to the mean on the original scale, with a second-order bias correction."""
    if power == 1:
        return path
    if power == 0:
        return np.expm1(np.minimum(path, 50) + variance / 2)
    mean: Floats = np.maximum(inv_boxcox(np.maximum(path, -1 / power), power), 0) + (
        variance / 4 if power == 0.5 else 0
    )
    return mean
