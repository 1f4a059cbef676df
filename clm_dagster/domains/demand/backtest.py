"""The backtest: rolling origins, standard accuracy measures, and the choice of a method for each series.

Belongs here: running methods at past origins, measuring them, choosing. Does not: the methods, prediction intervals
(`intervals`).

The choice uses the root mean squared scaled error (RMSSE), because stock and revenue need forecasts of the mean:

1. The good methods of a class of series (regular, intermittent) are those whose mean RMSSE is within 5% of the best,
   and at least the best three. Their mean is the *combination*, the default for every series. A class of fewer than
   five series is too small to rank methods; it uses the ranking over all series.
2. A series gets a single method only where that method beats the combination by more than two standard errors over
   the origins. The horizons of neighbouring origins overlap, so the standard error is multiplied by the square root
   of the number of origins that share a day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.local_methods import LocalMethod
from clm_dagster.domains.demand.names import BASELINES, MEASURES
from clm_dagster.domains.demand.panel_methods import Method
from clm_dagster.domains.demand.series import DAYS_PER_WEEK, Panel
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import FittedParameters

Ints = NDArray[np.int64]
COMBINATION = "combination"
GOOD_RMSSE_RATIO = 1.05
MIN_GOOD_METHODS = 3
MIN_SERIES = 5
STANDARD_ERRORS = 2.0


class Ran(NamedTuple):
    """The result of a method: paths (series, origins, horizon), and its parameters of each series where it has them."""

    paths: Floats
    parameters: list[FittedParameters] | None = None


RunMethod = Callable[[Method, Panel, Ints, int], Ran]
"""Run a method: directly, or from the checkpoints of an interrupted run."""


def run_directly(method: Method, panel: Panel, origins: Ints, horizon: int) -> Ran:
    """Run a method without checkpoints."""
    if not isinstance(method, LocalMethod):
        return Ran(method.paths(panel, origins, horizon))
    parameters = method.fit(panel.until(int(origins[0])))
    return Ran(method.paths_with(parameters, panel, origins, horizon), parameters)


def rolling_origins(size: int, horizon: int, spacing: int, count: int, least: int) -> Ints:
    """Return up to `count` positions, `spacing` apart: the last is size - horizon, none is below `least`."""
    found = size - horizon - spacing * np.arange(count)
    return found[found >= least][::-1].copy()


@dataclass(frozen=True)
class Backtest:
    """Forecast paths of all methods at past origins of one panel, and the actual values."""

    panel: Panel
    origins: Ints
    methods: tuple[str, ...]
    paths: Floats
    """(methods, series, origins, horizon)."""
    parameters: Mapping[str, Sequence[FittedParameters]] = field(default_factory=dict)
    """The parameters of each series before the first origin, of methods of one series."""

    @classmethod
    def run(
        cls,
        panel: Panel,
        methods: Sequence[Method],
        origins: Ints,
        horizon: int,
        run: RunMethod = run_directly,
    ) -> "Backtest":
        """Run every method at every origin. Raise ValueError for an origin later than size - horizon."""
        if origins.size and origins.max() + horizon > panel.size:
            raise ValueError(
                f"origin {origins.max()} + horizon {horizon} is beyond the panel's {panel.size} periods"
            )
        nothing = Ran(np.zeros((len(panel), origins.size, horizon)))
        return cls.of(
            panel,
            origins,
            {
                method.name: run(method, panel, origins, horizon) if origins.size else nothing
                for method in methods
            },
        )

    @classmethod
    def of(cls, panel: Panel, origins: Ints, ran: Mapping[str, Ran]) -> "Backtest":
        """Return the backtest of the results of each method."""
        parameters = {name: one.parameters for name, one in ran.items() if one.parameters is not None}
        return cls(panel, origins, tuple(ran), np.stack([one.paths for one in ran.values()]), parameters)

    @property
    def horizon(self) -> int:
        """Number of steps ahead."""
        return int(self.paths.shape[3])

    @cached_property
    def actual(self) -> Floats:
        """Actual values (series, origins, horizon); NaN for a series that began at or after the first origin."""
        found = self.panel.values[:, self.origins[:, None] + np.arange(self.horizon)]
        if not self.origins.size:
            return found
        begins_late = self.panel.begins >= self.origins[0]
        return np.where(begins_late[:, None, None], np.nan, found)

    @cached_property
    def scales(self) -> tuple[Floats, Floats]:
        """Scales (series,) of MASE and of RMSSE: errors of the seasonal naive before the first origin, or NaN."""
        before = int(self.origins[0]) if self.origins.size else self.panel.size
        return naive_scales(self.panel, before)

    def errors(self, paths: Floats | None = None) -> Floats:
        """Return forecast - actual (..., series, origins, horizon)."""
        return (self.paths if paths is None else paths) - self.actual

    def scaled(self, paths: Floats | None = None) -> Floats:
        """Return the RMSSE of each origin (..., series, origins)."""
        squared = np.square(self.errors(paths)).mean(axis=-1)
        rmsse: Floats = np.sqrt(squared) / self.scales[1][:, None]
        return rmsse

    def choose(self, series_class: NDArray[np.str_], spacing: int) -> "Choice":
        """Return the choice by the module's rule. series_class: (series,). spacing: periods between origins."""
        weights = np.zeros((len(self.panel), len(self.methods)))
        names = np.full(len(self.panel), COMBINATION, dtype=object)
        combined: dict[str, tuple[str, ...]] = {}
        scaled = self.scaled()
        comparable = (
            np.flatnonzero(np.isfinite(scaled).all(axis=(0, 2))) if self.origins.size else np.zeros(0, int)
        )
        widening = np.sqrt(max(1.0, self.horizon / spacing))
        for name in np.unique(series_class):
            rows = np.flatnonzero(series_class == name)
            class_rows = np.intersect1d(rows, comparable)
            if not class_rows.size:
                kept = np.isin(self.methods, BASELINES[1:])
                combined[str(name)] = tuple(np.array(self.methods)[kept].tolist())
                weights[rows] = kept / kept.sum()
                names[rows] = BASELINES[1]
                continue
            ranking_rows = class_rows if class_rows.size >= MIN_SERIES else comparable
            overall = scaled[:, ranking_rows].mean(axis=(1, 2))
            third = np.sort(overall)[:MIN_GOOD_METHODS][-1]
            kept = overall <= max(GOOD_RMSSE_RATIO * overall.min(), third)
            combined[str(name)] = tuple(np.array(self.methods)[kept].tolist())
            weights[rows] = kept / kept.sum()
            combined_rmsse = self.scaled(self.paths[kept].mean(axis=0))
            for row in class_rows:
                difference = scaled[:, row] - combined_rmsse[row]
                error = (
                    difference.std(axis=1, ddof=1) / np.sqrt(self.origins.size)
                    if self.origins.size > 1
                    else np.inf
                )
                upper_bound = difference.mean(axis=1) + STANDARD_ERRORS * widening * error
                best = int(np.argmin(upper_bound))
                if upper_bound[best] < 0:
                    weights[row] = np.arange(len(self.methods)) == best
                    names[row] = self.methods[best]
        return Choice(weights, tuple(names), combined)

    def chosen(self, choice: "Choice") -> Floats:
        """Return the paths of the chosen forecasts (series, origins, horizon)."""
        paths: Floats = np.einsum("sm,msoh->soh", choice.weights, self.paths)
        return paths

    def table(self, choice: "Choice") -> pd.DataFrame:
        """Return the measures over all origins: one row for each series and method, plus one for `chosen`."""
        found = [self._measures(name, paths) for name, paths in zip(self.methods, self.paths, strict=True)]
        found.append(self._measures("chosen", self.chosen(choice)))
        return pd.concat(found, ignore_index=True)

    def _measures(self, name: str, paths: Floats) -> pd.DataFrame:
        rows = measures(paths, self.actual, *self.scales)
        return pd.concat([self.panel.keys, pd.DataFrame({"method": name, **rows})], axis=1)


