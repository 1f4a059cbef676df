"""Splits by time: training, validation and test snapshots.

Belongs here: date arithmetic on one grid. Does not: reading snapshots. The messages of EvaluationError are stored
with the trained model, so a new wording changes stored rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.errors import UserError

YEAR_DAYS = 364  # 52 weeks: keeps the day of the week, and is 13 steps of four weeks


class EvaluationError(UserError, ValueError):
    """An evaluation is not possible; the message says what is missing and what to do."""


@dataclass(frozen=True)
class TimeSplit:
    """The snapshots of one evaluation, on a grid of `spacing_days` that ends at `test`.

    fit: snapshots on which candidates are fitted during selection. validation: later snapshots for choosing
    hyperparameters, calibration and the winner; no label window of `fit` reaches into them. training: all
    snapshots from the first of fit to the last of validation, on which the selected candidates are refitted.
    test: used once, at least one horizon after the last training snapshot.
    """

    fit: tuple[date, ...]
    validation: tuple[date, ...]
    training: tuple[date, ...]
    test: date
    horizon_days: int
    spacing_days: int

    def before(self, steps: int, start: date | None = None) -> date:
        """Return the snapshot `steps` grid steps before `start`, or before the test if `start` is not given."""
        return (start or self.test) - timedelta(days=steps * self.spacing_days)


def latest_mature(as_of: date, horizon_days: int) -> date:
    """Return the newest snapshot whose label is mature at `as_of`: its horizon ends at `as_of`."""
    return as_of - timedelta(days=horizon_days)


def time_split(
    test: date,
    horizon_days: int,
    first: date,
    spacing_days: int = 28,
    count: int = 13,
    validations: int = 3,
) -> TimeSplit:
    """Split the snapshots before `test` for an evaluation on `test`.

    Training snapshots are the grid points test - k * spacing, at most `count` of them. All are at least one
    horizon before the test and none is before `first`, the earliest snapshot with enough history. The newest
    ones are for validation: up to `validations`, but always fewer than half. Fit snapshots are those whose
    horizon ends at or before the first validation snapshot. For an evaluation at t, `test` is
    `latest_mature(t, horizon_days)`.

    If the history is too short for a gap between fit and validation, the gap is dropped: fit is then every
    training snapshot before the first validation snapshot.

    Raises:
        EvaluationError: fewer than two training snapshots are mature, or an argument is below 1.
    """
    if min(horizon_days, spacing_days, count, validations) < 1:
        raise EvaluationError(
            f"horizon ({horizon_days}), spacing ({spacing_days}), count ({count}) and validations "
            f"({validations}) must be 1 or more"
        )
    gap = -(-horizon_days // spacing_days)
    grid = [test - timedelta(days=spacing_days * k) for k in range(gap, gap + count)]
    training = sorted(day for day in grid if day >= first)
    if len(training) < 2:
        wanted = first + timedelta(days=(gap + 1) * spacing_days)
        raise EvaluationError(
            f"no evaluation with test as_of {test}: {len(training)} mature training snapshots, 2 are needed. "
            f"Snapshots can start at {first} and must end {horizon_days} days before the test; "
            f"use a test as_of of {wanted} or later, or shorten the horizon or the spacing."
        )
    validation = training[-min(validations, max(1, (len(training) - 1) // 2)) :]
    gapped = [day for day in training if day + timedelta(days=horizon_days) <= validation[0]]
    fit = gapped or [day for day in training if day < validation[0]]
    return TimeSplit(tuple(fit), tuple(validation), tuple(training), test, horizon_days, spacing_days)


def missing_snapshots(needed: Iterable[date], present: Iterable[date]) -> list[date]:
    """Return the needed snapshots that are not present, sorted."""
    return sorted(set(needed) - set(present))


def year_on_grid(spacing_days: int) -> int:
    """Return the length in days of the number of grid steps that is closest to a year."""
    return max(1, round(YEAR_DAYS / spacing_days)) * spacing_days
