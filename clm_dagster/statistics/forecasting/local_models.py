"""Models of a single series: ARIMA, exponential smoothing, Theta, unobserved components.

Belongs here: fitting each model to parameters that JSON can store, and forecasting with these parameters after any
later history. Does not: the choice of series and days, which is up to the caller.
"""

from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
from scipy.special import inv_boxcox

from clm_dagster.statistics.forecasting.arima import LEAST_ROOT, Arima, auto_arima, fit_arima
from clm_dagster.statistics.forecasting.css import CssFit, Floats, Orders
from clm_dagster.statistics.forecasting.smoothing import (
    additive_season,
    fit_level,
    fit_smoothing,
    has_season,
    smoothed_path,
    theta_path,
)
from clm_dagster.statistics.forecasting.structural import fit_structural, structural_path
from clm_dagster.statistics.forecasting.transforms import choose_power, transformed

# The fitted parameters of a model: numbers, strings, and lists of them.
FittedParameters = dict[str, Any]


class LocalModel(Protocol):
    """The interface of a model of one series."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """Fit to a history (n,) with a season (1 for none) and regressors (n, k)."""

    def refit(self, history: Floats, season: int, x: Floats, earlier: FittedParameters) -> FittedParameters:
        """Fit to a history from the parameters of its beginning; what is costly to choose is kept."""

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """Return the mean forecast after a history (n,), which may be longer, with regressors (n + horizon, k)."""


class FitsAgain:
    """A model that is cheap to fit: a longer history has a new fit."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        raise NotImplementedError

    def refit(self, history: Floats, season: int, x: Floats, earlier: FittedParameters) -> FittedParameters:
        """See LocalModel."""
        return self.fit(history, season, x)


class ArimaModel:
    """ARIMA with searched orders; forecasts are means on the original scale of the series."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        return self._stored(*search_arima(history, season, x))

    def refit(self, history: Floats, season: int, x: Floats, earlier: FittedParameters) -> FittedParameters:
        """Keep orders, regressors and scale, and estimate the coefficients; search again where they do not fit."""
        orders, power = Orders(**earlier["orders"]), float(earlier["power"])
        used, start = x[:, : earlier["regressors"]], np.array(earlier["parameters"])
        model = fit_arima(transformed(history, power), orders, used, start)
        if not model.css.polynomials.has_roots_beyond(LEAST_ROOT):
            return self.fit(history, season, x)
        return self._stored(model, power)

    @staticmethod
    def _stored(model: Arima, power: float) -> FittedParameters:
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


class SmoothingModel(FitsAgain):
    """Holt-Winters with an additive season and no trend."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        level, seasonal = fit_smoothing(history, season)
        return {"smoothing_level": level, "smoothing_seasonal": seasonal}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        level, seasonal = parameters["smoothing_level"], parameters.get("smoothing_seasonal", 0.0)
        return smoothed_path(known, season, level, seasonal, len(x) - known.size)


class ThetaMethod(FitsAgain):
    """The Theta method (Assimakopoulos and Nikolopoulos 2000) with additive deseasonalisation.

    Whether there is a season is tested, and the smoothing constant estimated, on the history. A longer history keeps
    both.
    """

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        seasonal = season > 1 and has_season(history, season)
        rest = history - np.resize(additive_season(history, season), history.size) if seasonal else history
        return {"alpha": fit_level(rest), "seasonal": seasonal}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        used = season if parameters["seasonal"] else 1
        return theta_path(known, used, parameters["alpha"], len(x) - known.size)


class ComponentsModel(FitsAgain):
    """Unobserved components: a local level, a stochastic season and noise."""

    def fit(self, history: Floats, season: int, x: Floats) -> FittedParameters:
        """See LocalModel."""
        level, seasonal = fit_structural(history, season)
        return {"level": level, "seasonal": seasonal}

    def path(self, parameters: FittedParameters, season: int, known: Floats, x: Floats) -> Floats:
        """See LocalModel."""
        if "parameters" in parameters:
            # A model that was registered before 2026-12 has the variances of statsmodels.
            noise, *others = parameters["parameters"]
            level, seasonal = [one / max(noise, 1e-9 * sum(others), 1e-300) for one in (*others, 0.0)[:2]]
        else:
            level, seasonal = parameters["level"], parameters["seasonal"]
        return structural_path(known, season, (level, seasonal), len(x) - known.size)


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
