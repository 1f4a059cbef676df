"""Splits by time: which snapshots train, validate and test. Pure: dates in, dates out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from clm_dagster.errors import UserError

YEAR_DAYS = 364  # 52 weeks: the same days of the week, and 13 steps of four weeks


class EvaluationError(UserError, ValueError):
    """A contest cannot be held; the message says what is missing and what to do."""


@dataclass(frozen=True)
class TimeSplit:
    """The snapshots of one contest, all on one grid of `spacing_days` that ends at `test`.

    fit: what a candidate is fitted on while choices are made. validation: later snapshots that choose
    hyperparameters, calibration and the winner; no label window of `fit` reaches into them. training:
    fit, validation and what lies between, on which the chosen are fitted again. test: used once, one
    horizon or more after the last of training.
    """

    fit: tuple[date, ...]
    validation: tuple[date, ...]
    training: tuple[date, ...]
    test: date
    horizon_days: int
    spacing_days: int

    def before(self, steps: int, start: date | None = None) -> date:
        """The snapshot so many steps of the grid before `start`, which is the test unless it is given."""
        return (start or self.test) - timedelta(days=steps * self.spacing_days)


def latest_mature(as_of: date, horizon_days: int) -> date:
    """The newest snapshot whose label is known at `as_of`: its horizon ends there at the latest."""
    return as_of - timedelta(days=horizon_days)


def time_split(
    test: date,
    horizon_days: int,
    first: date,
    spacing_days: int = 28,
    count: int = 13,
    validations: int = 3,
) -> TimeSplit:
    """Split the snapshots before `test` for a contest that is judged at `test`.

    Training snapshots are the grid points test - k * spacing, at most `count` of them, none less than one
    horizon before the test and none before `first`, the earliest with enough history behind it. The
    newest of them validate, up to `validations`, but always fewer than half; fit are those whose horizon
    ends at the first validation snapshot or sooner. For a contest held at t, `test` is
    `latest_mature(t, horizon_days)`.

    With too short a history for a gap inside the training part, the gap between fit and validation is
    given up before the contest is: fit is then every training snapshot before the first validation one.

    Raises EvaluationError where fewer than two training snapshots are mature.
    """
    if min(horizon_days, spacing_days, count, validations) < 1:
        raise EvaluationError(
            f"horizon ({horizon_days}), spacing ({spacing_days}), count ({count}) and validations "
            f"({validations}) of a contest are 1 or more"
        )
    gap = -(-horizon_days // spacing_days)
    grid = [test - timedelta(days=spacing_days * k) for k in range(gap, gap + count)]
    training = sorted(day for day in grid if day >= first)
    if len(training) < 2:
        wanted = first + timedelta(days=(gap + 1) * spacing_days)
        raise EvaluationError(
            f"no contest with test as_of {test}: {len(training)} mature training snapshots, 2 are needed. "
            f"Snapshots can start at {first} and must end {horizon_days} days before the test; hold the "
            f"contest for a test as_of from {wanted} on, or shorten the horizon or the spacing."
        )
    validation = training[-min(validations, max(1, (len(training) - 1) // 2)) :]
    gapped = [day for day in training if day + timedelta(days=horizon_days) <= validation[0]]
    fit = gapped or [day for day in training if day < validation[0]]
    return TimeSplit(tuple(fit), tuple(validation), tuple(training), test, horizon_days, spacing_days)


def missing_snapshots(needed: Iterable[date], present: Iterable[date]) -> list[date]:
    """The needed snapshots that are not there, in order."""
    return sorted(set(needed) - set(present))


def year_on_grid(spacing_days: int) -> int:
    """Days of the whole number of steps that is nearest to a year."""
    return max(1, round(YEAR_DAYS / spacing_days)) * spacing_days
