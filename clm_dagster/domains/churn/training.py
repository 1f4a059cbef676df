"""The trained model of churn, as the engine of trained models runs it.

Belongs here: the functions that the engine calls. Does not belong here: the evaluation (`evaluate`), queries
(`queries`), rows of tables (`report`), metadata and plots (`notes`).
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
    """Return the definition of the trained churn model."""
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
            "The winner beats the recency baseline, is calibrated and is not worse than the champion.",
            verdict,
        ),
        metrics=METRICS,
        checks=checks.TRAINING,
    )


def evaluate(work: Work[Settings], inputs: TrainingInputs) -> EvaluationResult:
    """Evaluate the candidates. A training that explains all candidates drops none of them early."""
    snapshots = inputs.snapshots
    return evaluate_candidates(
        snapshots.features,
        snapshots.labels,
        snapshots.plan,
        inputs.settings,
        with_race=not work.explains_all,
    )


def champion_probabilities(
    champion: ChurnModel, _: TrainingInputs, result: EvaluationResult
) -> NDArray[np.float64]:
    """Return the champion's probabilities on the test snapshot, at the base rate forecast for it."""
    frame = result.inputs.frames[result.split.test]
    return champion.scores(frame, result.base_rate.rate, reasons=0)["churn_probability"].to_numpy()


def verdict(
    inputs: TrainingInputs, result: EvaluationResult, champion: NDArray[np.float64] | None, is_newest: bool
) -> Verdict:
    """Return whether the winner becomes champion."""
    return result.verdict(inputs.settings, champion, is_newest)
