"""Tables of scores: a snapshot scored by the champion as of that snapshot, or by the naive baseline.

Belongs here: loading what serves, the columns that name it, the check that a champion existed. Does not: the rule
(`champions`), any scores; a domain defines them with a `ScoreTable`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar, cast

import pandas as pd

from clm_dagster.platform.build_ledger.code_version import Root
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.mlflow_store.registrations import StoredTraining
from clm_dagster.platform.python_tables.in_shards import Computed, followed
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.tables import PythonTable
from clm_dagster.platform.trained_models.champions import (
    WHOLE,
    Served,
    Trainings,
    baseline_name,
    stored_trainings,
)
from clm_dagster.platform.trained_models.checks import COVERAGE_CHECK, check_coverage, warn
from clm_dagster.platform.trained_models.registered import RegisteredModel
from clm_dagster.platform.trained_models.serving import serving_rows

S = TypeVar("S")
Inputs = TypeVar("Inputs")
Fitted = TypeVar("Fitted")


class NothingToScoreError(ValueError):
    """A snapshot has nothing to score. The message says what is missing."""


@dataclass(frozen=True)
class Scoring(Generic[S, Fitted]):
    """Argument of a domain's `score`.

    work: the step. served: what serves each part of the table; a table without parts has the single part `WHOLE`.
    """

    work: Work[S]
    served: Mapping[str, Served[Fitted]]

    @property
    def settings(self) -> S:
        """The settings of the table."""
        return self.work.settings

    @property
    def whole(self) -> Served[Fitted]:
        """What serves a table without parts."""
        return self.served[WHOLE]

    def stamped(self, frame: pd.DataFrame, part: str = WHOLE) -> pd.DataFrame:
        """Return all columns of the table: those of the frame, and those that name what serves the part."""
        found = frame.copy()
        for name, value in self.served[part].columns().items():
            if name not in found:
                found[name] = value
        return found[self.work.columns]

    def facts(self) -> dict[str, str]:
        """Return what serves as metadata, for each part."""
        found: dict[str, str] = {}
        for part, one in self.served.items():
            names = ("model_name", "model_version", "model_as_of")
            columns = {name: value for name, value in one.columns().items() if name in names}
            found |= {f"{part} {name}".strip(): str(value) for name, value in columns.items()}
        return found

    def messages(self, is_scored: bool) -> list[str]:
        """Return why no champion serves, for each part, and what serves instead if the snapshot is scored."""
        found = []
        for part, one in self.served.items():
            if one.choice.message is not None:
                name = baseline_name(one.baseline)
                what = (
                    f" The naive baseline {name} serves instead."
                    if one.choice.is_baseline and is_scored
                    else ""
                )
                found.append(f"{part}: {one.choice.message}{what}".removeprefix(": "))
        return found


@dataclass(frozen=True)
class ScoreTable(Generic[S, Inputs, Fitted]):
    """A table of scores of one trained model.

    name: of the table. model: the registered model. baselines: the naive candidate that serves each part without a
    champion; the key `WHOLE` for a table that is judged as a whole. horizon_days: required horizon of the model. score:
    computes the rows, at once or shard by shard; it raises NothingToScoreError where there are none. serve_refused: the
    setting CLM_SERVE_REFUSED_MODELS. has_fitted_baseline: whether the baseline takes anything from a training. covered:
    whether the table has a coverage check. is_optional: whether many shops have nothing that the model could learn
    from, so that the coverage check passes for a snapshot without scores. grade_days: days after as_of until the scores
    can be graded; None where not.
    """

    name: str
    model: RegisteredModel[Fitted]
    baselines: Mapping[str, str]
    horizon_days: int
    reads: tuple[str, ...]
    settings: S
    read: Callable[[Reading[S]], Inputs]
    score: Callable[[Scoring[S, Fitted], Inputs], Computed]
    serve_refused: bool = False
    has_fitted_baseline: bool = True
    covered: bool = True
    is_optional: bool = False
    checks: Mapping[str, str] = field(default_factory=dict)
    weeks_back: tuple[int, ...] = ()
    grade_days: int | None = None

    def table(self, project: Project) -> PythonTable["ScoreInputs[Inputs]", "ScoreSettings[S]"]:
        """Return the Python table."""
        decisive: list[Root] = [self.read, self.score, Trainings, Served, *self.model.code]
        return PythonTable.of(
            project,
            self.name,
            self.reads,
            read=partial(_read, self),
            compute=partial(_score, self, project),
            settings=ScoreSettings(self.settings, self.serve_refused),
            model=self.model.name,
            weeks_back=self.weeks_back,
            checks=(COVERAGE_CHECK if self.covered else {}) | dict(self.checks),
            code=decisive,
            grade_days=self.grade_days,
        )


@dataclass(frozen=True)
class ScoreSettings(Generic[S]):
    """Settings of a table of scores: those of the domain, and whether refused models serve."""

    domain: S
    serve_refused: bool


@dataclass(frozen=True)
class ScoreInputs(Generic[Inputs]):
    """Inputs of scoring: the trainings up to as_of, those of all dates, and the domain's inputs."""

    trainings: Trainings
    stored: Sequence[StoredTraining]
    inputs: Inputs


