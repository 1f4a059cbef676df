"""The trained model of churn: what the engine of trained models is told.

Belongs here: the domain's answers to the engine. Does not: the evaluation (`evaluate`), what is read (`queries`), what
the tables hold of it (`report`), what people see (`notes`).
"""

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.churn import checks
from clm_dagster.domains.churn.candidates import RECENCY
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.notes import candidate_runs, notes
from clm_dagster.domains.churn.queries import Settings, TrainingInputs, read_training
from clm_dagster.domains.churn.report import METRICS, report
from clm_dagster.domains.churn.served import REGISTERED
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.statistics.evaluation import Verdict


def churn_model(
    settings: Settings,
) -> TrainedModel[Settings, TrainingInputs, EvaluationResult, ChurnModel]:
    """Return the trained model of churn."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("customer_features", "churn_labels", "stg_customers", "lifecycle_cutoffs"),
        weeks_back=settings.training_weeks_back,
        settings=settings,
        horizon_days=settings.evaluation.horizon_days,
        read=read_training,
        evaluate=evaluate,
        report=report,
        notes=notes,
        candidates=candidate_runs,
        champion=champion_probabilities,
        baseline=RECENCY,
        gate=Gate(
            "The winner beats recency alone, its probabilities hold, no worse than the champion's.", verdict
        ),
        metrics=METRICS,
        checks=checks.TRAINING,
    )


def evaluate(_: Work[Settings], inputs: TrainingInputs) -> EvaluationResult:
    """Evaluate the candidates."""
    snapshots = inputs.snapshots
    return evaluate_candidates(snapshots.features, snapshots.labels, snapshots.plan, inputs.settings)


def champion_probabilities(
    champion: ChurnModel, _: TrainingInputs, result: EvaluationResult
) -> NDArray[np.float64]:
    """Return the champion's probabilities on the test snapshot, at the base rate forecast for it."""
    frame = result.given.frames[result.split.test]
    return champion.scores(frame, result.level.rate, reasons=0)["churn_probability"].to_numpy()


def verdict(
    inputs: TrainingInputs, result: EvaluationResult, champion: NDArray[np.float64] | None, is_newest: bool
) -> Verdict:
    """Return whether the winner becomes champion."""
    return result.verdict(inputs.settings, champion, is_newest)
