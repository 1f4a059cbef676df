"""Metrics of forecast amounts.

Belongs here: pure functions, actual and predicted amounts in and numbers out. Does not belong here: the choice of the
winner (`evaluate`), the champion rule (`gates`).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from clm_dagster.statistics.evaluation import counted_mean

Floats = NDArray[np.float64]
TOP = 0.1


def value_metrics(actual: Floats, predicted: Floats) -> dict[str, float]:
    """Return the metrics of one candidate. Both arrays have shape (n,) and hold money; the actual sum is above 0.

    bias: sum of predicted / sum of actual - 1. mae, rmse: money. spearman, gini: quality of the ranking. catch: revenue
    capture, the share of all actual revenue from the top tenth by prediction. best_catch: the same for the top tenth by
    actual revenue, the best possible value. top_customers: share of the actual top tenth in the predicted one.
    decile_error: deviation of the sums by tenths.
    """
    return {
        "bias": float(predicted.sum() / actual.sum() - 1),
        "mae": mae(actual, predicted),
        "rmse": float(np.sqrt(np.mean((predicted - actual) ** 2))),
        "spearman": spearman(actual, predicted),
        "gini": normalised_gini(actual, predicted),
        "catch": revenue_capture(actual, predicted),
        "best_catch": revenue_capture(actual, actual),
        "top_customers": top_overlap(actual, predicted),
        "decile_error": decile_error(actual, predicted),
    }


def mae(actual: Floats, predicted: Floats) -> float:
    """Return the mean absolute error, in money."""
    return float(np.mean(np.abs(predicted - actual)))


def counted_mae(actual: Floats, predicted: Floats, counts: Floats) -> Floats:
    """Return `mae` of m resamples, from how often each holds each of n customers, shape (m, n)."""
    return counted_mean(np.abs(predicted - actual), counts)


def counted_capture(actual: Floats, predicted: Floats, counts: Floats) -> Floats:
    """Return `revenue_capture` of m resamples, from how often each holds each of n customers, shape (m, n)."""
    order = np.argsort(-predicted, kind="stable")
    ranked = predicted[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    there = counts[:, order]
    customers = np.add.reduceat(there, starts, axis=1)
    revenue = np.add.reduceat(there * actual[order], starts, axis=1)
    wanted = max(1, round(TOP * len(actual)))
    above = np.cumsum(customers, axis=1)
    rows, last = np.arange(len(counts)), np.argmax(above >= wanted, axis=1)
    # Of the customers who tie for the last place, those that are wanted count with their mean.
    missing = wanted - (above[rows, last] - customers[rows, last])
    captured = np.cumsum(revenue, axis=1)[rows, last] - revenue[rows, last]
    captured += missing * revenue[rows, last] / customers[rows, last]
    share: Floats = captured / (counts @ actual)
    return share


def spearman(actual: Floats, predicted: Floats) -> float:
    """Return the rank correlation, ties at their mean rank; 0 if one side is constant."""
    a, b = rankdata(actual), rankdata(predicted)
    if a.min() == a.max() or b.min() == b.max():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def revenue_capture(actual: Floats, predicted: Floats, share: float = TOP) -> float:
    """Return the share of the actual revenue from the `share` of customers with the highest predictions.

    Customers who tie for the last place share it, so that the result does not depend on row order.
    """
    return float(_among_top(predicted, share) @ actual / actual.sum())


def top_overlap(actual: Floats, predicted: Floats, share: float = TOP) -> float:
    """Return the share of the actual top customers who are among the predicted ones; ties count in part."""
    best, chosen = _among_top(actual, share), _among_top(predicted, share)
    return float(best @ chosen / best.sum())


def normalised_gini(actual: Floats, predicted: Floats) -> float:
    """Return the Gini coefficient of actual amounts ordered by prediction, divided by that in their own order.

    1 is a perfect ranking, 0 a random one. Tied predictions get their mean rank (Frees, Meyers, Cummings 2014).
    """

    def gini(order: Floats) -> float:
        return float(2 * (rankdata(order) @ actual) / (len(actual) * actual.sum()) - 1 - 1 / len(actual))

    perfect = gini(actual)
    return gini(predicted) / perfect if perfect > 0 else 0.0


def deciles(actual: Floats, predicted: Floats, bins: int = 10) -> pd.DataFrame:
    """Compare predicted and actual amounts by tenths of the prediction, the highest first.

    Columns: decile (1 is the highest), customers, predicted, actual (sums), predicted_mean, actual_mean, bias (missing
    if actual is 0), actual_share (of all revenue), cumulative_share. Equal predictions share a bin, so there may be
    fewer bins.
    """
    places = _tenths(predicted, bins)
    table = pd.DataFrame({"decile": places + 1, "predicted": predicted, "actual": actual}).groupby("decile")
    out = table.size().rename("customers").to_frame().join(table.sum()).reset_index()
    out["predicted_mean"] = out.predicted / out.customers
    out["actual_mean"] = out.actual / out.customers
    out["bias"] = (out.predicted / out.actual.where(out.actual > 0) - 1).astype(float)
    out["actual_share"] = out.actual / out.actual.sum()
    out["cumulative_share"] = out.actual_share.cumsum()
    return out


def decile_error(actual: Floats, predicted: Floats) -> float:
    """Return the sum of |predicted - actual| over tenths of the prediction, divided by all actual revenue."""
    places = _tenths(predicted, 10)
    sums = [np.bincount(places, values, minlength=10) for values in (predicted, actual)]
    return float(np.abs(sums[0] - sums[1]).sum() / actual.sum())


def _tenths(predicted: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each prediction, 0 for the highest; equal predictions share one."""
    places: NDArray[np.int64] = (
        (rankdata(-predicted, method="min") - 1) * bins // max(len(predicted), 1)
    ).astype(int)
    return places


def _among_top(values: Floats, share: float) -> Floats:
    wanted = max(1, round(share * len(values)))
    cut = np.partition(values, len(values) - wanted)[len(values) - wanted]
    above, tied = values > cut, values == cut
    weights: Floats = above + tied * ((wanted - above.sum()) / tied.sum())
    return weights
