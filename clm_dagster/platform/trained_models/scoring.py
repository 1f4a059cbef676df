"""Tables of scores: a snapshot scored by the champion as of that snapshot.

Belongs here: choosing and loading the model, the columns that name it, the check that a champion existed. Does not:
any scores; a domain defines them with a `ScoreTable`.
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
# Columns of a score table that name the model -> columns of the table of trainings.
_MODEL_COLUMNS = {
    "model_name": "model_name",
    "model_version": "model_version",
    "model_as_of": "as_of",
    "training_data_hash": "training_data_hash",
}


class NothingToScoreError(ValueError):
    """A snapshot has nothing to score. The message says what is missing."""


@dataclass(frozen=True)
class Scoring(Generic[S, Fitted]):
    """Argument of a domain's `score`.

    work: the step. choice: the chosen model as a row of the table of trainings. fitted: the loaded model, None if there
    is no model.
    """

    work: Work[S]
    choice: Choice
    fitted: Fitted | None

    @property
    def settings(self) -> S:
        """The settings of the table."""
        return self.work.settings

    def stamped(self, frame: pd.DataFrame, **more: object) -> pd.DataFrame:
        """Return all columns of the table: those of the frame, `more`, and those that name the model."""
        row = self.choice.row
        model = (
            {}
            if row is None
            else {name: row[source] for name, source in _MODEL_COLUMNS.items() if source in row}
        )
        missing = {name: value for name, value in (model | more).items() if name not in frame}
        return frame.assign(**missing)[self.work.columns]

    def facts(self) -> dict[str, str]:
        """Return the version and as_of of the model as metadata."""
        row = self.choice.row
        return (
            {}
            if row is None
            else {"model_version": str(row["model_version"]), "model_as_of": str(row["as_of"])}
        )


@dataclass(frozen=True)
class ScoreTable(Generic[S, Inputs, Fitted]):
    """A table of scores of one trained model.

    name: of the table. model: the registered model whose champion scores it. horizon_days: required horizon of the
    model. score: computes the rows with a model. without_model: computes them without one; None for no rows. no_model:
    message of the coverage check in that case, if not the default. covered: whether the table has a coverage check.
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
        """Return the Python table."""
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
    """Inputs of scoring: the trainings up to as_of, and the domain's inputs."""

    trainings: Trainings
    inputs: Inputs


def _read(table: ScoreTable[S, Inputs, Any], reading: Reading[S]) -> ScoreInputs[Inputs]:
    return ScoreInputs(Trainings.read(reading.connection, table.model.name, reading.day), table.read(reading))


def _score(table: ScoreTable[S, Inputs, Fitted], work: Work[S], given: ScoreInputs[Inputs]) -> TableOutput:
    choice = given.trainings.choose(work.tracking, table.horizon_days)
    message = choice.message
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
    """Return no rows, and passed results for the table's own checks."""
    results = [warn(name, True, "nothing was scored") for name in table.checks]
    return TableOutput(pd.DataFrame(columns=scoring.work.columns), checks=results)
