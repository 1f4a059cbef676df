"""BG/NBD's probability of no purchase in the horizon, as one column: the customer's own rhythm.

Belongs here: from core.customer_features to the model's inputs and back. Does not: the model (`btyd`).

Never 1 - P(alive), which is 0 for all who ordered on one day only (REFERENCE: AUC .316 on CDNOW).
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.btyd import BGNBD, FitError, days
from clm_dagster.statistics.evaluation import EvaluationError, safe_logit
from clm_dagster.statistics.evaluation.customers import histories

Floats = NDArray[np.float64]


def fit(frame: pd.DataFrame) -> BGNBD:
    """The pace of the customers of one snapshot, by maximum likelihood. It sees no label."""
    return BGNBD.fit(histories(frame)).model


def fit_all(frames: Mapping[date, pd.DataFrame]) -> dict[date, BGNBD]:
    """The pace of each snapshot. One whose likelihood has no top, as weeks after a shop's first day, takes another's.

    That of the nearest later snapshot that has one, else of the nearest earlier. Raises EvaluationError where none has.
    """
    found: dict[date, BGNBD | None] = {}
    for day, frame in frames.items():
        try:
            found[day] = fit(frame)
        except FitError:
            found[day] = None
    known = sorted(day for day, pace in found.items() if pace is not None)
    if not known:
        raise EvaluationError(
            f"no snapshot up to {max(frames)} shows how often customers come back: too few have ordered a second "
            "time; wait, or load the shop's earlier orders"
        )
    result = {}
    for day, pace in found.items():
        nearest = next((other for other in known if other > day), known[-1])
        result[day] = pace or found[nearest]
    return {day: pace for day, pace in result.items() if pace is not None}


def no_purchase(model: BGNBD, frame: pd.DataFrame, horizon_days: float) -> Floats:
    """P(no order in the horizon), shape (n,)."""
    return model.probability_of_no_purchase(histories(frame), days(horizon_days))


def log_odds(model: BGNBD, frame: pd.DataFrame, horizon_days: float) -> Floats:
    """Log-odds of `no_purchase`, shape (n,)."""
    return safe_logit(no_purchase(model, frame, horizon_days))