def _read(table: ScoreTable[S, Inputs, Any], reading: Reading[ScoreSettings[S]]) -> ScoreInputs[Inputs]:
    own: Reading[S] = replace(cast(Any, reading), settings=table.settings)
    trainings = Trainings.read(reading.connection, table.model.name, reading.day)
    return ScoreInputs(trainings, stored_trainings(reading.connection, table.model.name), table.read(own))


def _score(
    table: ScoreTable[S, Inputs, Fitted],
    project: Project,
    work: Work[ScoreSettings[S]],
    given: ScoreInputs[Inputs],
) -> Computed:
    own: Work[S] = replace(cast(Any, work), settings=table.settings)
    for done in work.tracking.settle(table.model.name, given.stored):
        work.log(done)
    scoring = Scoring(own, _what_serves(table, own, given.trainings))
    try:
        computed, is_scored = table.score(scoring, given.inputs), True
        messages = scoring.messages(is_scored=True)
    except NothingToScoreError as error:
        computed, is_scored = _no_rows(table, scoring), False
        messages = [*scoring.messages(is_scored=False), str(error)]
    for message in messages:
        work.log(f"{work.label}: {message}")
    if not table.covered:
        return computed

    def covered(output: TableOutput) -> TableOutput:
        return replace(
            output,
            checks=[
                check_coverage(work.label, " ".join(messages) or None, is_scored or not table.is_optional),
                *output.checks,
            ],
            sides=[
                *output.sides,
                serving_rows(project, table.model.name, table.name, scoring.served, is_scored),
            ],
        )

    return followed(computed, covered)


def _what_serves(
    table: ScoreTable[S, Inputs, Fitted], work: Work[S], trainings: Trainings
) -> dict[str, Served[Fitted]]:
    """Return what serves each part, with its loaded model. A version that serves several parts is loaded once."""
    loaded: dict[str, Fitted] = {}
    served = {}
    for part, baseline in table.baselines.items():
        choice = trainings.choose(work.tracking, table.horizon_days, part, table.serve_refused)
        if choice.is_baseline and not table.has_fitted_baseline:
            choice = replace(choice, row=None)
        fitted = None
        if choice.row is not None:
            version = choice.version
            if version not in loaded:
                loaded[version] = table.model.load(work.tracking, version, choice.run_id)
            fitted = loaded[version]
        served[part] = Served(choice, fitted, baseline)
    return served


def _no_rows(table: ScoreTable[S, Inputs, Fitted], scoring: Scoring[S, Fitted]) -> TableOutput:
    """Return no rows, and passed results for the table's own checks."""
    results = [warn(name, True, "nothing was scored") for name in table.checks]
    return TableOutput(pd.DataFrame(columns=scoring.work.columns), checks=results)
