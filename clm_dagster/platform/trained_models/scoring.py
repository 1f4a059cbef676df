"""Tables of scores: what the champion as of then says of a snapshot.

Belongs here: choosing and loading the model, the columns that name it, the check that a champion was there. Does not:
what is scored; a domain says that with a `ScoreTable`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

import pandas as pd

from clm_dagster.platform.build_ledger.code_version import Root
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.tables import PythonTable
from clm_dagster.platform.trained_models.champions import Choice, Trainings
from clm_dagster.platform.trained_models.checks import COVERAGE_CHECK, check_coverage, warn
from clm_dagster.platform.trained_models.registered import RegisteredModel

S = TypeVar("S")
Inputs = TypeVar("Inputs")
Fitted = TypeVar("Fitted")
# Columns of a table of scores that name the model, and where its row of trainings has them.
_STAMPS = {
    "model_name": "model_name",
    "model_version": "model_version",
    "model_as_of": "as_of",
    "training_data_hash": "training_data_hash",
}


class NothingToScoreError(ValueError):
    """A snapshot has nothing to score; the message says what is missing."""


@dataclass(frozen=True)
class Scoring(Generic[S, Fitted]):
    """What the `score` of a domain is given.

    work: the step. choice: the trained model's row, None where there is no model. fitted: the model itself, likewise.
    """

    work: Work[S]
    choice: Choice
    fitted: Fitted | None

    @property
    def settings(self) -> S:
        """What the table knows of the user's choices."""
        return self.work.settings

    def stamped(self, frame: pd.DataFrame, **more: object) -> pd.DataFrame:
        """Return the table's columns: the frame's own, `more`, and those that name the model."""
        row = self.choice.row
        stamps = (
            {} if row is None else {name: row[source] for name, source in _STAMPS.items() if source in row}
        )
        missing = {name: value for name, value in (stamps | more).items() if name not in frame}
        return frame.assign(**missing)[self.work.columns]

    def facts(self) -> dict[str, str]:
        """Return the model's version and as_of, as metadata."""
        row = self.choice.row
        return (
            {}
            if row is None
            else {"model_version": str(row["model_version"]), "model_as_of": str(row["as_of"])}
        )


@dataclass(frozen=True)
class ScoreTable(Generic[S, Inputs, Fitted]):
    """A table of scores of one trained model.

    name: of the table. model: whose champion scores it. horizon_days: of the models that may. score: makes the rows,
    from a model that is there. without_model: makes them without one; None for no rows. no_model: what the check of
    coverage says then, where it is not the usual. covered: whether the table has that check.
    """

    name: str
    model: RegisteredModel[Fitted]
    horizon_days: int
    reads: tuple[str, ...]
    settings: S
    read: Callable[[Reading[S]], Inputs]
    score: Callable[[Scoring[S, Fitted], Inputs], TableOutput]
    without_model: Callable[[Scoring[S, Fitted], Inputs], TableOutput] | None = None
    no_model: str = ""
    covered: bool = True
    checks: Mapping[str, str] = field(default_factory=dict)
    weeks_back: tuple[int, ...] = ()

    def table(self, project: Project) -> PythonTable["ScoreInputs[Inputs]", S]:
        """Return the table as Python writes it."""
        decisive: list[Root] = [self.read, self.score, Trainings, *self.model.code]
        decisive += [self.without_model] if self.without_model else []
        return PythonTable.of(
            project,
            self.name,
            self.reads,
            read=partial(_read, self),
            compute=partial(_score, self),
            settings=self.settings,
            model=self.model.name,
            weeks_back=self.weeks_back,
            checks=(COVERAGE_CHECK if self.covered else {}) | dict(self.checks),
            code=decisive,
        )


@dataclass(frozen=True)
class ScoreInputs(Generic[Inputs]):
    """What scoring reads: trainings by then, and the domain's inputs."""

    trainings: Trainings
    inputs: Inputs


def _read(table: ScoreTable[S, Inputs, Any], reading: Reading[S]) -> ScoreInputs[Inputs]:
    return ScoreInputs(Trainings.read(reading.connection, table.model.name, reading.day), table.read(reading))


def _score(table: ScoreTable[S, Inputs, Fitted], work: Work[S], given: ScoreInputs[Inputs]) -> TableOutput:
    choice = given.trainings.choose(work.tracking, table.horizon_days)
    message = choice.said
    fitted = None
    if choice.row is not None:
        fitted = table.model.load(work.tracking, choice.row["model_version"])
    elif table.no_model:
        rows = given.trainings.rows
        message = table.no_model + (f" {rows.iloc[-1]['said']}" if len(rows) else "")
    make = table.score if fitted is not None else (table.without_model or partial(_no_rows, table))
    scoring = Scoring(work, choice, fitted)
    try:
        output = make(scoring, given.inputs)
    except NothingToScoreError as error:
        output, message = _no_rows(table, scoring, given.inputs), message or str(error)
    if not table.covered:
        return output
    return replace(output, checks=[check_coverage(str(work.day), message), *output.checks])


def _no_rows(table: ScoreTable[S, Inputs, Fitted], scoring: Scoring[S, Fitted], _: Inputs) -> TableOutput:
    """Return no rows; the table's own checks have nothing to judge."""
    results = [warn(name, True, "nothing was scored") for name in table.checks]
    return TableOutput(pd.DataFrame(columns=scoring.work.columns), checks=results)
