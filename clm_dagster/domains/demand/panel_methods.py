"""Methods that forecast all series of a panel at once: naive baselines, intermittent demand, regression, boosting.

Belongs here: methods that are one array operation for all series. Does not: models of one series (`local_methods`).

Every method has a name and `paths(panel, origins, horizon)`, which returns mean paths (series, origins, horizon). A
method is fitted on values before the first origin. Its forecast at an origin may use all values before that origin.
"""

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from clm_dagster.domains.demand.features import Design, design, number_of_features, targets_of
from clm_dagster.domains.demand.series import (
    DAYS_PER_WEEK,
    Panel,
    expected_shut,
    only_weekday,
    weekly_panel,
)
from clm_dagster.statistics.forecasting.css import Floats

Ints = NDArray[np.int64]
SEED = 20111209
LONG_HORIZON = 28
MIN_ROWS = 500
"""Training rows that boosting needs."""
RATIO_LIMIT = 8.0
"""Upper limit of demand / scale in training, so that a single bulk order does not dominate the fit."""


class Method(Protocol):
    """The interface of every candidate."""

    @property
    def name(self) -> str:
        """The name of the method in tables."""

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """Return mean paths (series, origins, horizon), fitted on values before origins[0]."""


@dataclass(frozen=True)
class SeasonalNaive:
    """The value of the same weekday a week ago; for weeks, the value of the last week."""

    name: str = "seasonal_naive"

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method."""
        paths: Floats = np.nan_to_num(_same_weekdays(panel.values, panel, origins, horizon, 1)[0])
        return paths


@dataclass(frozen=True)
class EightWeekMean:
    """The mean of the same weekday over the last eight weeks; for weeks, the mean of the last eight."""

    name: str = "eight_week_mean"

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method."""
        found = _same_weekdays(panel.values, panel, origins, horizon, 8)
        known = np.isfinite(found)
        paths: Floats = np.where(known, found, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return paths


@dataclass(frozen=True)
class IntermittentDemand:
    """Croston's method in the form of Teunter, Syntetos and Babai (2011, EJOR 214): TSB.

    The probability of demand is smoothed in every period, its size in periods with demand; the forecast is their
    product. Unlike Croston's method, it decreases while nothing is sold. The smoothing constants of each series
    minimise the squared one-step error. Closed weekdays are left out.
    """

    name: str = "tsb"
    probability_constants: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    size_constants: tuple[float, ...] = (0.05, 0.1, 0.2)

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method."""
        start = int(origins[0])
        is_open = panel.open_weekdays(start)
        open_days = is_open[:, panel.weekdays] if panel.step == 1 else np.ones(panel.values.shape, dtype=bool)
        open_days = open_days & ~panel.shut & np.isfinite(panel.values)
        best = np.full(len(panel), np.inf)
        chosen = np.zeros((len(panel), origins.size))
        for alpha in self.probability_constants:
            for beta in self.size_constants:
                error, forecasts = self._smooth(panel.values, open_days, origins, alpha, beta)
                better = error < best
                best = np.where(better, error, best)
                chosen[better] = forecasts[better]
        return zero_when_closed(np.repeat(chosen[:, :, None], horizon, axis=2), panel, origins)

    @staticmethod
    def _smooth(
        values: Floats, counts: NDArray[np.bool_], origins: Ints, alpha: float, beta: float
    ) -> tuple[Floats, Floats]:
        n = values.shape[0]
        probability, size, begun = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
        error, forecasts = np.zeros(n), np.zeros((n, origins.size))
        at = {int(origin): i for i, origin in enumerate(origins)}
        for t in range(int(origins[-1]) + 1):
            if t in at:
                forecasts[:, at[t]] = probability * size
            if t == values.shape[1]:
                break
            here = counts[:, t]
            value = np.where(here, values[:, t], 0.0)
            sold = here & (value > 0)
            if t < origins[0]:
                error += np.where(here & begun, (value - probability * size) ** 2, 0.0)
            size = np.where(sold, np.where(begun, size + beta * (value - size), value), size)
            step = np.where(begun, alpha, 1.0)
            probability = np.where(here, probability + step * (sold - probability), probability)
            begun |= sold
        return error, forecasts


@dataclass(frozen=True)
class CalendarRegression:
    """Ridge regression of each series on the calendar and its lags: one small linear system per series."""

    name: str = "regression"
    penalty: float = 10.0
    chunk: int = 100

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method."""
        past = training_origins(panel, int(origins[0]), horizon, most=60)
        # The targets of neighbouring origins overlap: over a long horizon, every second or third origin says as much.
        past = past[:: -max(1, horizon // LONG_HORIZON)][::-1]
        if not past.size:
            return EightWeekMean().paths(panel, origins, horizon)
        found = [
            self._chunk(panel.of(rows), past, origins, horizon)
            for rows in np.array_split(np.arange(len(panel)), max(1, -(-len(panel) // self.chunk)))
        ]
        return zero_when_closed(np.concatenate(found), panel, origins)

    def _chunk(self, panel: Panel, past: Ints, origins: Ints, horizon: int) -> Floats:
        discounts = panel.discounts_until(panel.size + horizon)
        training = design(panel.until(int(origins[0])), past, horizon, discounts)
        x, scale = _linear_inputs(training), training.scale[:, :, None]
        y = targets_of(panel, past, horizon, int(origins[0])) / scale
        use = np.isfinite(y)
        x = x.reshape(len(panel), -1, x.shape[-1])
        y, use = (
            np.minimum(np.nan_to_num(y), RATIO_LIMIT).reshape(len(panel), -1),
            use.reshape(len(panel), -1),
        )
        weight = use.astype(float)
        total = np.maximum(weight.sum(axis=1), 1)
        mean = (weight[:, None] @ x)[:, 0] / total[:, None]
        centred = (x - mean[:, None]) * weight[:, :, None]
        deviation = np.sqrt(np.maximum(np.square(centred).sum(axis=1) / total[:, None], 1e-12))
        deviation = np.where(deviation > 1e-5, deviation, np.inf)
        centred /= deviation[:, None]
        base = (weight * y).sum(axis=1) / total
        turned = centred.transpose(0, 2, 1)
        curvature = turned @ centred + self.penalty * np.eye(x.shape[-1])
        slope = np.linalg.solve(curvature, turned @ (y - base[:, None])[..., None])[..., 0]
        ahead = design(panel, origins, horizon, discounts)
        inputs = (_linear_inputs(ahead) - mean[:, None, None]) / deviation[:, None, None]
        prediction = np.minimum(base[:, None, None] + (inputs @ slope[:, None, :, None])[..., 0], RATIO_LIMIT)
        paths: Floats = np.nan_to_num(np.maximum(prediction, 0) * ahead.scale[:, :, None])
        return paths


@dataclass(frozen=True)
class GlobalBoosting:
    """One gradient boosting model over all series; squared loss keeps sums unbiased, which stock planning needs."""

    name: str = "boosting"
    rows: int = 120_000
    """Maximum number of training rows, so that the cost does not grow with the shop."""
    fitted: HistGradientBoostingRegressor | None = field(default=None, compare=False, repr=False)
    """The model of an earlier `fit`, which forecasts without a new one; None to fit before the first origin."""

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method."""
        discounts = panel.discounts_until(panel.size + horizon)
        model = self.fitted
        # A model that was fitted before the first promotion does not know them.
        if model is None or model.n_features_in_ != number_of_features(panel, discounts):
            model = self.fit(panel, int(origins[0]), horizon)
        if model is None:
            return EightWeekMean().paths(panel, origins, horizon)
        found = np.zeros((len(panel), origins.size, horizon))
        with threadpool_limits(1):
            for rows in np.array_split(np.arange(len(panel)), max(1, len(panel) // 200)):
                ahead = design(
                    panel.of(rows), origins, horizon, None if discounts is None else discounts[rows]
                )
                flat = ahead.inputs.reshape(-1, ahead.inputs.shape[-1])
                ratio = np.maximum(model.predict(flat), 0).reshape(ahead.inputs.shape[:3])
                found[rows] = np.nan_to_num(ratio * ahead.scale[:, :, None])
        return zero_when_closed(found, panel, origins)

    def fit(self, panel: Panel, before: int, horizon: int) -> HistGradientBoostingRegressor | None:
        """Return the model of the values before a position; None where they are too few."""
        past = training_origins(panel, before, horizon, most=100)
        inputs, targets = self._rows(panel, past, before, horizon)
        if targets.size < MIN_ROWS:
            return None
        # The features of a year ago are all unknown in the first year; a constant is never split on.
        inputs[:, ~np.isfinite(inputs).any(axis=0)] = 0
        with threadpool_limits(1):
            return HistGradientBoostingRegressor(
                max_iter=75,
                learning_rate=0.1,
                max_leaf_nodes=15,
                min_samples_leaf=60,
                l2_regularization=5.0,
                early_stopping=False,
                random_state=SEED,
            ).fit(inputs, targets)

    def _rows(self, panel: Panel, past: Ints, before: int, horizon: int) -> tuple[Floats, Floats]:
        """Return training rows of all series, an equal share of the limit each, drawn with a fixed seed."""
        if not past.size:
            return np.zeros((0, 1)), np.zeros(0)
        each = max(1, self.rows // len(panel))
        discounts = panel.discounts_until(panel.size + horizon)
        known = panel.until(before)
        rng = np.random.default_rng(SEED)
        parts: list[tuple[Floats, Floats]] = []
        for rows in np.array_split(np.arange(len(panel)), max(1, len(panel) // 50)):
            part = known.of(rows)
            # With many series, use fewer origins rather than discard rows: building rows is costly too.
            drawn = (
                past if past.size * horizon <= 4 * each else past[:: -(-past.size * horizon // (4 * each))]
            )
            made = design(part, drawn, horizon, None if discounts is None else discounts[rows])
            y = targets_of(part, drawn, horizon, before) / made.scale[:, :, None]
            inputs, y = made.inputs.reshape(-1, made.inputs.shape[-1]), y.reshape(-1)
            usable = np.flatnonzero(np.isfinite(y))
            if usable.size > each * len(part):
                usable = np.sort(rng.choice(usable, each * len(part), replace=False))
            parts.append((inputs[usable], np.minimum(y[usable], RATIO_LIMIT)))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


@dataclass(frozen=True)
class SummedDays:
    """Weekly forecasts as sums of the daily forecasts of another method."""

    of: Method

    @property
    def name(self) -> str:
        """The name of the daily method."""
        return self.of.name

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method. Raise ValueError for a panel without its daily panel."""
        if panel.days is None:
            raise ValueError(
                "weekly forecasts need a panel with its daily panel; build it with series.weekly_panel"
            )
        days = np.array([panel.day_of(int(origin)) for origin in origins])
        found = self.of.paths(panel.days, days, horizon * panel.step)
        paths: Floats = found.reshape(len(panel), origins.size, horizon, panel.step).sum(axis=3)
        return paths


@dataclass(frozen=True)
class OnOneWeekday:
    """Daily forecasts of a shop that sells on one weekday: the weekly forecasts of another method, on that day."""

    of: Method

    @property
    def name(self) -> str:
        """The name of the weekly method."""
        return self.of.name

    def paths(self, panel: Panel, origins: Ints, horizon: int) -> Floats:
        """See Method. Raise ValueError for an origin that is no whole number of weeks before the end."""
        back = panel.size - origins
        if (back % DAYS_PER_WEEK).any():
            raise ValueError(
                f"origins {origins.tolist()} of a panel of {panel.size} days: expected whole weeks before its end"
            )
        weeks = weekly_panel(panel)
        ahead = -(-horizon // DAYS_PER_WEEK)
        found = self.of.paths(weeks, weeks.size - back // DAYS_PER_WEEK, ahead)
        steps = np.arange(horizon)
        weekday = (int(panel.dates[0].weekday()) + origins[:, None] + steps) % DAYS_PER_WEEK
        paths = np.where(weekday == only_weekday(panel), found[:, :, steps // DAYS_PER_WEEK], 0.0)
        return zero_when_closed(paths, panel, origins)


def fit_boosting(method: Method, panel: Panel, horizon: int) -> HistGradientBoostingRegressor | None:
    """Return the model of boosting on a whole panel, for later forecasts; None for another method."""
    if isinstance(method, SummedDays) and panel.days is not None:
        return fit_boosting(method.of, panel.days, horizon * panel.step)
    return method.fit(panel, panel.size, horizon) if isinstance(method, GlobalBoosting) else None


def with_boosting(method: Method, fitted: HistGradientBoostingRegressor | None) -> Method:
    """Return boosting with its fitted model; any other method as it is."""
    if isinstance(method, SummedDays):
        return replace(method, of=with_boosting(method.of, fitted))
    return replace(method, fitted=fitted) if isinstance(method, GlobalBoosting) else method


def training_origins(panel: Panel, before: int, horizon: int, most: int) -> Ints:
    """Return up to `most` past origins, a week apart, the newest included, with at least eight weeks of history."""
    spacing = DAYS_PER_WEEK if panel.step == 1 else 1
    least = 8 * DAYS_PER_WEEK // panel.step
    found = np.arange(before - spacing, least - 1, -spacing)[:most]
    return found[::-1].copy()


def zero_when_closed(paths: Floats, panel: Panel, origins: Ints) -> Floats:
    """Return the paths with zero on closed weekdays and on days that are expected to be shut."""
    if panel.step != 1:
        return paths
    horizon = paths.shape[2]
    is_open = panel.open_weekdays(int(origins[0]))
    weekday = (int(panel.dates[0].weekday()) + origins[:, None] + np.arange(horizon)) % DAYS_PER_WEEK
    shut = np.stack([expected_shut(panel, int(origin), horizon) for origin in origins])
    return np.where(is_open[:, weekday] & ~shut, paths, 0.0)


def _same_weekdays(values: Floats, panel: Panel, origins: Ints, horizon: int, weeks: int) -> Floats:
    """Return the latest values of each step's weekday before the origin: (weeks, series, origins, horizon)."""
    week = DAYS_PER_WEEK if panel.step == 1 else 1
    steps = np.arange(horizon)
    newest = origins[:, None] + steps - week * (1 + steps // week)
    found = []
    for back in range(weeks):
        positions = newest - week * back
        taken = values[:, np.clip(positions, 0, panel.size - 1)]
        found.append(np.where(positions >= 0, taken, np.nan))
    return np.stack(found)


def _linear_inputs(made: Design) -> Floats:
    """Return features for a linear model: missing ratios are 1, other missing values 0, the year a sine and cosine."""
    x = made.inputs.copy()
    names = list(made.names)
    for name in (
        "year_ago",
        "year_ago_around",
        "year_level",
        "last_same_weekday",
        "same_weekday_3",
        "same_weekday_8",
    ):
        column = x[..., names.index(name)]
        x[..., names.index(name)] = np.minimum(np.where(np.isfinite(column), column, 1.0), RATIO_LIMIT)
    angle = 2 * np.pi * x[..., names.index("day_of_year")] / 365.25
    x[..., names.index("day_of_year")] = np.sin(angle)
    inputs: Floats = np.nan_to_num(np.concatenate([x, np.cos(angle)[..., None]], axis=-1))
    return inputs
