"""The churn tables that Python writes, in order of computation.

Belongs here: which function reads and computes each table. Does not belong here: these functions.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.churn import checks
from clm_dagster.domains.churn.names import DRIFT, GROUP_METRICS, METRICS, RECENCY, SCORES, VALUE
from clm_dagster.domains.churn.queries import TrainingInputs, read_training, sample_of
from clm_dagster.domains.churn.registered import REGISTERED
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.domains.churn.table_settings import DriftSettings, EvaluationSettings, ScoreSettings
from clm_dagster.domains.churn.table_settings import Settings as TrainingSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.trained_models.champions import WHOLE
from clm_dagster.platform.trained_models.samples import train_customers
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.churn.drift import measure, read_drift
    from clm_dagster.domains.churn.evaluate import EvaluationResult
    from clm_dagster.domains.churn.model import ChurnModel
    from clm_dagster.domains.churn.notes import candidate_runs, notes
    from clm_dagster.domains.churn.report import report
    from clm_dagster.domains.churn.score import read_scoring, score
    from clm_dagster.domains.churn.training import champion_probabilities, evaluate, verdict
else:
    measure, read_drift = late_functions("clm_dagster.domains.churn.drift", "measure", "read_drift")
    candidate_runs, notes = late_functions("clm_dagster.domains.churn.notes", "candidate_runs", "notes")
    (report,) = late_functions("clm_dagster.domains.churn.report", "report")
    read_scoring, score = late_functions("clm_dagster.domains.churn.score", "read_scoring", "score")
    champion_probabilities, evaluate, verdict = late_functions(
        "clm_dagster.domains.churn.training", "champion_probabilities", "evaluate", "verdict"
    )


def churn_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the tables of the trained model, the scores and the feature drift."""
    own = settings.of(ChurnSettings)
    chosen = evaluation_settings(settings)
    most, setting = train_customers(settings, own.train_customers, "CLM_CHURN_TRAIN_CUSTOMERS")
    training = SnapshotSettings(chosen, most, setting)
    scores = ScoreTable(
        SCORES,
        REGISTERED,
        {WHOLE: RECENCY},
        chosen.horizon_days,
        reads=("customer_features", "churn_labels", "margin_rates", "risk_bands", VALUE),
        weeks_back=training.weeks_back,
        settings=ScoreSettings(chosen, most, setting, own.turnover_warn),
        read=read_scoring,
        score=score,
        in_shards=True,
        serve_refused=settings.serve_refused_models,
        checks=checks.SCORED,
        grade_days=chosen.horizon_days,
    )
    drift = ScoreTable(
        DRIFT,
        REGISTERED,
        {WHOLE: RECENCY},
        chosen.horizon_days,
        reads=("customer_features",),
        settings=DriftSettings(chosen, most, setting, own.drift_warn, own.drift_fail),
        read=read_drift,
        score=measure,
        serve_refused=settings.serve_refused_models,
        covered=False,
        checks=checks.DRIFTED,
    )
    return [churn_model(training).table(project), scores.table(project), drift.table(project)]


def churn_model(
    settings: TrainingSettings,
) -> "TrainedModel[TrainingSettings, TrainingInputs, EvaluationResult, ChurnModel]":
    """Return the definition of the trained churn model."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("customer_features", "churn_labels", "stg_customers", "lifecycle_cutoffs"),
        weeks_back=settings.training_weeks_back,
        settings=settings,
        horizon_days=settings.evaluation.horizon_days,
        read=read_training,
        sample=sample_of,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidate_runs,
        champion=champion_probabilities,
        baseline=RECENCY,
        gate=Gate(
            "The winner beats the recency baseline, is calibrated and is not worse than the champion.",
            verdict,
        ),
        metrics=METRICS,
        group_metrics=GROUP_METRICS,
        checks=checks.TRAINING,
    )


def evaluation_settings(settings: Settings) -> EvaluationSettings:
    """Return the evaluation settings that follow from the user's settings."""
    own = settings.of(ChurnSettings)
    return EvaluationSettings(
        horizon_days=own.horizon_days,
        active_days=own.active_days,
        spacing_days=7 * settings.contest_spacing_weeks,
        snapshots=settings.contest_snapshots,
        leak_auc=own.leak_auc,
        calibration_limit=own.calibration_limit,
        lightgbm=own.lightgbm,
    )
