"""The engine of trained models: one training as a Dagster step.

Belongs here: what all trainings share: MLflow runs, gates, promotion, the row of the table of trainings, metrics,
checks, metadata. Does not: any model; a domain defines it with a `TrainedModel`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import dagster as dg
import numpy as np
import pandas as pd

from clm_dagster.platform.build_ledger.code_version import Root
from clm_dagster.platform.charts import Drawing, figure_png, png_metadata
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.mlflow_store.registrations import StoredTraining
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.tables import PythonTable
from clm_dagster.platform.tracked_runs import TrackedRun
from clm_dagster.platform.tracking import MissingModelError, training_tags
from clm_dagster.platform.trained_models import checks
from clm_dagster.platform.trained_models.champions import (
    accepted_column,
    champion_row,
    has_model_at,
    read_models,
    row_without_model,
    stored_trainings,
)
from clm_dagster.platform.trained_models.descriptions import describe_version
from clm_dagster.platform.trained_models.metrics import Metric, side_rows
from clm_dagster.platform.trained_models.registered import RegisteredModel
from clm_dagster.platform.trained_models.samples import TrainingSample
from clm_dagster.statistics.evaluation import EvaluationError, Verdict

S = TypeVar("S")
Inputs = TypeVar("Inputs")
Result = TypeVar("Result")
Fitted = TypeVar("Fitted")
Champion = TypeVar("Champion")
# Longer texts are stored in the table but not shown as metadata.
_MAX_TEXT = 1_000


@dataclass(frozen=True)
class CandidateRun:
    """Content of a candidate's MLflow run, a child of the training's run.

    steps: metrics along an axis, such as a learning curve: step -> metrics. figures: file name -> drawing, which
    positions its own axes. documents: file name -> JSON.
    """

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    steps: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    figures: Mapping[str, Drawing] = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report(Generic[Fitted]):
    """Output of an evaluation for the warehouse and the registry.

    fitted: the model to register, None if there is none. example: input rows of the model. data_hash, trained_as_of:
    hash and newest as_of of the training data. row: the domain's columns of the table of trainings. metrics: rows of
    the long tables. suspected_leak: whether a metric is too good to be true.
    """

    fitted: Fitted | None
    example: pd.DataFrame | None
    data_hash: str
    trained_as_of: object
    row: Mapping[str, object]
    metrics: Sequence[Metric] = ()
    suspected_leak: bool = False


@dataclass(frozen=True)
class Notes:
    """Output of an evaluation for Dagster and MLflow only; no row of a table depends on it.

    evaluated: a sentence about the candidates and the data. parameters, metrics: of the training's MLflow run. texts,
    documents: MLflow artifacts by file name. drawings: figures by name, for Dagster and MLflow. figures: figures by
    file name, for MLflow only. tables: markdown tables by name, for Dagster. facts: additional metadata. checks:
    results of the domain's checks.
    """

    evaluated: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    drawings: Mapping[str, Drawing] = field(default_factory=dict)
    figures: Mapping[str, Drawing] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    checks: Sequence[dg.AssetCheckResult] = ()


@dataclass(frozen=True)
class Gate(Generic[Inputs, Result, Champion]):
    """The rule by which a model becomes champion.

    description: the rule in a sentence. verdict: applies it to the inputs, the result, the predictions of the previous
    champion on the same test (None if there is none), and whether this is the newest partition.
    """

    description: str
    verdict: Callable[[Inputs, Result, Champion | None, bool], Verdict]


@dataclass(frozen=True)
class TrainedModel(Generic[S, Inputs, Result, Fitted]):
    """A domain's definition of a model that is trained at snapshots.

    registered: its name in the warehouse and in MLflow, and its estimator. reads, weeks_back, settings: as for any
    PythonTable. horizon_days: length of the forecast period after as_of. read: reads the inputs from the warehouse.
    sample: which part of the shop they are. evaluate: fits and compares the candidates. read and evaluate raise
    EvaluationError if no evaluation is possible. report: output for the tables and the registry. evaluate and report
    are pure functions. notes: output for Dagster and MLflow.
    candidates: content of the MLflow run of each candidate. baseline: the naive candidate that it must beat. gate: the
    rule for champions; None if the newest model always serves. champion: predictions of the previous champion on the
    test of this evaluation. metrics: names of the metrics in its report; group_metrics: those of them that only
    groups have. checks: names and descriptions of its own checks. without_model: added to the message of the table
    while there is no model. carries_over: whether a training reads the one before it.
    """

    registered: RegisteredModel[Fitted]
    reads: tuple[str, ...]
    settings: S
    horizon_days: int | None
    read: Callable[[Reading[S]], Inputs]
    sample: Callable[[Inputs], TrainingSample]
    evaluate: Callable[[Work[S], Inputs], Result]
    report: Callable[[Work[S], Inputs, Result], Report[Fitted]]
    notes: Callable[[Work[S], Inputs, Result], Notes]
    baseline: str
    gate: Gate[Inputs, Result, Any] | None = None
    champion: Callable[[Fitted, Inputs, Result], Any] | None = None
    candidates: Callable[[Work[S], Inputs, Result], Iterable[CandidateRun]] | None = None
    metrics: tuple[str, ...] = ()
    group_metrics: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    without_model: str = ""
    weeks_back: tuple[int, ...] = ()
    carries_over: bool = True

    @property
    def name(self) -> str:
        """The table of trainings and the registered model: `models.churn_model`."""
        return self.registered.name

    def table(self, project: Project) -> PythonTable["TrainingInputs[Inputs]", S]:
        """Return its table of trainings."""
        gate = checks.evaluation_checks(self.gate.description) if self.gate else {}
        decisive: list[Root] = [self.read, self.sample, self.evaluate, self.report]
        decisive += [self.registered.pack, *self.registered.code]
        decisive += [self.gate.verdict] if self.gate else []
        decisive += [self.champion] if self.champion else []
        return PythonTable.of(
            project,
            self.name,
            self.reads,
            read=partial(_read, self),
            compute=partial(_train, self, project),
            settings=self.settings,
            model=self.name if self.carries_over else None,
            weeks_back=self.weeks_back,
            checks=gate | dict(self.checks),
            metrics=self.metrics,
            code=decisive,
            definition=self,
        )


@dataclass(frozen=True)
class TrainingInputs(Generic[Inputs]):
    """Inputs of a training.

    before: rows of earlier trainings. has_model: whether a model is already stored for this snapshot. stored: all rows
    of the table. inputs: the domain's inputs; None if no evaluation is possible. problem: the reason for that.
    """

    before: pd.DataFrame
    has_model: bool
    stored: Sequence[StoredTraining]
    inputs: Inputs | None
    problem: str = ""


def _read(model: TrainedModel[S, Inputs, Any, Any], reading: Reading[S]) -> TrainingInputs[Inputs]:
    trained = read_models(reading.connection, model.name, reading.day)
    before, has_model = trained[trained["as_of"] < reading.as_of], has_model_at(trained, reading.as_of)
    stored = stored_trainings(reading.connection, model.name)
    try:
        return TrainingInputs(before, has_model, stored, model.read(reading))
    except EvaluationError as error:
        return TrainingInputs(before, has_model, stored, None, str(error))


def _train(
    model: TrainedModel[S, Inputs, Result, Fitted],
    project: Project,
    work: Work[S],
    given: TrainingInputs[Inputs],
) -> TableOutput:
    """Evaluate, register and describe the model of one snapshot."""
    work.tracking.try_to_write()  # fail before the training if MLflow is unreachable or read-only
    for done in work.tracking.settle(model.name, given.stored):
        work.log(done)
    if given.inputs is None:
        return _without_model(model, project, work, given, given.problem)
    try:
        result = model.evaluate(work, given.inputs)
    except EvaluationError as error:
        return _without_model(model, project, work, given, str(error))
    report, sample = model.report(work, given.inputs, result), model.sample(given.inputs)
    notes = model.notes(work, given.inputs, result)
    drawn = {}
    if work.is_shown or report.fitted is not None:
        drawn = {name: figure_png(*drawing) for name, drawing in notes.drawings.items()}
    # `as_newest` is independent of later trainings and decides past scores; `verdict` decides the promotion now.
    verdict = as_newest = Verdict(True, ())
    if model.gate:
        champion = _previous_champion(model, work, given, result)
        as_newest = model.gate.verdict(given.inputs, result, champion, True)
        newest = work.partition.is_newest
        verdict = as_newest if newest else model.gate.verdict(given.inputs, result, champion, False)
    run_id, logged = None, None
    if report.fitted is not None:
        with _mlflow_run(work, report, sample) as run:
            run_id = run.run_id
            run.log(sample.parameters)
            _log_notes(run, notes, drawn, str(verdict))
            _log_candidates(model, run, work, given.inputs, result)
            assert report.example is not None
            registration = describe_version(model, work, report, sample, verdict)
            logged = model.registered.log(run, report.fitted, report.example, registration)
    row = {
        "model_name": model.name,
        "model_version": logged.version if logged else None,
        "mlflow_run_id": run_id,
        "model_uri": logged.uri if logged else None,
        "training_data_hash": report.data_hash,
        "horizon_days": model.horizon_days,
        "accepted": as_newest.accepted,
        **{accepted_column(part): passed for part, passed in as_newest.parts.items()},
        "suspected_leak": report.suspected_leak,
        "said": str(verdict),
        **sample.row,
        **report.row,
    }
    columns = work.columns
    results = (
        [*checks.check_evaluation(work.label, notes.evaluated, as_newest, verdict)] if model.gate else []
    )
    return TableOutput(
        pd.DataFrame([{name: row[name] for name in columns}], columns=columns),
        (png_metadata(drawn) if work.is_shown else {})
        | {name: dg.MetadataValue.md(text) for name, text in notes.tables.items()}
        | _shown({name: row[name] for name in columns})
        | {"training_sample": str(sample), **notes.facts},
        [*results, *notes.checks],
        side_rows(project, model.name, report.metrics, model.metrics, model.group_metrics),
        partial(work.tracking.complete, model.name, logged.version, registration.is_champion)
        if logged
        else None,
    )


def _without_model(
    model: TrainedModel[S, Inputs, Any, Any],
    project: Project,
    work: Work[S],
    given: TrainingInputs[Inputs],
    problem: str,
) -> TableOutput:
    """Return a row with the reason why there is no model. Raise dg.Failure if one is stored, to keep it."""
    message = f"{problem}{model.without_model}"
    row = row_without_model(
        model.name, work.columns, work.partition.key, model.horizon_days, message, given.has_model
    )
    results = checks.check_no_evaluation(f"{work.label}: {message}", *model.checks) if model.gate else []
    return TableOutput(row, {"said": message}, results, side_rows(project, model.name, [], model.metrics))


def _previous_champion(
    model: TrainedModel[S, Inputs, Result, Fitted],
    work: Work[S],
    given: TrainingInputs[Inputs],
    result: Result,
) -> Any:
    """Return the predictions of the previous champion on this evaluation's test; None if there is none."""
    if model.champion is None or model.horizon_days is None or given.inputs is None:
        return None
    row = champion_row(given.before, model.horizon_days)
    if row is None:
        return None
    try:
        fitted = model.registered.load(work.tracking, row["model_version"], row["mlflow_run_id"])
    except MissingModelError as error:
        work.log(f"{work.day}: there is no comparison with the previous champion: {error}")
        return None
    return model.champion(fitted, given.inputs, result)


