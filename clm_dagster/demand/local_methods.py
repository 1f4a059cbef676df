"""Methods that fit one series at a time: ARIMA, exponential smoothing, Theta, unobserved components.

Belongs here: each of them over the open days of a series. Does not: methods that are one array operation
for all series (`panel_methods`).

A series is its open days alone, and its season their number in a week: closed weekdays are forecast as
zero and teach nothing. Shut days are mended. Orders and parameters are learnt before the first origin; at
later origins the same model is run over the longer history, so that a backtest costs one search.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import inv_boxcox
from statsmodels.tools.sm_exceptions import ConvergenceWarning
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing
from statsmodels.tsa.seasonal import seasonal_decompose
from statsmodels.tsa.statespace.structural import UnobservedComponents

from clm_dagster.demand.arima import Arima, auto_arima, fit_arima
from clm_dagster.demand.css import Floats
from clm_dagster.demand.panel_methods import closed_as_zero
from clm_dagster.demand.series import Panel, mended
from clm_dagster.demand.transforms import choose_power, transformed

Ints = NDArray[np.int64]
Fitted = Callable[[Floats, Floats], Floats]
"""From a history, at least as long as the one learnt from, and regressors (history + horizon, k) to a path."""
Learn = Callable[[Floats, int, Floats], Fitted]
"""From a history, its season and regressors (history, k) to the fitted model."""

LEAST_SEASONS = 3
"""Seasons of history that a seasonal model needs; below them a series has none."""
LEAST_VALUES = 8
"""Values that any model needs; below them the mean of what is known is the forecast."""
LEAST_DISCOUNTS = 5
"""Days of promotion from which on their effect is estimated."""
YEAR = 365.25
CEILING = 2.0
"""No forecast is more than this many times the greatest value seen: models of a short history explode."""


@dataclass(frozen=True)
class LocalMethod:
    """A model of one series, run over every series of a panel."""

    name: str
    learn: Learn
    jobs: int = field(default=1, compare=False)
    """Processes to share the series among; the answer does not depend on it."""

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See panel_methods.Method."""
        histories = mended(panel)
        begins = panel.begins
        is_open = panel.open_weekdays(int(origins[0]))
        weekdays = np.arange(panel.size + horizon) + int(panel.dates[0].weekday())
        work = (
            delayed(_one)(
                self.learn, histories[i], int(begins[i]), is_open[i][weekdays % 7] if panel.step == 1 else None,
                regressors(panel, i, int(origins[0]), horizon), origins, horizon,
            )
            for i in range(len(panel))
        )  # fmt: skip
        found = Parallel(n_jobs=self.jobs)(work)
        return closed_as_zero(np.stack(found), panel, origins)


def _one(
    learn: Learn,
    values: Floats,
    begin: int,
    is_open: NDArray[np.bool_] | None,
    x: Floats,
    origins: Ints,
    horizon: int,
) -> Floats:
    """Paths (origins, horizon) of one series; is_open (periods + horizon), None for weeks; x the regressors."""
    use = np.ones(values.size + horizon, dtype=bool) if is_open is None else is_open.copy()
    season = 1 if is_open is None else int(is_open[:7].sum())
    use[:begin] = False
    paths = np.zeros((origins.size, horizon))
    history = values[: origins[0]][use[: origins[0]]]
    if history.size == 0:
        return paths
    fitted = _learn_quietly(learn, history, season, x[: origins[0]][use[: origins[0]]])
    top = CEILING * float(history.max(initial=0))
    for j, origin in enumerate(origins):
        known = values[:origin][use[:origin]]
        ahead = use[origin : origin + horizon]
        path = fitted(known, x[: origin + horizon][use[: origin + horizon]]) if ahead.any() else np.zeros(0)
        top = max(top, CEILING * float(known.max(initial=0)))
        paths[j, ahead] = np.clip(path, 0, top)
    return paths


def _learn_quietly(learn: Learn, history: Floats, season: int, x: Floats) -> Fitted:
    if history.size < LEAST_VALUES or np.ptp(history) == 0:
        return _mean_of_known
    with warnings.catch_warnings():
        # A model that does not converge is judged by its backtest like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return learn(history, season if history.size >= LEAST_SEASONS * season else 1, x)


def _mean_of_known(known: Floats, x: Floats) -> Floats:
    return np.full(len(x) - known.size, known.mean() if known.size else 0.0)


