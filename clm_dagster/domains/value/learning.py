"""The learning curve of a value training over the customers of its sample.

Belongs here: fitting the winner on parts of the sample. Does not belong here: the curve itself
(`statistics.evaluation.learning`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clm_dagster.domains.value.candidates import (
    Predictor,
    Training,
    candidates,
    fit_candidate,
    mean_predictor,
)
from clm_dagster.domains.value.evaluate import EvaluationResult
from clm_dagster.domains.value.level import capped_total, scaled_to_total
from clm_dagster.domains.value.metrics import counted_mae, mae
from clm_dagster.domains.value.plan import training_rows
from clm_dagster.statistics.evaluation.learning import (
    SHARES,
    LearningCurve,
    fitted_sizes,
    learning_curve,
    places_of,
)

Floats = NDArray[np.float64]
# A smaller gain, as a share of the MAE, is of no use to anybody.
RELEVANT_SHARE = 0.001


def customer_curve(
    result: EvaluationResult, share: float, lightgbm: bool = False, parts: Sequence[float] = SHARES
) -> LearningCurve | None:
    """Fit the winner on parts of the customers of the training snapshots; return its MAE on the test snapshot.

    share: of the sample among all customers. lightgbm: whether LightGBM was a candidate. parts: of the sample,
    ascending. Every prediction is scaled to the forecast level, as in the test. Return None if there are too few
    customers.
    """
    inputs, split = result.inputs, result.split
    snapshot, actual = inputs.snapshots[split.test], inputs.y[split.test]
    total = result.level.factor * capped_total(snapshot.expectation.revenue, inputs.cap)
    rows = training_rows(inputs, inputs.levels_of(split.training), split.training)
    ids = np.concatenate(
        [inputs.snapshots[day].frame["customer_id"].to_numpy(object) for day in split.training]
    )
    places = places_of(ids)

    def predict(bound: float) -> Floats:
        chosen = places < bound
        part = replace(rows, x=rows.x[chosen], base=rows.base[chosen], revenue=rows.revenue[chosen])
        fitted = _refitted(result, result.model.predictor, part, lightgbm)
        return scaled_to_total(fitted.predict(snapshot), total, inputs.cap)

    # One thread in each library, as in the evaluation.
    with threadpool_limits(limits=1):
        found = fitted_sizes(ids, share, predict, parts)
    if len(found) < 2:
        return None
    least = RELEVANT_SHARE * mae(actual, found[max(found)])
    return learning_curve(
        actual, found, mae, "mae", higher_is_better=False, counted=counted_mae, relevant=least
    )


def _refitted(result: EvaluationResult, fitted: Predictor, rows: Training, lightgbm: bool) -> Predictor:
    """Return a predictor, or each member of a mean, fitted on other rows with the same parameters."""
    if fitted.members:
        members = [_refitted(result, member, rows, lightgbm) for member in fitted.members]
        return mean_predictor(fitted.name, members, fitted.scales)
    known = {candidate.name: candidate for candidate in candidates(lightgbm)}
    parameters = result.results[fitted.name].parameters
    return fit_candidate(known[fitted.name], parameters, rows, fitted.horizon_days)
