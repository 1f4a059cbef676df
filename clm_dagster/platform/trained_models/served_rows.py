"""Predictions of a served model for rows of which some cannot be predicted.

Belongs here: the rule for customers without what a model needs. Does not: predictions.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def predict_known(
    x: pd.DataFrame,
    needed: Sequence[str],
    predict: Callable[[pd.DataFrame], NDArray[np.float64]],
    positive: str | None = None,
) -> pd.Series:
    """Return predictions of n rows, None where a needed column is, or where column `positive` is not above 0.

    A customer without an order has no recency. A server that is asked for many customers answers for the others.
    """
    columns = dict.fromkeys([*needed, *([] if positive is None else [positive])])
    numbers = x[list(columns)].apply(pd.to_numeric, errors="coerce")
    is_known = numbers.notna().all(axis=1)
    can = (is_known if positive is None else is_known & (numbers[positive] > 0)).to_numpy()
    found = np.full(len(x), np.nan)
    if can.any():
        found[can] = predict(x[can])
    values = pd.Series(found, index=x.index)
    # MLflow's server writes a missing number as NaN, which is no JSON.
    return values if can.all() else values.astype(object).where(can, None)
