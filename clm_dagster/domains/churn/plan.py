"""What a contest is asked and what it reads: settings, snapshots, frames in the shape that models take.

Belongs here: everything before the first fit. Does not: fitting and judging (`model`).
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.churn import rhythm
from clm_dagster.domains.churn.features import FEATURES, by_snapshot, check_not_empty, checked_labels, derive
from clm_dagster.statistics.btyd import BGNBD
from clm_dagster.statistics.evaluation import EvaluationError, EvaluationPlan, GridSettings, missing_snapshots

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationSettings(GridSettings):
    """What a user may choose of a contest; the defaults are those of the package's settings."""

    active_days: int = 365
    leak_auc: float = 0.97
    calibration_limit: float = 0.08
    features: tuple[str, ...] = FEATURES


@dataclass(frozen=True)
class Prepared:
    """Checked inputs of a contest, by snapshot.

    frames: active customers, rows of core.customer_features; paces: BG/NBD of each. x: the models' columns, and y:
    labels (0 or 1), of the training snapshots and the test, in the order of the frame.
    """

    frames: dict[date, pd.DataFrame]
    paces: dict[date, BGNBD]
    columns: list[str]
    x: dict[date, pd.DataFrame]
    y: dict[date, Floats]


def prepare(
    features: pd.DataFrame, labels: pd.DataFrame, plan: EvaluationPlan, settings: EvaluationSettings
) -> Prepared:
    """Check and shape the inputs of a contest. Raises EvaluationError for what makes it impossible."""
    split = plan.split
    frames = by_snapshot(features, settings.active_days)
    lacking = missing_snapshots((*split.training, split.test), frames)
    if lacking:
        raise EvaluationError(
            f"no features at as_of {', '.join(map(str, lacking))}: build core.customer_features for them, or "
            "give a later first day"
        )
    days = (*split.training, split.test)
    y = checked_labels(frames, labels, days, settings.horizon_days)
    paces = rhythm.fit_all(frames)
    columns = [name for name in FEATURES if name in settings.features]
    x = {day: derive(frames[day], paces[day], settings.horizon_days)[columns] for day in days}
    check_not_empty(pd.concat([x[day] for day in split.training]), columns)
    return Prepared(frames, paces, columns, x, y)
