"""The tables of the uplift model, in the order of computation.

Belongs here: what each table reads and which functions compute it. Does not: those functions.
"""

from typing import TYPE_CHECKING

from clm_dagster.domains.actions.settings import ActionSettings
from clm_dagster.domains.actions.table_settings import ResultSettings
from clm_dagster.domains.actions.uplift.names import AVERAGE, METRICS, SCORES
from clm_dagster.domains.actions.uplift.registered import REGISTERED
from clm_dagster.domains.actions.uplift.table_settings import UpliftSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.trained_models.champions import WHOLE
from clm_dagster.platform.trained_models.samples import train_customers
from clm_dagster.platform.trained_models.scoring import ScoreTable
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.actions.uplift.contest import UpliftResult
    from clm_dagster.domains.actions.uplift.model import UpliftModel
    from clm_dagster.domains.actions.uplift.notes import candidate_runs, notes
    from clm_dagster.domains.actions.uplift.report import report
    from clm_dagster.domains.actions.uplift.sample import Sample, read_sample, training_sample
    from clm_dagster.domains.actions.uplift.score import read_scoring, score
    from clm_dagster.domains.actions.uplift.training import evaluate, verdict
else:
    candidate_runs, notes = late_functions(
        "clm_dagster.domains.actions.uplift.notes", "candidate_runs", "notes"
    )
    (report,) = late_functions("clm_dagster.domains.actions.uplift.report", "report")
    read_sample, training_sample = late_functions(
        "clm_dagster.domains.actions.uplift.sample", "read_sample", "training_sample"
    )
    read_scoring, score = late_functions("clm_dagster.domains.actions.uplift.score", "read_scoring", "score")
    evaluate, verdict = late_functions("clm_dagster.domains.actions.uplift.training", "evaluate", "verdict")

_CUSTOMERS = ("customer_features", "stg_customers")
_CONTACTS = ("stg_touches", "customer_daily", "campaign_arms", "customer_identities")


def uplift_tables(project: Project, settings: Settings, campaigns: ResultSettings) -> list[AnyTable]:
    """Return the tables of the trained model and of its scores. campaigns: what a campaign and its arms are."""
    own = settings.of(ActionSettings).uplift_train_customers
    chosen = UpliftSettings(campaigns, *train_customers(settings, own, "CLM_UPLIFT_TRAIN_CUSTOMERS"))
    scores = ScoreTable(
        SCORES,
        REGISTERED,
        {WHOLE: AVERAGE},
        chosen.horizon_days,
        reads=_CUSTOMERS,
        settings=chosen,
        read=read_scoring,
        score=score,
        in_shards=True,
        serve_refused=settings.serve_refused_models,
        # Most shops have no random arms, and their plans do without: no warning every week.
        is_optional=True,
    )
    return [uplift_model(chosen).table(project), scores.table(project)]


def uplift_model(
    settings: UpliftSettings,
) -> "TrainedModel[UpliftSettings, Sample, UpliftResult, UpliftModel]":
    """Return the definition of the trained uplift model."""
    return TrainedModel(
        registered=REGISTERED,
        reads=(*_CUSTOMERS, *_CONTACTS),
        weeks_back=settings.weeks_back,
        settings=settings,
        horizon_days=settings.horizon_days,
        read=read_sample,
        sample=training_sample,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidate_runs,
        baseline=AVERAGE,
        gate=Gate(
            "For at least one arm, the Qini area of the winner is clear of zero and of that of a ranking by response.",
            verdict,
        ),
        metrics=METRICS,
        without_model="; plans use the effects of the playbook.",
        carries_over=False,
    )
