"""BG/NBD's probability of no purchase in the horizon, as one column: the customer's own rhythm.

Belongs here: from customer_features to the model's inputs and back. Does not: the model (`btyd`).
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from clm_dagster.contest import safe_logit

Parameters = tuple[float, float, float, float]


def _inputs(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = frame["order_days"].to_numpy(float) - 1
    tenure = frame["tenure_days"].to_numpy(float)
    return x, tenure - frame["recency_days"].to_numpy(float), tenure


def fit(frame: pd.DataFrame) -> Parameters:
    def loss(p, x, tx, T, w):
        r, al, a, b = np.exp(p)
        A = gammaln(r + x) - gammaln(r) + r * np.log(al)
        l1 = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(al + T)
        l2 = np.where(x > 0, betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b) - (r + x) * np.log(al + tx), -np.inf)
        return -np.sum(w * (A + np.logaddexp(l1, l2))) / w.sum()

    u, c = np.unique(np.column_stack(_inputs(frame)), axis=0, return_counts=True)
    return tuple(np.exp(minimize(loss, np.log([0.5, 30, 0.5, 2]), args=(*u.T, c), method="L-BFGS-B").x))


def no_purchase(parameters: Parameters, frame: pd.DataFrame, days: float) -> np.ndarray:
    r, al, a, b = parameters
    x, tx, T = _inputs(frame)
    od = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * np.exp((r + x) * (np.log(al + T) - np.log(al + tx))), 0)
    return 1 - (1 - np.exp((r + x) * (np.log(al + T) - np.log(al + T + days)))) / (1 + od)


def log_odds(parameters: Parameters, frame: pd.DataFrame, days: float) -> np.ndarray:
    return safe_logit(no_purchase(parameters, frame, days))
