"""Metrics of a forecast amount. Pure: arrays of actual and predicted money in, numbers out."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
TOP = 0.1


def value_metrics(actual: Floats, predicted: Floats) -> dict[str, float]:
    """The report of one candidate; both of shape (n,), in money, the actual sum above 0.

    bias: sum of predicted / sum of actual - 1. mae, rmse: money. spearman, gini: ranking. catch: share of all actual
    revenue that the tenth with the highest predictions brought; best_catch: the tenth that brought most.
    top_customers: share of the latter who are among the former. decile_error: how far sums by tenths are off.
    """
    return {
        "bias": float(predicted.sum() / actual.sum() - 1),
        "mae": mae(actual, predicted),
        "rmse": float(np.sqrt(np.mean((predicted - actual) ** 2))),
        "spearman": spearman(actual, predicted),
        "gini": normalised_gini(actual, predicted),
        "catch": catch(actual, predicted),
        "best_catch": catch(actual, actual),
        "top_customers": top_overlap(actual, predicted),
        "decile_error": decile_error(actual, predicted),
    }


def mae(actual: Floats, predicted: Floats) -> float:
    """Mean absolute error, in money."""
    return float(np.mean(np.abs(predicted - actual)))


def spearman(actual: Floats, predicted: Floats) -> float:
    """Rank correlation, ties at their mean rank; 0 where one side does not vary."""
    a, b = rankdata(actual), rankdata(predicted)
    if a.min() == a.max() or b.min() == b.max():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def catch(actual: Floats, predicted: Floats, share: float = TOP) -> float:
    """Share of the actual revenue that comes from the `share` of customers with the highest predictions.

    The last place is shared by all that tie for it, so the figure is free of row order.
    """
    return float(_among_top(predicted, share) @ actual / actual.sum())


def top_overlap(actual: Floats, predicted: Floats, share: float = TOP) -> float:
    """Share of the actually best customers who are among the predicted best; ties count in part."""
    best, said = _among_top(actual, share), _among_top(predicted, share)
    return float(best @ said / best.sum())


def normalised_gini(actual: Floats, predicted: Floats) -> float:
    """Gini of the actual amounts in the order of the predictions, over that in their own order.

    1 is the perfect order, 0 none. Those who tie in prediction are taken at their mean rank (Frees, Meyers,
    Cummings 2014).
    """

    def gini(order: Floats) -> float:
        return float(2 * (rankdata(order) @ actual) / (len(actual) * actual.sum()) - 1 - 1 / len(actual))

    own = gini(actual)
    return gini(predicted) / own if own > 0 else 0.0


def deciles(actual: Floats, predicted: Floats, bins: int = 10) -> pd.DataFrame:
    """What was said and what came, by tenths of the prediction, the highest first.

    Columns: decile (1 is the highest), customers, predicted, actual (sums), predicted_mean, actual_mean, bias (null
    where nothing came), actual_share (of all revenue), cumulative_share. Equal predictions share a bin; bins may then
    be fewer.
    """
    places = ((rankdata(-predicted, method="min") - 1) * bins // max(len(predicted), 1)).astype(int)
    table = pd.DataFrame({"decile": places + 1, "predicted": predicted, "actual": actual}).groupby("decile")
    out = table.size().rename("customers").to_frame().join(table.sum()).reset_index()
    out["predicted_mean"] = out.predicted / out.customers
    out["actual_mean"] = out.actual / out.customers
    out["bias"] = (out.predicted / out.actual.where(out.actual > 0) - 1).astype(float)
    out["actual_share"] = out.actual / out.actual.sum()
    out["cumulative_share"] = out.actual_share.cumsum()
    return out


def decile_error(actual: Floats, predicted: Floats) -> float:
    """Sum over tenths of the prediction of |predicted - actual|, over all actual revenue: 0 where all add up."""
    table = deciles(actual, predicted)
    return float((table.predicted - table.actual).abs().sum() / actual.sum())


def _among_top(values: Floats, share: float) -> Floats:
    wanted = max(1, round(share * len(values)))
    cut = np.partition(values, len(values) - wanted)[len(values) - wanted]
    above, tied = values > cut, values == cut
    return above + tied * ((wanted - above.sum()) / tied.sum())
