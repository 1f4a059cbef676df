"""The customer value tables that Python writes, in order of computation.

Belongs here: which function reads and computes each table. Does not belong here: these functions.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.value import checks
from clm_dagster.domains.value.names import METRICS, MODEL, OWN_PAST, VALUE, WEEKLY
from clm_dagster.domains.value.queries import read_training, sample_of
from clm_dagster.domains.value.registered import REGISTERED
from clm_dagster.domains.value.settings import ValueSettings
from clm_dagster.domains.value.table_settings import EvaluationSettings
from clm_dagster.domains.value.table_settings import Settings as TrainingSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.champions import WHOLE
from clm_dagster.platform.trained_models.samples import train_customers
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.snapshots import SnapshotInputs, SnapshotSettings
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.value.evaluate import EvaluationResult
    from clm_dagster.domains.value.model import ValueModel
    from clm_dagster.domains.value.notes import candidate_runs, notes
    from clm_dagster.domains.value.report import report
    from clm_dagster.domains.value.score import expect_weekly, read_scoring, read_weekly, score
    from clm_dagster.domains.value.training import champion_amounts, evaluate, verdict
else:
    candidate_runs, notes = late_functions("clm_dagster.domains.value.notes", "candidate_runs", "notes")
    (report,) = late_functions("clm_dagster.domains.value.report", "report")
    expect_weekly, read_scoring, read_weekly, score = late_functions(
        "clm_dagster.domains.value.score", "expect_weekly", "read_scoring", "read_weekly", "score"
    )
    champion_amounts, evaluate, verdict = late_functions(
        "clm_dagster.domains.value.training", "champion_amounts", "evaluate", "verdict"
    )


def value_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the tables of the trained model, the value of each customer, and the expected value by week."""
    chosen = training_settings(settings)
    scores = ScoreTable(
        VALUE,
        REGISTERED,
        {WHOLE: OWN_PAST},
        chosen.evaluation.horizon_days,
        reads=("customer_features", "value_labels"),
        weeks_back=chosen.weeks_back,
        settings=chosen,
        read=read_scoring,
        score=score,
        in_shards=True,
        serve_refused=settings.serve_refused_models,
        grade_days=chosen.evaluation.horizon_days,
    )
    weekly = PythonTable.of(
        project, WEEKLY, ("customer_features", VALUE), read_weekly, expect_weekly, None, MODEL
    )
    return [value_model(chosen).table(project), scores.table(project), weekly]


def value_model(
    settings: TrainingSettings,
) -> "TrainedModel[TrainingSettings, SnapshotInputs, EvaluationResult, ValueModel]":
    """Return the definition of the trained customer value model."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("customer_features", "value_labels"),
        weeks_back=settings.training_weeks_back,
        settings=settings,
        horizon_days=settings.evaluation.horizon_days,
        read=read_training,
        sample=sample_of,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidate_runs,
        champion=champion_amounts,
        baseline=OWN_PAST,
        gate=Gate(
            "The winner beats the past-spend baselines, its intervals have the nominal coverage, and it is not worse "
            "than the champion.",
            verdict,
        ),
        metrics=METRICS,
        checks=checks.TRAINING,
    )


def training_settings(settings: Settings) -> SnapshotSettings[EvaluationSettings]:
    """Return the training settings that follow from the user's settings."""
    evaluation = EvaluationSettings(
        horizon_days=settings.of(ValueSettings).horizon_days,
        spacing_days=7 * settings.contest_spacing_weeks,
        snapshots=settings.contest_snapshots,
        lightgbm=settings.of(ValueSettings).lightgbm,
    )
    most = settings.of(ValueSettings).train_customers
    return SnapshotSettings(evaluation, *train_customers(settings, most, "CLM_VALUE_TRAIN_CUSTOMERS"))
