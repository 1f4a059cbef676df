"""Functions that the engine of trained models calls to train churn.

Belongs here: these functions. Does not belong here: the definition of the model (`tables`), the evaluation
(`evaluate`), queries (`queries`), rows of tables (`report`), metadata and plots (`notes`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.learning import customer_curve
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.queries import TrainingInputs
from clm_dagster.domains.churn.table_settings import Settings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.statistics.evaluation import Verdict


def evaluate(work: Work[Settings], inputs: TrainingInputs) -> EvaluationResult:
    """Evaluate the candidates. A training that explains all candidates drops none of them early.

    Fit the winner on parts of the sample too, if the sample was cut or the training explains all candidates.
    """
    snapshots = inputs.snapshots
    result = evaluate_candidates(
        snapshots.features,
        snapshots.labels,
        snapshots.plan,
        inputs.settings,
        with_race=not work.explains_all,
    )
    if not (snapshots.sample.is_cut or work.explains_all):
        return result
    work.log("learning curve")
    curve = customer_curve(result, snapshots.sample.share, inputs.settings.lightgbm)
    return replace(result, learning=curve)


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
