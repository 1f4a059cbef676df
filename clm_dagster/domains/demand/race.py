"""The race: candidates that cannot win are dropped before they are fitted on every series.

Belongs here: the rule. Does not: running methods, the choice among those that stay (`backtest`).

Methods of all series at once, and so the baselines, run first. Methods of one series then run on a sample of fifteen
series, evenly spaced by their mean. A method stays if its mean RMSSE there is below the larger of 1.05 times the best
and the third best, the limits of the choice, or above them by less than a standard error. The others are not run on
the remaining series and have no row in the contest. A panel of fewer than 45 evaluated series has no race.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import (
    GOOD_RMSSE_RATIO,
    MIN_GOOD_METHODS,
    Backtest,
    Ran,
    RunMethod,
    run_directly,
)
from clm_dagster.domains.demand.local_methods import LocalMethod
from clm_dagster.domains.demand.panel_methods import Method
from clm_dagster.domains.demand.series import Panel
from clm_dagster.domains.demand.series_class import EVALUATED
from clm_dagster.statistics.forecasting.css import Floats

Ints = NDArray[np.int64]
SAMPLE = 15
MIN_SERIES = 3 * SAMPLE
STANDARD_ERRORS = 1.0


def race(
    panel: Panel,
    methods: Sequence[Method],
    origins: Ints,
    horizon: int,
    series_class: NDArray[np.str_],
    run: RunMethod = run_directly,
) -> tuple[Backtest, tuple[str, ...]]:
    """Return the backtest of the methods that can win, in the given order, and the names of the others."""
    rows = sample_of(panel, series_class)
    local = [method for method in methods if isinstance(method, LocalMethod)]
    if not rows.size or not origins.size or len(local) < 2:
        return Backtest.run(panel, methods, origins, horizon, run), ()
    whole = {method.name: run(method, panel, origins, horizon) for method in methods if method not in local}
    part = panel.of(rows)
    sample = {name: Ran(ran.paths[rows]) for name, ran in whole.items()}
    sample |= {method.name: run(method, part, origins, horizon) for method in local}
    names = tuple(method.name for method in methods)
    rmsse = Backtest.of(part, origins, {name: sample[name] for name in names}).scaled()
    loses = cannot_win(rmsse[:, np.isfinite(rmsse).all(axis=(0, 2))].mean(axis=2))
    others = np.setdiff1d(np.arange(len(panel)), rows)
    dropped = []
    for method in local:
        if loses[names.index(method.name)]:
            dropped.append(method.name)
            continue
        # Series do not depend on each other, so those of the sample are not run again.
        rest = run(method, panel.of(others), origins, horizon)
        whole[method.name] = _joined(rows, sample[method.name], others, rest)
    return Backtest.of(panel, origins, {name: whole[name] for name in names if name in whole}), tuple(dropped)


def _joined(rows: Ints, of_rows: Ran, others: Ints, of_others: Ran) -> Ran:
    """Return the results of all series from those of two parts."""
    order = np.argsort(np.concatenate([rows, others]))
    paths = np.concatenate([of_rows.paths, of_others.paths])[order]
    if of_rows.parameters is None or of_others.parameters is None:
        return Ran(paths)
    both = [*of_rows.parameters, *of_others.parameters]
    return Ran(paths, [both[at] for at in order])


def sample_of(panel: Panel, series_class: NDArray[np.str_]) -> Ints:
    """Return the rows of the sample, none for a panel of too few evaluated series."""
    rows = np.flatnonzero(np.isin(series_class, EVALUATED))
    if rows.size < MIN_SERIES:
        return rows[:0]
    by_size = rows[np.argsort(np.nan_to_num(panel.values[rows]).mean(axis=1), kind="stable")]
    places = np.linspace(0, by_size.size - 1, SAMPLE).round().astype(int)
    return np.sort(by_size[places])


def cannot_win(rmsse: Floats) -> NDArray[np.bool_]:
    """Return which methods lose, from the RMSSE (methods, series) of the sample."""
    methods, series = rmsse.shape
    if series < 2:
        return np.zeros(methods, dtype=bool)
    means = rmsse.mean(axis=1)
    order = np.argsort(means, kind="stable")
    limit = GOOD_RMSSE_RATIO * rmsse[order[0]]
    third = rmsse[order[min(MIN_GOOD_METHODS, methods) - 1]]
    if third.mean() > limit.mean():
        limit = third
    above = rmsse - limit
    error = above.std(axis=1, ddof=1) / np.sqrt(series)
    loses: NDArray[np.bool_] = above.mean(axis=1) > STANDARD_ERRORS * error
    beaten: NDArray[np.bool_] = loses & (means > limit.mean())
    return beaten
