"""Forecasts by a policy from the end of a panel: reconciled means, prediction intervals, one row for each date.

Belongs here: computing forecasts from a panel and a policy, and fitting the parameters that make later forecasts
cheap. Does not: the evaluation that produces the policy (`model`), methods.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import Backtest, RunMethod, run_directly
from clm_dagster.domains.demand.local_methods import LocalMethod
from clm_dagster.domains.demand.panel_methods import Method, fit_boosting, with_boosting
from clm_dagster.domains.demand.policy import ForecastPolicy
from clm_dagster.domains.demand.series import Panel
from clm_dagster.domains.demand.series_class import (
    CONSTANT,
    DORMANT,
    EVALUATED,
    YOUNG,
    classify_series,
    constants_of,
)
from clm_dagster.domains.demand.short_history import NAME as SHORT_HISTORY
from clm_dagster.domains.demand.short_history import ShortHistory
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import QUANTILES, conformal_quantiles, has_residuals
from clm_dagster.statistics.forecasting.local_models import FittedParameters
from clm_dagster.statistics.forecasting.reconciliation import add_up

QUANTILE_COLUMNS = tuple(f"q{1000 * q:03.0f}" if 1000 * q % 10 else f"q{100 * q:02.0f}" for q in QUANTILES)
# Fit a method, given parameters of each series: directly, or from the checkpoints of an interrupted run.
FitMethod = Callable[[LocalMethod, Panel, Sequence[FittedParameters] | None], list[FittedParameters]]


@dataclass(frozen=True)
class ForecastResult:
    """Forecasts of one period from the end of a panel.

    names: the method of each series. mean: (series, horizon), reconciled. quantiles: (series, horizon, quantiles).
    """

    panel: Panel
    names: tuple[str, ...]
    series_class: NDArray[np.str_]
    mean: Floats
    quantiles: Floats

    @property
    def forecasts(self) -> pd.DataFrame:
        """The forecasts as a frame, one row for each series and date."""
        panel, horizon = self.panel, self.mean.shape[1]
        frame = panel.keys.loc[panel.keys.index.repeat(horizon)].reset_index(drop=True)
        frame["date"] = np.tile(panel.ahead(panel.size, horizon).to_numpy(), len(panel))
        frame["mean"] = self.mean.ravel()
        for i, name in enumerate(QUANTILE_COLUMNS):
            frame[name] = self.quantiles[:, :, i].ravel()
        frame["method"] = np.repeat(np.array(self.names, dtype=object), horizon)
        frame["outcome"] = np.repeat(self.series_class.astype(object), horizon)
        return frame


def predict_panel(
    policy: ForecastPolicy,
    panel: Panel,
    methods: Sequence[Method],
    horizon: int,
    run: RunMethod = run_directly,
    levels: tuple[float, ...] = QUANTILES,
) -> ForecastResult:
    """Forecast `horizon` steps from the end of a panel: combine methods, reconcile levels, add intervals.

    The panel may be later than the evaluation and may have other series. methods: those of the evaluation; methods
    that no series uses are not run. The intervals use the residuals of the evaluation, which lie before the end of
    the panel; those of a series without residuals come from its last weeks (`short_history`). levels: the quantiles,
    increasing; the frame of the result needs those of `QUANTILES`. Raise ValueError for a policy that needs a method
    which is not in `methods`.
    """
    first = panel.size
    if policy.first_origin is not None:
        first = max((policy.first_origin - panel.dates[0]).days // panel.step, 0)
    series_class = classify_series(panel, first)
    weights, names = policy.weights_for(panel.keys, series_class)
    mean = _combine(policy, panel, weights, methods, horizon, run)
    short = ShortHistory.of(panel, horizon)
    is_short = (series_class == YOUNG) | (np.isin(series_class, EVALUATED) & (policy.first_origin is None))
    mean[is_short] = short.mean[is_short]
    names = tuple(np.where(is_short, SHORT_HISTORY, np.array(names, dtype=object)))
    mean[series_class == DORMANT] = 0
    is_constant = series_class == CONSTANT
    mean[is_constant] = np.where(mean[is_constant] > 0, constants_of(panel)[is_constant, None], 0)
    mean = add_up(panel.keys, mean, policy.variances_of(panel.keys, value_variances(panel)))
    pools = 1 if panel.step == 1 else 2
    paths, actual = policy.backtest_of(panel.keys)
    quantiles = conformal_quantiles(mean, paths, actual, series_class, pools, levels)
    for row in np.flatnonzero(is_short | ~has_residuals(paths, actual, pools)):
        quantiles[row] = short.quantiles(int(row), mean[row], levels)
    flat = np.isin(series_class, (CONSTANT, DORMANT))
    quantiles[flat] = mean[flat][:, :, None]
    return ForecastResult(panel, names, series_class, mean, quantiles)


def _combine(
    policy: ForecastPolicy,
    panel: Panel,
    weights: Floats,
    methods: Sequence[Method],
    horizon: int,
    run: RunMethod,
) -> Floats:
    """Return the weighted mean (series, horizon) of the methods that are in use."""
    mean = np.zeros((len(panel), horizon))
    by_name = {method.name: method for method in methods}
    used = [(name, weight) for name, weight in zip(policy.methods, weights.T, strict=True) if weight.any()]
    missing = [name for name, _ in used if name not in by_name]
    if missing:
        raise ValueError(
            f"no method {', '.join(missing)} in this version, but the stored policy uses it: "
            "train again (models.demand_model)"
        )
    for name, weight in used:
        mean += weight[:, None] * _path(policy, by_name[name], panel, horizon, run)
    return mean


def _path(policy: ForecastPolicy, method: Method, panel: Panel, horizon: int, run: RunMethod) -> Floats:
    """Return the path (series, horizon), with the fitted parameters of the policy where it has them."""
    now = np.array([panel.size])
    if isinstance(method, LocalMethod) and method.name in policy.parameters:
        parameters = policy.parameters_of(method.name, panel.keys)
        return method.paths_with(parameters, panel, now, horizon)[:, 0]
    return run(with_boosting(method, policy.boosting), panel, now, horizon).paths[:, 0]


def fit_directly(
    method: LocalMethod, panel: Panel, earlier: Sequence[FittedParameters] | None
) -> list[FittedParameters]:
    """Fit a method without checkpoints."""
    return method.fit(panel, earlier)


def with_fitted_parameters(
    policy: ForecastPolicy,
    backtest: Backtest,
    methods: Sequence[Method],
    horizon: int,
    fit: FitMethod = fit_directly,
) -> ForecastPolicy:
    """Return the policy with the parameters of its local models and the model of boosting, fitted on the whole panel.

    The panel is that of the backtest. horizon: steps of later forecasts. The orders are those of the backtest. Later
    forecasts reuse orders, parameters and trees, as the later origins of the backtest did, and take little time.
    """
    panel, earlier = backtest.panel, backtest.parameters
    used = {name for name, weight in zip(policy.methods, policy.weights.T, strict=True) if weight.any()}
    local = [method for method in methods if isinstance(method, LocalMethod) and method.name in used]
    fitted = [fit_boosting(method, panel, horizon) for method in methods if method.name in used]
    boosting = next((model for model in fitted if model is not None), None)
    return replace(
        policy,
        boosting=boosting,
        parameters={method.name: fit(method, panel, earlier.get(method.name)) for method in local},
    )


def value_variances(panel: Panel) -> Floats:
    """Return the variance of the known values of each series (series,); the square of one that is known alone."""
    own = np.where(np.isfinite(panel.values), panel.values, 0)
    known = np.isfinite(panel.values).sum(axis=1)
    count = np.maximum(known, 1)
    squares, mean = np.square(own).sum(axis=1) / count, own.sum(axis=1) / count
    variances: Floats = np.where(known > 1, squares - np.square(mean), squares)
    return variances
