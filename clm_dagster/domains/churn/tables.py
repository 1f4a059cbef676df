"""The churn tables that Python writes, in order of computation.

Belongs here: which function reads and computes each table. Does not belong here: these functions.
"""

from clm_dagster.domains.churn import checks
from clm_dagster.domains.churn.candidates import RECENCY
from clm_dagster.domains.churn.drift import DriftSettings, measure, read_drift
from clm_dagster.domains.churn.plan import EvaluationSettings
from clm_dagster.domains.churn.queries import DRIFT, SCORES, VALUE
from clm_dagster.domains.churn.score import ScoreSettings, read_scoring, score
from clm_dagster.domains.churn.served import REGISTERED
from clm_dagster.domains.churn.settings import ChurnSettings
from clm_dagster.domains.churn.training import churn_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.trained_models.champions import WHOLE
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster.settings import Settings


def churn_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the tables of the trained model, the scores and the feature drift."""
    own = settings.of(ChurnSettings)
    chosen = evaluation_settings(settings)
    training = SnapshotSettings(chosen, settings.train_customers)
    scores = ScoreTable(
        SCORES,
        REGISTERED,
        {WHOLE: RECENCY},
        chosen.horizon_days,
        reads=("customer_features", "churn_labels", "product_daily", "stg_products", "risk_bands", VALUE),
        weeks_back=training.weeks_back,
        settings=ScoreSettings(chosen, settings.train_customers, settings.margin, own.turnover_warn),
        read=read_scoring,
        score=score,
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
        settings=DriftSettings(chosen, settings.train_customers, own.drift_warn, own.drift_fail),
        read=read_drift,
        score=measure,
        serve_refused=settings.serve_refused_models,
        covered=False,
        checks=checks.DRIFTED,
    )
    return [churn_model(training).table(project), scores.table(project), drift.table(project)]


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
