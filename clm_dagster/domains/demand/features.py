"""Features of a series at an origin, for every step ahead: inputs of the regression, boosting and the LSTM.

Belongs here: the design array, without look-ahead. Does not: models (`panel_methods`).

Demand is divided by the scale of its series, its mean over the eight weeks before the origin, so that one model can
learn from all series. The features of an origin use only values before it and the target dates.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.series import DAYS_PER_WEEK, Panel, impute_closures
from clm_dagster.statistics.forecasting.css import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """Features and scales of series, origins and steps."""

    inputs: Floats
    """(series, origins, horizon, features); NaN where a feature reaches back before the series begins."""
    scale: Floats
    """(series, origins) divisor of demand, above zero; NaN where the series has not begun."""
    names: tuple[str, ...]


def design(panel: Panel, origins: Ints, horizon: int, discounts: Floats | None = None) -> Design:
    """Return the features. discounts: (series, periods), planned ones included; None where there are none."""
    values = impute_closures(panel)
    year = 52 * DAYS_PER_WEEK // panel.step
    week = DAYS_PER_WEEK if panel.step == 1 else 1
    windows = (7, 28, 56, 182) if panel.step == 1 else (2, 4, 8, 26)
    sums = _WindowMeans(values)
    scale = sums.mean(origins, windows[2])
    scale = np.maximum(scale, 0.2 * sums.mean(origins, origins))
    scale = np.where(scale > 0, scale, np.where(np.isfinite(scale), 1.0, np.nan))
    ratio = scale[:, :, None]
    steps = np.arange(horizon)
    targets = origins[:, None] + steps

    same = targets - week * (1 + steps // week)  # the latest same weekday before the origin
    last = [_take(values, same - week * back) for back in range(8)]
    per_step = {
        "same_weekday_8": _mean(last) / ratio,
        "same_weekday_3": _mean(last[:3]) / ratio,
        "last_same_weekday": last[0] / ratio,
    }
    year_ago_scale = sums.mean(origins - year, windows[2])
    year_ago_scale = np.where(year_ago_scale > 0, year_ago_scale, np.nan)
    near = 3 if panel.step == 1 else 1
    around = sums.between(targets - year - near, np.minimum(targets - year + near + 1, origins[:, None]))
    per_step["year_ago_around"] = around / year_ago_scale[:, :, None]
    per_step["year_ago"] = _take(values, targets - year) / year_ago_scale[:, :, None]
    if discounts is not None:
        per_step["discount"] = np.nan_to_num(_take(discounts, targets))

    per_origin = {
        f"mean_{size}": sums.mean(origins, size) / scale for size in (windows[0], windows[1], windows[3])
    }
    per_origin["zeros"] = _WindowMeans(np.where(np.isfinite(values), values == 0, np.nan)).mean(
        origins, windows[2]
    )
    spread = _WindowMeans(values**2).mean(origins, windows[2]) / scale**2
    per_origin["spread"] = np.sqrt(np.maximum(spread - (sums.mean(origins, windows[2]) / scale) ** 2, 0))
    per_origin["year_level"] = scale / year_ago_scale

    shape = (len(panel), origins.size, horizon)
    calendar = _calendar(panel, targets)
    calendar["step"] = np.broadcast_to(steps + 1.0, targets.shape)
    columns = {
        **{name: np.broadcast_to(value, shape) for name, value in per_step.items()},
        **{name: np.broadcast_to(value[:, :, None], shape) for name, value in per_origin.items()},
        **{name: np.broadcast_to(value, shape) for name, value in calendar.items()},
    }
    return Design(np.stack([*columns.values()], axis=-1), scale, tuple(columns))


def number_of_features(panel: Panel, discounts: Floats | None) -> int:
    """Return the number of features of `design`."""
    one, now = panel.of(np.arange(1)), np.array([panel.size])
    return len(design(one, now, 1, None if discounts is None else discounts[:1]).names)


def targets_of(panel: Panel, origins: Ints, horizon: int, before: int) -> Floats:
    """Return actual values (series, origins, horizon), shut days imputed; NaN from position `before` on."""
    positions = origins[:, None] + np.arange(horizon)
    found = _take(impute_closures(panel), positions)
    return np.where(positions < before, found, np.nan)


def _calendar(panel: Panel, targets: Ints) -> dict[str, Floats]:
    days = panel.dates[0] + pd.to_timedelta(targets.ravel() * panel.step, unit="D")
    of_year = days.day_of_year.to_numpy().reshape(targets.shape)
    features = {"day_of_year": of_year.astype(float)}
    if panel.step == 1:
        features["day_of_month"] = days.day.to_numpy().reshape(targets.shape).astype(float)
        weekday = days.day_of_week.to_numpy().reshape(targets.shape)
        features |= {f"weekday_{i}": (weekday == i).astype(float) for i in range(DAYS_PER_WEEK)}
    return features


def _take(values: Floats, positions: Ints) -> Floats:
    """Return the values at positions: (series, *positions.shape), NaN outside the panel."""
    inside = (positions >= 0) & (positions < values.shape[1])
    return np.where(inside, values[:, np.clip(positions, 0, values.shape[1] - 1)], np.nan)


def _mean(parts: list[Floats]) -> Floats:
    stacked = np.stack(parts)
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, stacked, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


class _WindowMeans:
    """Means of the known values in any window, from cumulative sums."""

    def __init__(self, values: Floats) -> None:
        known = np.isfinite(values)
        self.sums = np.pad(np.cumsum(np.where(known, values, 0), axis=1), ((0, 0), (1, 0)))
        self.counts = np.pad(np.cumsum(known, axis=1), ((0, 0), (1, 0)))

    def mean(self, origins: Ints, size: int | Ints) -> Floats:
        """Return the mean (series, origins) of the `size` periods before each origin."""
        return self.between(origins - size, origins)

    def between(self, starts: Ints, ends: Ints) -> Floats:
        """Return the mean of [start, end); NaN where nothing is known."""
        most = self.sums.shape[1] - 1
        first, last = np.clip(starts, 0, most), np.clip(ends, 0, most)
        count = self.counts[:, last] - self.counts[:, first]
        total = self.sums[:, last] - self.sums[:, first]
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
