"""Functions that the engine of trained models calls to train customer value.

Belongs here: these functions. Does not belong here: the definition of the model (`tables`), the evaluation
(`evaluate`), queries (`queries`), rows of tables (`report`), metadata and plots (`notes`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clm_dagster.domains.value.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.value.learning import customer_curve
from clm_dagster.domains.value.model import SnapshotLevel, ValueModel
from clm_dagster.domains.value.table_settings import Settings
from clm_dagster.platform.python_tables.partition import Work
from clm_dagster.platform.trained_models.snapshots import SnapshotInputs
from clm_dagster.statistics.evaluation import Verdict


def evaluate(work: Work[Settings], inputs: SnapshotInputs) -> EvaluationResult:
    """Evaluate the candidates.

    Fit the winner on parts of the sample too, if the sample was cut or the training explains all candidates.
    """
    chosen = work.settings.evaluation
    result = evaluate_candidates(inputs.features, inputs.labels, inputs.plan, chosen)
    if not (inputs.sample.is_cut or work.explains_all):
        return result
    work.log("learning curve")
    return replace(result, learning=customer_curve(result, inputs.sample.share, chosen.lightgbm))


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
