"""What the rules of a contest say from an instant on: means that add up, bands, one row for each date.

Belongs here: from a panel and the rules to forecasts. Does not: the contest (`model`), methods.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import Run, run_directly
from clm_dagster.domains.demand.local_methods import LocalMethod
from clm_dagster.domains.demand.outcomes import CONSTANT, DORMANT, constants_of, outcomes_of
from clm_dagster.domains.demand.panel_methods import Method
from clm_dagster.domains.demand.rules import Rules
from clm_dagster.domains.demand.series import Panel
from clm_dagster.statistics.forecasting.adding_up import add_up
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.intervals import QUANTILES, conformal_quantiles
from clm_dagster.statistics.forecasting.local_models import Learnt

QUANTILE_COLUMNS = tuple(f"q{1000 * q:03.0f}" if 1000 * q % 10 else f"q{100 * q:02.0f}" for q in QUANTILES)

Learn = Callable[[LocalMethod, Panel], list[Learnt]]
"""How a method learns: directly, or from what an interrupted run has left."""


@dataclass(frozen=True)
class Outlook:
    """Forecasts of one period from the end of a panel on."""

    panel: Panel
    names: tuple[str, ...]
    """The method of each series."""
    outcomes: NDArray[np.str_]
    mean: Floats
    """(series, horizon), reconciled."""
    quantiles: Floats
    """(series, horizon, quantiles)."""

    @property
    def forecasts(self) -> pd.DataFrame:
        """One row for each series and date."""
        panel, horizon = self.panel, self.mean.shape[1]
        frame = panel.keys.loc[panel.keys.index.repeat(horizon)].reset_index(drop=True)
        frame["date"] = np.tile(panel.ahead(panel.size, horizon).to_numpy(), len(panel))
        frame["mean"] = self.mean.ravel()
        for i, name in enumerate(QUANTILE_COLUMNS):
            frame[name] = self.quantiles[:, :, i].ravel()
        frame["method"] = np.repeat(np.array(self.names, dtype=object), horizon)
        frame["outcome"] = np.repeat(self.outcomes.astype(object), horizon)
        return frame


def look_ahead(
    rules: Rules, panel: Panel, methods: Sequence[Method], horizon: int, run: Run = run_directly
) -> Outlook:
    """Forecast `horizon` steps from the end of a panel on: combine, add up, put bands on.

    The panel may be later than the contest, and have other series. `methods` are all those of the contest; those
    that no series gets are not run. Bands come from the contest's residuals, all of which lie before the panel's end.
    """
    first = panel.size
    if rules.first_origin is not None:
        first = max((rules.first_origin - panel.dates[0]).days // panel.step, 0)
    outcomes = outcomes_of(panel, first)
    weights, names = rules.weigh(panel.keys, outcomes)
    mean = np.zeros((len(panel), horizon))
    by_name = {method.name: method for method in methods}
    gone = [n for n, w in zip(rules.methods, weights.T, strict=True) if w.any() and n not in by_name]
    if gone:
        raise ValueError(
            f"there is no method {', '.join(gone)}, which the rules of an earlier contest name: train again"
        )
    for name, weight in zip(rules.methods, weights.T, strict=True):
        if weight.any():
            mean += weight[:, None] * _path(rules, by_name[name], panel, horizon, run)
    mean[outcomes == DORMANT] = 0
    is_constant = outcomes == CONSTANT
    mean[is_constant] = np.where(mean[is_constant] > 0, constants_of(panel)[is_constant, None], 0)
    mean = add_up(panel.keys, mean, rules.variances_of(panel.keys, own_variances(panel)))
    pools = 1 if panel.step == 1 else 2
    paths, actual = rules.past_of(panel.keys)
    quantiles = conformal_quantiles(mean, paths, actual, outcomes, pools)
    flat = np.isin(outcomes, (CONSTANT, DORMANT))
    quantiles[flat] = mean[flat][:, :, None]
    return Outlook(panel, names, outcomes, mean, quantiles)


def _path(rules: Rules, method: Method, panel: Panel, horizon: int, run: Run) -> Floats:
    """(series, horizon) by what the method has learnt, where the rules hold that."""
    now = np.array([panel.size])
    if isinstance(method, LocalMethod) and method.name in rules.learnt:
        return method.paths_by(rules.learnt_of(method.name, panel.keys), panel, now, horizon)[:, 0]
    return run(method, panel, now, horizon)[:, 0]


def learn_directly(method: LocalMethod, panel: Panel) -> list[Learnt]:
    """Let a method learn here and now."""
    return method.learn(panel)


def taught(rules: Rules, panel: Panel, methods: Sequence[Method], learn: Learn = learn_directly) -> Rules:
    """The rules with what the models of one series learn from the contest's whole panel.

    What is forecast at the panel's end stays the same. Later forecasts go by these orders and parameters, as the
    backtest's later origins did, and take a tenth of the time.
    """
    used = {name for name, weight in zip(rules.methods, rules.weights.T, strict=True) if weight.any()}
    local = [method for method in methods if isinstance(method, LocalMethod) and method.name in used]
    return replace(rules, learnt={method.name: learn(method, panel) for method in local})


def own_variances(panel: Panel) -> Floats:
    """(series,) variance of the known values of each series."""
    own = np.where(np.isfinite(panel.values), panel.values, 0)
    known = np.maximum(np.isfinite(panel.values).sum(axis=1), 1)
    return np.square(own).sum(axis=1) / known - np.square(own.sum(axis=1) / known)