@dataclass(frozen=True)
class Choice:
    """The method, or combination of methods, that forecasts each series."""

    weights: Floats
    """(series, methods), rows sum to one."""
    names: tuple[str, ...]
    """The method of each series, or `combination`."""
    combined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The methods that are combined, for each class of series."""

    def combine(self, paths: Floats) -> Floats:
        """Return the weighted mean (series, horizon) of paths (methods, series, horizon)."""
        combined: Floats = np.einsum("sm,msh->sh", self.weights, paths)
        return combined


def naive_scales(panel: Panel, before: int) -> tuple[Floats, Floats]:
    """Return the mean absolute and the root mean squared error of the seasonal naive before a position.

    Both are (series,), and NaN where there is nothing to scale by. The season is a week for days and one period for
    weeks. See Hyndman and Koehler (2006, Int. J. of Forecasting 22) for MASE, Makridakis et al. (2022, M5) for RMSSE.
    """
    lag = DAYS_PER_WEEK if panel.step == 1 else 1
    values = panel.values[:, :before]
    if before <= lag:
        nothing = np.full(len(panel), np.nan)
        return nothing, nothing
    steps = values[:, lag:] - values[:, :-lag]
    known = np.isfinite(steps)
    count = np.maximum(known.sum(axis=1), 1)
    steps = np.where(known, steps, 0)
    absolute, square = np.abs(steps).sum(axis=1) / count, np.sqrt(np.square(steps).sum(axis=1) / count)
    return np.where(absolute > 0, absolute, np.nan), np.where(square > 0, square, np.nan)


def measures(paths: Floats, actual: Floats, mase_scale: Floats, rmsse_scale: Floats) -> dict[str, Floats]:
    """Return mase, rmsse, smape, wape and bias (series,) of paths (series, origins, horizon).

    smape is 2|e| / (|y| + |f|), 0 where both are zero. wape and bias are the sums of |e| and of e over the sum of y.
    A measure is NaN where it is undefined: no origin, nothing sold, nothing to scale by.
    """
    if not actual.shape[1]:
        return {name: np.full(len(actual), np.nan) for name in MEASURES}
    error = paths - actual
    size = np.abs(error)
    both = np.abs(actual) + np.abs(paths)
    sold = actual.sum(axis=(1, 2))
    sold = np.where(sold > 0, sold, np.nan)
    per_origin = np.sqrt(np.square(error).mean(axis=2))
    return {
        "mase": size.mean(axis=(1, 2)) / mase_scale,
        "rmsse": per_origin.mean(axis=1) / rmsse_scale,
        "smape": np.where(both > 0, 2 * size / np.where(both > 0, both, 1), 0 * both).mean(axis=(1, 2)),
        "wape": size.sum(axis=(1, 2)) / sold,
        "bias": error.sum(axis=(1, 2)) / sold,
    }


def coverage(low: Floats, high: Floats, actual: Floats) -> Floats:
    """Return the share of actual values within the interval, ends included, over the last two axes; NaN if unknown."""
    inside = ((actual >= low) & (actual <= high)).astype(float)
    shares: Floats = np.where(np.isfinite(actual) & np.isfinite(low), inside, np.nan).mean(axis=(-2, -1))
    return shares


def interval_score(low: Floats, high: Floats, actual: Floats, confidence: float) -> Floats:
    """Return the interval score (Gneiting and Raftery 2007) over the last two axes; smaller is better."""
    miss = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    score: Floats = (high - low + 2 / (1 - confidence) * miss).mean(axis=(-2, -1))
    return score
