"""Explanations of all candidates of a training that is stored, for those who ask (`clm explain`).

Belongs here: finding the training, evaluating it again, and logging what its MLflow runs lack. Does not: any
explanation; the domains yield them with their candidates (`TrainedModel.candidates`).

A training explains its winner and its baselines, because explanations cost more than fits. An evaluation is
deterministic, so the other candidates can be explained later from the same inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from clm_dagster.errors import UserError
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.python_tables.computing import partition_of
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import tracking_of, warehouse_of
from clm_dagster.platform.tracked_runs import TrackedRun
from clm_dagster.platform.trained_models.training import (
    CandidateRun,
    TrainedModel,
    TrainingInputs,
    candidate_files,
)
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import EvaluationError


class ExplainError(UserError, ValueError):
    """A training cannot be explained. The message says why and what to do."""


@dataclass(frozen=True)
class Explained:
    """What was logged. candidates, files: their numbers. is_changed: whether inputs or code have changed since."""

    model: str
    snapshot: str
    run_id: str
    candidates: int
    files: int
    is_changed: bool

    def __str__(self) -> str:
        changed = (
            " Its inputs or its code have changed since, so the explanations are those of a training now."
            if self.is_changed
            else ""
        )
        return (
            f"Logged {self.files} files of {self.candidates} candidates of {self.model} {self.snapshot} to the "
            f"children of MLflow run {self.run_id}.{changed}"
        )


def explain_training(settings: Settings, name: str, at: date | None, log: Callable[[str], None]) -> Explained:
    """Evaluate a training again and log the explanations of all its candidates to its MLflow runs.

    name: with or without the schema. at: as_of of the training, None for the newest. Raise ExplainError if there is no
    such model, training or run.
    """
    shop = Shop.open(settings)
    table = _table(tables_of(build_domains(shop), shop.project), name)
    model = table.definition
    assert isinstance(model, TrainedModel)
    tracking = tracking_of(settings)
    tracking.open()  # fail fast when MLflow is unreachable
    with warehouse_of(settings).connect(f"clm explain {table.relation}") as connection:
        as_of, run_id = _training(connection, table.relation, at)
        builds, key = Builds.read(connection), key_of_as_of(as_of)
        partition = partition_of(shop.project, settings, table, builds, key)
        given: TrainingInputs[Any] = table.read(Reading(connection, partition, table.settings, shop.project))
        stored = builds.stored(table.relation, key)
    if given.inputs is None:
        raise ExplainError(f"{table.relation} {partition.label} cannot be evaluated again: {given.problem}")
    run = tracking.reopened(run_id)
    if run is None:
        raise ExplainError(
            f"the MLflow store {tracking.uri} does not have the run {run_id} of {table.relation} {partition.label}: "
            f"set MLFLOW_TRACKING_URI to the store that has it, or train again: materialize {table.relation} for {key}"
        )
    work = Work(
        partition=partition,
        settings=table.settings,
        node=table.node,
        code_version=table.code_version,
        tracking=tracking,
        log=log,
        threads=settings.threads,
        data_dir=settings.data_dir.resolve(),
        dagster_run_id="",
        is_shown=False,
        explains_all=True,
    )
    log(f"{table.relation} {partition.label}: evaluating again")
    try:
        candidates, files = _explain(model, work, given.inputs, run)
    except EvaluationError as error:
        raise ExplainError(
            f"{table.relation} {partition.label} cannot be evaluated again: {error}"
        ) from error
    changed = stored is None or stored.hash != partition.version.hash
    return Explained(table.relation, partition.label, run_id, candidates, files, changed)


def _table(tables: list[AnyTable], name: str) -> AnyTable:
    """Return the table of trainings with this name. Raise ExplainError with the known names."""
    trained = {table.relation: table for table in tables if isinstance(table.definition, TrainedModel)}
    full = name if "." in name else f"models.{name}"
    if full not in trained:
        known = ", ".join(sorted(relation.removeprefix("models.") for relation in trained))
        raise ExplainError(f"{name} is not a trained model; give one of {known}")
    return trained[full]


def _training(connection: Connection, relation: str, at: date | None) -> tuple[datetime, str]:
    """Return as_of and MLflow run of a stored training. Raise ExplainError if there is none."""
    rows = []
    if connection.relation_kind(relation) is not None:
        rows = connection.execute(
            f"select as_of, mlflow_run_id from {relation} where mlflow_run_id is not null order by as_of"
        )
    if not rows:
        raise ExplainError(f"{relation} has no training with a model: train it first, with `clm run`")
    chosen = [row for row in rows if at is None or row[0].date() == at]
    if not chosen:
        known = ", ".join(str(row[0].date()) for row in rows)
        raise ExplainError(f"{relation} has no training with a model at {at}; it has {known}")
    as_of, run_id = chosen[-1]
    return as_of, run_id


def _explain(
    model: TrainedModel[Any, Any, Any, Any], work: Work[Any], inputs: Any, run: TrackedRun
) -> tuple[int, int]:
    """Log what the children of the run lack. Return the numbers of candidates and files."""
    result = model.evaluate(work, inputs)
    candidates = files = 0
    for candidate in model.candidates(work, inputs, result) if model.candidates else ():
        candidates += 1
        files += _log_missing(run, candidate)
    return candidates, files


def _log_missing(run: TrackedRun, candidate: CandidateRun) -> int:
    """Log the parameters, metrics and steps that a child run does not have, and all files. Return their number."""
    known = run.children.get(candidate.name)
    parameters = {} if known is None else known.data.params
    metrics = {} if known is None else known.data.metrics
    contents = candidate_files(candidate)
    with run.child(candidate.name) as child:
        child.log(
            {name: value for name, value in candidate.parameters.items() if name not in parameters},
            {name: value for name, value in candidate.metrics.items() if name not in metrics},
            {
                step: {name: value for name, value in values.items() if name not in metrics}
                for step, values in candidate.steps.items()
            },
        )
        child.files(contents)
    return len(contents)
