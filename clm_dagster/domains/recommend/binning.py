"""Numbers as places among quantiles: what the ranker's trees are given instead of the numbers themselves.

Belongs here: edges and places. Does not: learning from them (`ranking`).

scikit-learn's boosting bins its features as well, but by quantiles weighted by the examples' weights, for which it
sorts a column once for each bin: two thirds of the time of a fit. Trees only see in which bin a value lies, and
features that have no more values than bins are taken as they are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Edges = dict[str, list[float]]
BINS = 64
_ROWS = 200_000  # that quantiles are taken of


def bin_edges(x: pd.DataFrame, bins: int = BINS) -> Edges:
    """At most bins - 1 edges of each column: between its values where they are few, else its quantiles."""
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
    """n rows x the columns of `edges`: the number of edges at or below each value; a missing value stays missing."""
    out = np.empty((len(x), len(edges)), dtype=np.float32)
    for column, (name, found) in enumerate(edges.items()):
        values = x[name].to_numpy(dtype=np.float64)
        out[:, column] = np.where(np.isnan(values), np.nan, np.searchsorted(found, values, side="right"))
    return out
