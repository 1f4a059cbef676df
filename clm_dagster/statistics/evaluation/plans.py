"""The snapshots of an evaluation: the split, and a year before it for the forecast of the level.

Belongs here: dates of one grid. Does not: eligibility of customers, targets, or models.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.statistics.evaluation.splits import TimeSplit, time_split, year_on_grid


@dataclass(frozen=True)
class GridSettings:
    """The settings of the snapshot grid of any evaluation; the defaults equal those of the package's settings."""

    horizon_days: int = 90
    spacing_days: int = 28
    snapshots: int = 13
    validations: int = 3

    @property
    def steps_back(self) -> int:
        """Grid steps from a snapshot back to the oldest one read for it, a year before the training part."""
        gap = -(-self.horizon_days // self.spacing_days)
        return gap + self.snapshots + year_on_grid(self.spacing_days) // self.spacing_days


@dataclass(frozen=True)
class EvaluationPlan:
    """The split of an evaluation, and every snapshot whose features it reads.

    history: mature snapshots before the test, at which the forecast of the level is evaluated.
    """

    split: TimeSplit
    history: tuple[date, ...]
    snapshots: tuple[date, ...]


def evaluation_plan(test: date, first_day: date, settings: GridSettings) -> EvaluationPlan:
    """Plan the evaluation with the test snapshot `test`, any day, for a shop whose data start on `first_day`.

    Training snapshots start two grid steps after the first day.

    Raises:
        EvaluationError: the history is too short.
    """
    split = time_split(
        test,
        settings.horizon_days,
        _first(first_day, settings),
        settings.spacing_days,
        settings.snapshots,
        settings.validations,
    )
    snapshots = level_snapshots(test, first_day, settings)
    history = tuple(day for day in snapshots if day + timedelta(days=settings.horizon_days) <= test)
    return EvaluationPlan(split, history, snapshots)


def level_snapshots(as_of: date, first_day: date, settings: GridSettings) -> tuple[date, ...]:
    """Return the snapshots whose features the forecast of the level at `as_of` reads; `as_of` is the last one.

    All others are at least two grid steps after `first_day`, so that customers have some history.
    """
    grid = (as_of - timedelta(days=settings.spacing_days * k) for k in range(settings.steps_back + 1))
    first = _first(first_day, settings)
    return tuple(sorted(day for day in grid if day >= first or day == as_of))


def _first(first_day: date, settings: GridSettings) -> date:
    return first_day + timedelta(days=2 * settings.spacing_days)
