"""Which snapshots a contest reads: the split, and a year before it for the forecast of the level. Pure.

Belongs here: dates of one grid. Does not: what is asked of customers, or learnt.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.statistics.evaluation.splits import TimeSplit, time_split, year_on_grid


@dataclass(frozen=True)
class GridSettings:
    """What a user may choose of any contest's snapshots; the defaults are those of the package's settings."""

    horizon_days: int = 90
    spacing_days: int = 28
    snapshots: int = 13
    validations: int = 3

    @property
    def steps_back(self) -> int:
        """Steps of the grid from a snapshot to the oldest that is read for it: a year before the training part."""
        gap = -(-self.horizon_days // self.spacing_days)
        return gap + self.snapshots + year_on_grid(self.spacing_days) // self.spacing_days


@dataclass(frozen=True)
class EvaluationPlan:
    """The split of a contest, and every snapshot whose features it reads.

    history: mature snapshots before the test at which the level's forecast is tried.
    """

    split: TimeSplit
    history: tuple[date, ...]
    snapshots: tuple[date, ...]


def evaluation_plan(test: date, first_day: date, settings: GridSettings) -> EvaluationPlan:
    """Plan the contest judged at `test`, any day, for a shop whose data begin on `first_day`.

    A snapshot can train two steps of the grid after the first day. Raises EvaluationError for too short a history.
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
    """The snapshots whose features the level at `as_of` is forecast from, `as_of` the last of them.

    None but that is before `first_day` and two steps, when there is enough history to be asked about.
    """
    grid = (as_of - timedelta(days=settings.spacing_days * k) for k in range(settings.steps_back + 1))
    first = _first(first_day, settings)
    return tuple(sorted(day for day in grid if day >= first or day == as_of))


def _first(first_day: date, settings: GridSettings) -> date:
    return first_day + timedelta(days=2 * settings.spacing_days)
