"""The purchase model of a snapshot: BG/NBD's probability of no purchase within the horizon, as one column.

Belongs here: the conversion from core.customer_features to BG/NBD's inputs and back. Does not belong here: BG/NBD
itself (`btyd`).

Never use 1 - P(alive) instead. It is 0 for every customer who has ordered on one day only (AUC .316 on CDNOW).
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.statistics.btyd import BGNBD, FitError, days
from clm_dagster.statistics.evaluation import EvaluationError, safe_logit
from clm_dagster.statistics.evaluation.customers import histories
from clm_dagster.statistics.memo import Memo, digest

Floats = NDArray[np.float64]


# A snapshot is fitted once for the scores of many weeks, for drift and for trainings.
_FITS = Memo[BGNBD]()


def fit(frame: pd.DataFrame) -> BGNBD:
    """Fit BG/NBD to the customers of one snapshot by maximum likelihood. No label is used.

    The fit of the same customers is kept in memory.
    """
    columns = (frame[name].to_numpy(float) for name in ("order_days", "tenure_days", "recency_days"))
    return _FITS.get(digest(*columns), lambda: BGNBD.fit(histories(frame)).model)


def fit_all(frames: Mapping[date, pd.DataFrame]) -> dict[date, BGNBD]:
    """Fit one purchase model for each snapshot.

    The fit may not converge, for example a few weeks after a shop's first day. Such a snapshot gets the model of the
    nearest later snapshot that has one, else of the nearest earlier one. Raise EvaluationError if no fit converges.
    """
    fits: dict[date, BGNBD | None] = {}
    for day, frame in frames.items():
        try:
            fits[day] = fit(frame)
        except FitError:
            fits[day] = None
    converged = sorted(day for day, model in fits.items() if model is not None)
    if not converged:
        raise EvaluationError(
            f"no snapshot up to {max(frames)} shows how often customers come back: too few have ordered a second "
            "time; wait, or load the shop's earlier orders"
        )
    result = {}
    for day, model in fits.items():
        nearest = next((other for other in converged if other > day), converged[-1])
        result[day] = model or fits[nearest]
    return {day: model for day, model in result.items() if model is not None}


def no_purchase_probability(model: BGNBD, frame: pd.DataFrame, horizon_days: float) -> Floats:
    """Return P(no order within the horizon), shape (n,)."""
    return model.probability_of_no_purchase(histories(frame), days(horizon_days))


def no_purchase_log_odds(model: BGNBD, frame: pd.DataFrame, horizon_days: float) -> Floats:
    """Return the log-odds of `no_purchase_probability`, shape (n,)."""
    return safe_logit(no_purchase_probability(model, frame, horizon_days))