def _log_notes(run: TrackedRun, notes: Notes, drawn: Mapping[str, bytes], message: str) -> None:
    """Log the training itself. drawn: its drawings as PNG, which the UI shows too."""
    run.log(notes.parameters, notes.metrics)
    run.files(
        {file: _json({"said": message, **content}) for file, content in notes.documents.items()}
        | {file: text.encode() for file, text in notes.texts.items()}
        | {f"{name}.png": png for name, png in drawn.items()}
        | {file: figure_png(*drawing) for file, drawing in notes.figures.items()}
    )


def _log_candidates(
    model: TrainedModel[S, Inputs, Result, Any],
    run: TrackedRun,
    work: Work[S],
    inputs: Inputs,
    result: Result,
) -> None:
    """Log every candidate as a child run."""
    for candidate in model.candidates(work, inputs, result) if model.candidates else ():
        with run.child(candidate.name) as child:
            child.log(candidate.parameters, candidate.metrics, candidate.steps)
            child.files(candidate_files(candidate))


def candidate_files(candidate: CandidateRun) -> dict[str, bytes]:
    """Return the documents and figures of a candidate by file name."""
    return {file: _json(content) for file, content in candidate.documents.items()} | {
        file: figure_png(*drawing, fitted=False) for file, drawing in candidate.figures.items()
    }


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, indent=2, default=str).encode()


def _mlflow_run(
    work: Work[Any], report: Report[Any], sample: TrainingSample
) -> AbstractContextManager[TrackedRun]:
    partition = work.partition
    tags = training_tags(work.code_version, partition.version.hash, report.data_hash, report.trained_as_of)
    tags["clm.training_sample"] = sample.tag
    asset = "/".join((work.node.schema, work.node.name))
    return work.tracking.run(asset, partition.key, work.dagster_run_id, tags)


def _shown(row: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    """Return the values of a row as metadata for Dagster: dates as text, without long texts."""
    found: dict[str, str | bool | int | float] = {}
    for name, value in row.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if plain is None or (isinstance(plain, str) and len(plain) > _MAX_TEXT):
            continue
        found[name] = plain if isinstance(plain, str | bool | int | float) else str(plain)
    return found
