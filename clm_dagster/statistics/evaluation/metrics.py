"""Metrics of probabilistic binary classification.

Belongs here: functions of labels and probabilities. Does not: intervals (`intervals`), thresholds of gates (`gates`).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from clm_dagster.statistics.evaluation.intervals import fast_auc, fast_log_loss

Floats = NDArray[np.float64]


def classification_metrics(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> dict[str, float]:
    """Return the metrics of one candidate: ranking, calibration, and decisions at `threshold`.

    labels: shape (n,), 0 or 1, both present. probabilities: shape (n,), in [0, 1]. Keys: roc_auc,
    average_precision, brier, log_loss, calibration_error, precision, recall, f1, lift_at_10, base_rate,
    mean_probability.
    """
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    chosen = p >= threshold
    hits, predicted, actual = float(y[chosen].sum()), int(chosen.sum()), float(y.sum())
    precision = hits / predicted if predicted else 0.0
    recall = hits / actual
    return {
        "roc_auc": fast_auc(y, p),
        "average_precision": average_precision(y, p),
        "brier": float(np.mean((p - y) ** 2)),
        "log_loss": fast_log_loss(y, p),
        "calibration_error": calibration_error(y, p),
        "precision": precision,
        "recall": recall,
        "f1": 2 * hits / (predicted + actual),
        "lift_at_10": lift_at(y, p, 0.1),
        "base_rate": float(y.mean()),
        "mean_probability": float(p.mean()),
    }


def average_precision(labels: Floats, probabilities: Floats) -> float:
    """Return the mean of the precision over the ones, as scikit-learn defines it; ties share their precision."""
    order, last = _ranked(probabilities)
    hits = np.cumsum(labels[order])[last]
    return float(np.diff(hits, prepend=0.0) @ (hits / (last + 1)) / hits[-1])


def _ranked(probabilities: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order from the greatest probability down, and the last place in it of each distinct probability."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    return order, np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], [True]]))


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed rates in bins of equally many customers.

    There is one row per bin, in order: `customers`, `predicted` (mean probability), `observed` (share of ones).
    Equal probabilities share a bin, so the table does not depend on row order but may have fewer bins.
    """
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    counts, predicted, observed = _bins(y, p, bins)
    return pd.DataFrame({"customers": counts, "predicted": predicted, "observed": observed})


def _bins(y: Floats, p: Floats, bins: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    bin_of = ((rankdata(p, method="min") - 1) * bins // max(len(p), 1)).astype(int)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    predicted, observed = (
        np.bincount(bin_of, values, minlength=bins)[filled] / counts[filled] for values in (p, y)
    )
    return counts[filled], predicted, observed


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error: the mean of |predicted - observed| over bins, weighted by customers.

    Naeini, Cooper, Hauskrecht 2015, with bins of equal mass (Nixon et al. 2019): bins of equal width would put
    most customers into two bins.
    """
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    counts, predicted, observed = _bins(y, p, bins)
    return float(np.average(np.abs(predicted - observed), weights=counts))


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
    y, p = np.asarray(labels, dtype=float), np.asarray(probabilities, dtype=float)
    order, last = _ranked(p)
    f1 = 2 * np.cumsum(y[order])[last] / (last + 1 + y.sum())
    return float(p[order][last][::-1][int(np.argmax(f1[::-1]))])
