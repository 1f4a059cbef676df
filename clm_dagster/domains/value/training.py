"""The trained model of customer value, as the engine of trained models runs it.

Belongs here: the functions that the engine calls. Does not belong here: the evaluation (`evaluate`), queries
(`queries`), rows of tables (`report`), metadata and plots (`notes`).
"""

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.value import checks
from clm_dagster.domains.value.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.value.gates import OWN_PAST
from clm_dagster.domains.value.model import SnapshotLevel, ValueModel
from clm_dagster.domains.value.notes import candidate_runs, notes
from clm_dagster.domains.value.queries import Settings, read_training
from clm_dagster.domains.value.report import METRICS, report
from clm_dagster.domains.value.served import REGISTERED
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.snapshots import SnapshotInputs
from clm_dagster.platform.trained_models.training import Gate, TrainedModel
from clm_dagster.statistics.evaluation import Verdict


def value_model(settings: Settings) -> TrainedModel[Settings, SnapshotInputs, EvaluationResult, ValueModel]:
    """Return the definition of the trained customer value model."""
    return TrainedModel(
        registered=REGISTERED,
        reads=("customer_features", "value_labels"),
        weeks_back=settings.training_weeks_back,
        settings=settings,
        horizon_days=settings.evaluation.horizon_days,
        read=read_training,
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


def evaluate(work: Work[Settings], inputs: SnapshotInputs) -> EvaluationResult:
    """Evaluate the candidates."""
    return evaluate_candidates(inputs.features, inputs.labels, inputs.plan, work.settings.evaluation)


def champion_amounts(
    champion: ValueModel, inputs: SnapshotInputs, result: EvaluationResult
) -> NDArray[np.float64]:
    """Return the champion's predictions for the customers of the test snapshot, at the same level."""
    level = SnapshotLevel(result.level.factor, result.order_level.factor)
    scores = champion.scores(inputs.test_features, level).set_index("customer_id")["expected_revenue"]
    return scores.reindex(result.amounts["customer_id"]).to_numpy(float)


def verdict(
    _: SnapshotInputs, result: EvaluationResult, champion: NDArray[np.float64] | None, is_newest: bool
) -> Verdict:
    """Return whether the winner becomes champion."""
    return result.verdict(champion, is_newest)
