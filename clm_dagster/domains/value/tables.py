"""The customer value tables that Python writes, in order of computation.

Belongs here: which function reads and computes each table. Does not belong here: these functions.
"""

from clm_dagster.domains.value.gates import OWN_PAST
from clm_dagster.domains.value.plan import EvaluationSettings
from clm_dagster.domains.value.queries import MODEL, VALUE, WEEKLY
from clm_dagster.domains.value.score import expect_weekly, read_scoring, read_weekly, score
from clm_dagster.domains.value.served import REGISTERED
from clm_dagster.domains.value.settings import ValueSettings
from clm_dagster.domains.value.training import value_model
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.platform.trained_models.champions import WHOLE
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.snapshots import SnapshotSettings
from clm_dagster.settings import Settings


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
        serve_refused=settings.serve_refused_models,
        grade_days=chosen.evaluation.horizon_days,
    )
    weekly = PythonTable.of(
        project, WEEKLY, ("customer_features", VALUE), read_weekly, expect_weekly, None, MODEL
    )
    return [value_model(chosen).table(project), scores.table(project), weekly]


def training_settings(settings: Settings) -> SnapshotSettings[EvaluationSettings]:
    """Return the training settings that follow from the user's settings."""
    evaluation = EvaluationSettings(
        horizon_days=settings.of(ValueSettings).horizon_days,
        spacing_days=7 * settings.contest_spacing_weeks,
        snapshots=settings.contest_snapshots,
        lightgbm=settings.of(ValueSettings).lightgbm,
    )
    return SnapshotSettings(evaluation, settings.train_customers)