def regressors(panel: Panel, row: int, learnt: int, horizon: int) -> Floats:
    """Regressors of a series (periods + horizon, k): the discount, and two pairs of yearly Fourier terms.

    The discount is left out where there were fewer than five days of it before `learnt`, the year where the
    series was known for less than two by then.
    """
    periods = panel.size + horizon
    columns = []
    discounts = panel.discounts_until(periods)
    if discounts is not None and (discounts[row, :learnt] > 0).sum() >= LEAST_DISCOUNTS:
        columns.append(discounts[row])
    if (learnt - panel.begins[row]) * panel.step >= 2 * YEAR:
        angle = 2 * np.pi * panel.ahead(0, periods).day_of_year.to_numpy() / YEAR
        columns += [wave(pair * angle) for pair in (1, 2) for wave in (np.sin, np.cos)]
    return np.column_stack(columns) if columns else np.zeros((periods, 0))


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


def learn_arima(history: Floats, season: int, x: Floats) -> Fitted:
    """Orders by search; forecasts come back to the mean on the series' own scale."""
    model, power = search_arima(history, season, x)
    used, spread = model.regressors.shape[1], model.css.sigma2

    def forecast(known: Floats, x: Floats) -> Floats:
        ahead = x[model.series.size :, :used]
        path = model.mean(len(x) - known.size, ahead, transformed(known, power))
        return back_to_mean(path, power, spread)

    return forecast


def back_to_mean(path: Floats, power: float, variance: float) -> Floats:
    """From the transformed scale to the mean on the series' own: a second-order correction for its curve."""
    if power == 1:
        return path
    if power == 0:
        return np.expm1(np.minimum(path, 50) + variance / 2)
    return np.maximum(inv_boxcox(np.maximum(path, -1 / power), power), 0) + (
        variance / 4 if power == 0.5 else 0
    )


def learn_smoothing(history: Floats, season: int, x: Floats) -> Fitted:
    """Holt-Winters: additive season, level without trend, by statsmodels."""
    seasonal = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}

    def model(known: Floats) -> ExponentialSmoothing:
        return ExponentialSmoothing(known, initialization_method="heuristic" if known.size >= 10 + 2 * season
                                    else "estimated", **seasonal)  # fmt: skip

    found = model(history).fit().params
    kept = {"smoothing_level": found["smoothing_level"]}
    if season > 1:
        kept["smoothing_seasonal"] = found["smoothing_seasonal"]

    def forecast(known: Floats, x: Floats) -> Floats:
        return np.asarray(model(known).fit(optimized=False, **kept).forecast(len(x) - known.size))

    return forecast


def learn_theta(history: Floats, season: int, x: Floats) -> Fitted:
    """The Theta method (Assimakopoulos and Nikolopoulos 2000), season taken off by addition.

    statsmodels tests for the season and finds the smoothing constant. A longer history runs through the
    same smoothing with half the slope of its own trend as drift, which is what the method is (Hyndman and
    Billah 2003).
    """
    model = ThetaModel(pd.Series(history), period=max(season, 1), deseasonalize=season > 1, method="additive")
    found = model.fit()
    alpha = float(found.params["alpha"])
    seasonal = season > 1 and bool(np.ptp(found.forecast_components(season)["seasonal"]) > 0)

    def forecast(known: Floats, x: Floats) -> Floats:
        horizon = len(x) - known.size
        pattern = np.zeros(1)
        if seasonal:
            pattern = seasonal_decompose(known, model="additive", period=season).seasonal[:season]
        level = known - np.resize(pattern, known.size)
        slope = np.polyfit(np.arange(known.size), level, 1)[0]
        smooth, _ = lfilter([alpha], [1, alpha - 1], level, zi=[(1 - alpha) * level[0]])
        reach = np.arange(horizon) + (1 - (1 - alpha) ** known.size) / max(alpha, 1e-8)
        season_ahead = np.resize(np.roll(pattern, -(known.size % pattern.size)), horizon)
        return smooth[-1] + slope / 2 * reach + season_ahead

    return forecast


def learn_components(history: Floats, season: int, x: Floats) -> Fitted:
    """Unobserved components: a local level and a season that may change (Harvey 1989), by statsmodels."""

    def model(known: Floats) -> UnobservedComponents:
        return UnobservedComponents(known, level="llevel", seasonal=season if season > 1 else None)

    parameters = model(history).fit(disp=0, maxiter=50, cov_type="none").params

    def forecast(known: Floats, x: Floats) -> Floats:
        return np.asarray(model(known).filter(parameters, cov_type="none").forecast(len(x) - known.size))

    return forecast


def local_methods(jobs: int = 1) -> list[LocalMethod]:
    """All of them."""
    return [
        LocalMethod("arima", learn_arima, jobs),
        LocalMethod("exponential_smoothing", learn_smoothing, jobs),
        LocalMethod("theta", learn_theta, jobs),
        LocalMethod("unobserved_components", learn_components, jobs),
    ]
