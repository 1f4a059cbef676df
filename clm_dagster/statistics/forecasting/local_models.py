"""Models of one series: ARIMA, exponential smoothing, Theta, unobserved components.

Belongs here: for each of them the parameters fitted on a history, as plain numbers that JSON can hold, and the path
after any later history by these parameters. Does not: which days of which series, which is the caller's choice.
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

# What a model has fitted on a series: numbers, texts and lists of them.
FittedParameters = dict[str, Any]


class LocalModel(Protocol):
    """What a model of one series can do."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """Fit on a history (n,), its season (1: none) and regressors (n, k)."""

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """Return the mean path after a history (n,), maybe a longer one, with regressors (n + horizon, k)."""


class ArimaModel:
    """Orders by search; forecasts come back to the mean on the series' own scale."""

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
    """Holt-Winters: additive season, level without trend, by statsmodels."""

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
    """The Theta method (Assimakopoulos and Nikolopoulos 2000), season taken off by addition.

    statsmodels tests for the season and finds the smoothing constant. A longer history runs through the
    same smoothing with half the slope of its own trend as drift, which is what the method is (Hyndman and
    Billah 2003).
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
        return smooth[-1] + slope / 2 * reach + season_ahead


class ComponentsModel:
    """Unobserved components: a local level and a season that may change (Harvey 1989), by statsmodels."""

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
    """The ARIMA of a history, and the power whose scale it is on, by the rule of `transforms`.

    Orders are searched with the discount, if there is one; then none, one or two yearly pairs by AICc.
    """
    power = choose_power(history, season)
    scaled = transformed(history, power)
    always = x.shape[1] % 4  # the discount, where there is one, comes first
    model = auto_arima(scaled, season, x[:, :always])
    for kept in range(always + 2, x.shape[1] + 1, 2):
        with_year = replace(fit_arima(scaled, model.orders, x[:, :kept]), tried=model.tried)
        model = min(model, with_year, key=lambda fitted: fitted.css.aicc)
    return model, power


def back_to_mean(path: Floats, power: float, variance: float) -> Floats:
    """From the transformed scale to the mean on the series' own: a second-order correction for its curve."""
    if power == 1:
        return path
    if power == 0:
        return np.expm1(np.minimum(path, 50) + variance / 2)
    return np.maximum(inv_boxcox(np.maximum(path, -1 / power), power), 0) + (
        variance / 4 if power == 0.5 else 0
    )
