"""Binning of features: the ranker's trees get the bin number of a value instead of the value.

Belongs here: bin edges, bin numbers and codes. Does not: the models (`ranking`).

scikit-learn's boosting also bins its features, but by quantiles weighted by the sample weights. For these it sorts a
column once per bin, which takes two thirds of the time of a fit. Trees only use the bin of a value, so binning
beforehand loses nothing. A feature with no more distinct values than bins gets one bin per value.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Edges = dict[str, list[float]]
Values = NDArray[np.float32] | NDArray[np.float64]
BINS = 64
MISSING = 255  # the code of a missing value
_CHUNK = 65_536  # number of values that stay in the processor's cache
_ROWS = 200_000  # sample size for quantiles


def bin_edges(x: pd.DataFrame, bins: int = BINS) -> Edges:
    """Return up to bins - 1 edges of each column: midpoints of distinct values where they are few, else quantiles."""
    some = x.iloc[:: max(1, -(-len(x) // _ROWS))]
    return {str(name): _edges(some[name].to_numpy(dtype=np.float64), bins) for name in x}


def _edges(values: NDArray[np.float64], bins: int) -> list[float]:
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    if len(distinct) <= bins:
        return [float(edge) for edge in (distinct[1:] + distinct[:-1]) / 2]
    quantiles = np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1], method="midpoint")
    return [float(edge) for edge in np.unique(quantiles)]


def bin_numbers(x: pd.DataFrame, edges: Mapping[str, Sequence[float]]) -> NDArray[np.float32]:
    """Return the number of edges at or below each value: n rows x the columns of `edges`; NaN stays NaN."""
    codes = bin_codes(x, edges)
    numbers = codes.astype(np.float32)
    numbers[codes == MISSING] = np.nan
    return numbers.T


def bin_codes(x: pd.DataFrame, edges: Mapping[str, Sequence[float]]) -> NDArray[np.uint8]:
    """Return the number of edges at or below each value: the columns of `edges` x n rows; MISSING for NaN.

    At most MISSING edges for each column.
    """
    out = np.zeros((len(edges), len(x)), dtype=np.uint8)
    for codes, (name, found) in zip(out, edges.items(), strict=True):
        values = x[name].to_numpy()
        if values.dtype != np.float32:
            values = values.astype(np.float64)
        _count_edges(values, np.asarray(found, dtype=np.float64), codes)
    return out


def _count_edges(values: Values, edges: NDArray[np.float64], codes: NDArray[np.uint8]) -> None:
    """Add the number of edges at or below each value to `codes`.

    One comparison of all values for each of a few dozen edges takes a quarter of the time of a binary search for each
    value.
    """
    limits: NDArray[Any] = edges.astype(values.dtype)
    # The smallest number of this type at or above each edge: the same values are at or above it.
    limits = np.where(limits < edges, np.nextafter(limits, values.dtype.type(np.inf)), limits)
    for start in range(0, len(values), _CHUNK):
        some, counted = values[start : start + _CHUNK], codes[start : start + _CHUNK]
        for limit in limits:
            counted += some >= limit
        counted[np.isnan(some)] = MISSING
