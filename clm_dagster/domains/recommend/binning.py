"""Binning of features: the ranker's trees get the bin number of a value instead of the value.

Belongs here: bin edges and bin numbers. Does not: the models (`ranking`).

scikit-learn's boosting also bins its features, but by quantiles weighted by the sample weights. For these it sorts a
column once per bin, which takes two thirds of the time of a fit. Trees only use the bin of a value, so binning
beforehand loses nothing. A feature with no more distinct values than bins gets one bin per value.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Edges = dict[str, list[float]]
BINS = 64
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
    out = np.empty((len(x), len(edges)), dtype=np.float32)
    for column, (name, found) in enumerate(edges.items()):
        values = x[name].to_numpy(dtype=np.float64)
        out[:, column] = np.where(np.isnan(values), np.nan, np.searchsorted(found, values, side="right"))
    return out
