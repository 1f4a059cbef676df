"""How a shop's level moves over snapshots on one grid: what was known when, and which way of forecasting missed least.

Belongs here: the ways' judgement, which knows no unit. Does not: what a level is (each room's own `level`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from clm_dagster.statistics.evaluation.splits import year_on_grid


@dataclass(frozen=True)
class Ways:
    """What each way forecasts at one snapshot, its root mean square error before, and how often it was tried."""

    said: Mapping[str, float]
    errors: dict[str, float]
    tried: dict[str, int]


@dataclass(frozen=True)
class Known:
    """Levels known at one snapshot, None where they are not.

    past: mean of the mature labels before. recent: the last step. same: that step a year ago. season: the label of a
    year ago.
    """

    past: float | None
    recent: float | None
    same: float | None
    season: float | None


class SeasonalLevels(ABC):
    """Levels of snapshots on one grid, told as a number that is 0 where BG/NBD's constant pace holds.

    What is known at t is only read where it had happened before t.
    """

    def __init__(self, horizon_days: int, spacing_days: int) -> None:
        self.horizon, self.spacing = timedelta(days=horizon_days), timedelta(days=spacing_days)
        self.year = timedelta(days=year_on_grid(spacing_days))

    @abstractmethod
    def of_label(self, day: date, known: date) -> float | None:
        """The level of the horizon after a snapshot, if it was mature at `known`."""

    @abstractmethod
    def of_step(self, day: date, known: date) -> float | None:
        """The level of one step of the grid, if the next snapshot is not after `known`."""

    @abstractmethod
    def candidates(self, day: date, history: Sequence[date]) -> dict[str, float]:
        """The level at `day` as each way forecasts it from what was known then."""

    def known(self, day: date, history: Sequence[date]) -> Known:
        """What every way is made of."""
        past = [r for r in (self.of_label(other, day) for other in history if other < day) if r is not None]
        return Known(
            float(np.mean(past)) if past else None,
            self.of_step(day - self.spacing, day),
            self.of_step(day - self.spacing - self.year, day),
            self.of_label(day - self.year, day),
        )

    def ways(self, day: date, history: Sequence[date], untried: float) -> Ways:
        """Judge each way at every snapshot of `history` that was mature at `day` and at which it could be taken.

        `untried` is one more error of each, as if it had been tried once more and missed by so much: a way that was
        tried little is not chosen for its luck.
        """
        said = self.candidates(day, history)
        squares: dict[str, list[float]] = {way: [] for way in said}
        for past in history:
            actual = self.of_label(past, day)
            if actual is not None:
                for way, value in self.candidates(past, history).items():
                    squares.setdefault(way, []).append((value - actual) ** 2)
        errors = {w: float(np.sqrt((sum(squares[w]) + untried**2) / (len(squares[w]) + 1))) for w in said}
        return Ways(said, errors, {way: len(squares[way]) for way in said})
