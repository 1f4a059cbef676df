"""Examples of what a registered model takes, which MLflow stores and shows beside the model.

Belongs here: typical rows in place of real customers. Does not: signatures, which have types and no values.
"""

import numpy as np
import pandas as pd

_QUANTILES = (0.25, 0.5, 0.75)
# A value that fewer rows support might tell something of one customer.
_FEWEST = 10
_DIGITS = 2


def typical_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return three made-up rows with the columns and types of n real ones: the quartiles of each column by itself.

    Numbers are rounded to two digits. A text is the most frequent one. A column with few values is missing where the
    frame has missing values, else 1 or `unknown`.
    """
    columns = {name: _typical(frame[name]) for name in frame.columns}
    return pd.DataFrame(columns).astype(frame.dtypes.to_dict())


def round_digits(values: pd.Series) -> pd.Series:
    """Return numbers rounded to two significant digits."""
    numbers = values.to_numpy(dtype=float)
    with np.errstate(divide="ignore"):
        scale = np.floor(np.log10(np.abs(numbers)))
    power = np.power(10.0, _DIGITS - 1 - np.where(np.isfinite(scale), scale, 0.0))
    return pd.Series(np.round(numbers * power) / power, index=values.index)


def _typical(column: pd.Series) -> list[object]:
    known = column.dropna()
    is_number = pd.api.types.is_numeric_dtype(column.dtype)
    if is_number and len(known) >= _FEWEST:
        return list(round_digits(known.astype(float).quantile(list(_QUANTILES))))
    counts = known.value_counts()
    if not is_number and len(counts) and counts.iloc[0] >= _FEWEST:
        return [counts.index[0]] * len(_QUANTILES)
    if len(known) < len(column):
        return [np.nan if is_number else None] * len(_QUANTILES)
    return [1 if is_number else "unknown"] * len(_QUANTILES)
