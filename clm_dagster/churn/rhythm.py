"""BG/NBD's probability of no purchase in the horizon, as one column: the customer's own rhythm.

Belongs here: from core.customer_features to the model's inputs and back. Does not: the model (`btyd`).

Never 1 - P(alive), which is 0 for all who ordered on one day only (REFERENCE: AUC .316 on CDNOW).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.btyd import BGNBD, days
from clm_dagster.contest import safe_logit
from clm_dagster.contest.customers import histories

Floats = NDArray[np.float64]


def fit(frame: pd.DataFrame) -> BGNBD:
    """The pace of the customers of one snapshot, by maximum likelihood. It sees no label."""
    return BGNBD.fit(histories(frame)).model


def no_purchase(model: BGNBD, frame: pd.DataFrame, horizon_days: float) -> Floats:
    """P(no order in the horizon), shape (n,)."""
    return model.probability_of_no_purchase(histories(frame), days(horizon_days))


def log_odds(model: BGNBD, frame: pd.DataFrame, horizon_days: float) -> Floats:
    """Log-odds of `no_purchase`, shape (n,)."""
    return safe_logit(no_purchase(model, frame, horizon_days))
