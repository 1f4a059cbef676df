"""The learning curve of a churn training over the customers of its sample.

Belongs here: fitting the winner on parts of the sample. Does not belong here: the curve itself
(`statistics.evaluation.learning`), the curve over snapshots (`diagnostics`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clm_dagster.domains.churn.candidates import BLENDS, Candidate, candidates, fit_candidate, log_odds
from clm_dagster.domains.churn.evaluate import EvaluationResult
from clm_dagster.statistics.evaluation import fast_auc
from clm_dagster.statistics.evaluation.learning import (
    SHARES,
    LearningCurve,
    fitted_sizes,
    learning_curve,
    places_of,
)

Floats = NDArray[np.float64]
# A smaller gain of AUC is of no use to anybody.
RELEVANT_AUC = 0.001


def customer_curve(
    result: EvaluationResult, share: float, lightgbm: bool = False, parts: Sequence[float] = SHARES
) -> LearningCurve | None:
    """Fit the winner on parts of the customers of the training snapshots; return its AUC on the test snapshot.

    share: of the sample among all customers. lightgbm: whether LightGBM was a candidate. parts: of the sample,
    ascending. Parameters are those of the training. Return None if there are too few customers.
    """
    inputs, split = result.inputs, result.split
    known = {candidate.name: candidate for candidate in candidates(lightgbm)}
    members = [known[name] for name in BLENDS.get(result.winner, (result.winner,))]
    ids = [inputs.frames[day]["customer_id"].to_numpy(object) for day in split.training]
    places = places_of(np.concatenate(ids))
    x = pd.concat([inputs.x[day] for day in split.training], ignore_index=True)
    y = np.concatenate([inputs.y[day] for day in split.training])
    snapshots = np.repeat(np.arange(len(ids)), [len(one) for one in ids])

    def predict(bound: float) -> Floats:
        rows = places < bound
        scores = [_log_odds(one, result, x[rows], y[rows], snapshots[rows]) for one in members]
        mean: Floats = np.mean(scores, axis=0)
        return mean

    # One thread in each library, as in the evaluation.
    with threadpool_limits(limits=1):
        found = fitted_sizes(np.concatenate(ids), share, predict, parts)
    if len(found) < 2:
        return None
    return learning_curve(
        inputs.y[split.test], found, fast_auc, "roc_auc", higher_is_better=True, relevant=RELEVANT_AUC
    )


def _log_odds(
    candidate: Candidate,
    result: EvaluationResult,
    x: pd.DataFrame,
    y: Floats,
    snapshots: NDArray[np.int64],
) -> Floats:
    """Fit a candidate on some rows. Return its log-odds on the test snapshot."""
    inputs = result.inputs
    parameters = result.results[candidate.name].parameters
    # Few customers may leave a snapshot without one of the classes, which cannot be weighted.
    mixed = pd.Series(y).groupby(snapshots).transform(lambda labels: 0 < labels.mean() < 1).to_numpy(bool)
    model = fit_candidate(
        candidate, inputs.columns, parameters, x[mixed].reset_index(drop=True), y[mixed], snapshots[mixed]
    )
    return log_odds(model, inputs.x[result.split.test])
