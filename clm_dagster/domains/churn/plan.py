"""Inputs of an evaluation, validated and in the shape that models take.

Belongs here: everything before the first fit. Does not belong here: fitting and evaluation (`evaluate`).
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.churn.feature_names import FEATURES
from clm_dagster.domains.churn.features import by_snapshot, check_not_empty, checked_labels, derive
from clm_dagster.domains.churn.purchase_model import fit_all
from clm_dagster.domains.churn.table_settings import EvaluationSettings
from clm_dagster.statistics.btyd import BGNBD
from clm_dagster.statistics.evaluation import EvaluationError, EvaluationPlan, missing_snapshots

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationInputs:
    """Validated inputs of an evaluation, by snapshot.

    frames: active customers, rows of core.customer_features. purchase_models: BG/NBD of each snapshot. columns: the
    chosen features. x: the models' columns; y: labels (0 or 1). Both cover the training snapshots and the test
    snapshot, in the row order of the frame.
    """

    frames: dict[date, pd.DataFrame]
    purchase_models: dict[date, BGNBD]
    columns: list[str]
    x: dict[date, pd.DataFrame]
    y: dict[date, Floats]


def prepare(
    features: pd.DataFrame, labels: pd.DataFrame, plan: EvaluationPlan, settings: EvaluationSettings
) -> EvaluationInputs:
    """Validate and shape the inputs of an evaluation. Raise EvaluationError if none is possible."""
    split = plan.split
    frames = by_snapshot(features, settings.active_days)
    missing = missing_snapshots((*split.training, split.test), frames)
    if missing:
        raise EvaluationError(
            f"no features at as_of {', '.join(map(str, missing))}: build core.customer_features for them, or "
            "give a later first day"
        )
    days = (*split.training, split.test)
    y = checked_labels(frames, labels, days, settings.horizon_days)
    purchase_models = fit_all(frames)
    columns = [name for name in FEATURES if name in settings.features]
    x = {day: derive(frames[day], purchase_models[day], settings.horizon_days)[columns] for day in days}
    check_not_empty(pd.concat([x[day] for day in split.training]), columns)
    return EvaluationInputs(frames, purchase_models, columns, x, y)
