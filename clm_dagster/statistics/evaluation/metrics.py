"""Metrics of probabilistic binary classification.

Belongs here: functions of labels and probabilities. Does not: intervals (`intervals`), thresholds of gates (`gates`).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
)

Floats = NDArray[np.float64]


def classification_metrics(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> dict[str, float]:
    """Return the metrics of one candidate: ranking, calibration, and decisions at `threshold`.

    labels: shape (n,), 0 or 1, both present. probabilities: shape (n,), in [0, 1]. Keys: roc_auc,
    average_precision, brier, log_loss, calibration_error, precision, recall, f1, lift_at_10, base_rate,
    mean_probability.
    """
    y, p = np.asarray(labels, dtype=int), np.asarray(probabilities, dtype=float)
    precision, recall, f1, _ = precision_recall_fscore_support(
        y, p >= threshold, average="binary", zero_division=0.0
    )
    return {
        "roc_auc": float(roc_auc_score(y, p)),
        "average_precision": float(average_precision_score(y, p)),
        "brier": float(brier_score_loss(y, p)),
        "log_loss": float(log_loss(y, p, labels=[0, 1])),
        "calibration_error": calibration_error(y, p),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "lift_at_10": lift_at(y, p, 0.1),
        "base_rate": float(y.mean()),
        "mean_probability": float(p.mean()),
    }


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed rates in bins of equally many customers.

    There is one row per bin, in order: `customers`, `predicted` (mean probability), `observed` (share of ones).
    Equal probabilities share a bin, so the table does not depend on row order but may have fewer bins.
    """
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    bin_of = ((rankdata(p, method="min") - 1) * bins // max(len(p), 1)).astype(int)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    sums = [np.bincount(bin_of, values, minlength=bins)[filled] / counts[filled] for values in (p, y)]
    return pd.DataFrame({"customers": counts[filled], "predicted": sums[0], "observed": sums[1]})


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error: the mean of |predicted - observed| over bins, weighted by customers.

    Naeini, Cooper, Hauskrecht 2015, with bins of equal mass (Nixon et al. 2019): bins of equal width would put
    most customers into two bins.
    """
    table = reliability(labels, probabilities, bins)
    return float(np.average((table.predicted - table.observed).abs(), weights=table.customers))


def lift_at(labels: ArrayLike, probabilities: ArrayLike, share: float) -> float:
    """Return the rate of ones among the `share` with the highest probability, divided by the overall rate.

    Customers tied at the cut-off share the last places, so the result does not depend on row order.
    """
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    if y.mean() == 0:
        return float("nan")
    count = max(1, round(share * len(y)))
    cut = np.partition(p, len(p) - count)[len(p) - count]
    above, tied = p > cut, p == cut
    hits = y[above].sum() + y[tied].mean() * (count - above.sum())
    return float(hits / count / y.mean())


def best_f1_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the probability threshold with the greatest F1; the lowest one in a tie."""
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    total = precision[:-1] + recall[:-1]
    f1 = np.divide(2 * precision[:-1] * recall[:-1], total, out=np.zeros_like(total), where=total > 0)
    return float(thresholds[int(np.argmax(f1))])
