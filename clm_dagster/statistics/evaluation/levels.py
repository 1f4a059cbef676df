"""Forecast a shop's level, such as its base rate, over the snapshots of a grid, and evaluate forecast methods.

Belongs here: the evaluation of forecast methods, independent of the unit. Does not: the definition of the level,
which each domain provides in a subclass.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from clm_dagster.statistics.evaluation.splits import year_on_grid


@dataclass(frozen=True)
class MethodForecasts:
    """The forecasts of all methods at one snapshot.

    forecasts: the forecast of each method. errors: its root mean square error at earlier snapshots. tried: the number
    of those snapshots.
    """

    forecasts: Mapping[str, float]
    errors: dict[str, float]
    tried: dict[str, int]


@dataclass(frozen=True)
class KnownLevels:
    """The levels that are known at one snapshot; None if unknown.

    past: mean of the mature labels so far. recent: level of the last step. same: level of that step a year ago.
    season: level of the label a year ago.
    """

    past: float | None
    recent: float | None
    same: float | None
    season: float | None


class SeasonalLevels(ABC):
    """Levels of the snapshots of a grid, expressed as a number that is 0 if BG/NBD predicts the level exactly.

    A forecast at t only uses data from before t.
    """

    def __init__(self, horizon_days: int, spacing_days: int) -> None:
        self.horizon, self.spacing = timedelta(days=horizon_days), timedelta(days=spacing_days)
        self.year = timedelta(days=year_on_grid(spacing_days))

    @abstractmethod
    def of_label(self, day: date, known: date) -> float | None:
        """Return the level over the horizon after a snapshot, or None if it was not mature at `known`."""

    @abstractmethod
    def of_step(self, day: date, known: date) -> float | None:
        """Return the level over one step of the grid, or None if the next snapshot is after `known`."""

    @abstractmethod
    def candidates(self, day: date, history: Sequence[date]) -> dict[str, float]:
        """Return the forecast of each method for the level at `day`, from the data known at `day`."""

    def known(self, day: date, history: Sequence[date]) -> KnownLevels:
        """Return the inputs of all forecast methods."""
        labels = (self.of_label(other, day) for other in history if other < day)
        past = [level for level in labels if level is not None]
        return KnownLevels(
            float(np.mean(past)) if past else None,
            self.of_step(day - self.spacing, day),
            self.of_step(day - self.spacing - self.year, day),
            self.of_label(day - self.year, day),
        )

    def evaluate_methods(self, day: date, history: Sequence[date], untried: float) -> MethodForecasts:
        """Return the forecasts at `day`, and the error of each method at the snapshots of `history` mature at `day`.

        `untried` is added to the errors of each method as one more error, so that a method with few evaluations is
        not selected by chance.
        """
        forecasts = self.candidates(day, history)
        squares: dict[str, list[float]] = {method: [] for method in forecasts}
        for past in history:
            actual = self.of_label(past, day)
            if actual is not None:
                for method, value in self.candidates(past, history).items():
                    squares.setdefault(method, []).append((value - actual) ** 2)
        errors = {
            method: float(np.sqrt((sum(squares[method]) + untried**2) / (len(squares[method]) + 1)))
            for method in forecasts
        }
        return MethodForecasts(forecasts, errors, {method: len(squares[method]) for method in forecasts})
