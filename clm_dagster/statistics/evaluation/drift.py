"""Drift of a population between training and scoring.

Belongs here: drift measures of single columns. Does not: thresholds, or which columns are compared.
"""

import numpy as np
import pandas as pd

BINS = 10


def population_stability(trained: pd.Series, scored: pd.Series, bins: int = BINS) -> float:
    """Return the population stability index of one column: the sum of (q - p) * ln(q / p) over bins.

    Numeric columns are binned by the deciles of `trained`, text columns by value. Missing values have a bin of
    their own. Half a row is added to each bin to avoid shares of zero. An index below .1 means a stable column,
    above .25 a shifted one (Siddiqi 2006).
    """
    old, new = _bins(trained, scored, bins)
    names = old.index.union(new.index)
    p = old.reindex(names, fill_value=0)
    q = new.reindex(names, fill_value=0)
    p, q = (p + 0.5) / (p.sum() + 0.5 * len(names)), (q + 0.5) / (q.sum() + 0.5 * len(names))
    return float(((q - p) * np.log(q / p)).sum())


def missing_rate_change(trained: pd.Series, scored: pd.Series) -> float:
    """Return the share of missing values in `scored` minus that in `trained`."""
    return float(scored.isna().mean() - trained.isna().mean())


def _bins(trained: pd.Series, scored: pd.Series, bins: int) -> tuple[pd.Series, pd.Series]:
    if pd.api.types.is_numeric_dtype(trained):
        known = trained.dropna().to_numpy(float)
        edges = (
            np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.empty(0)
        )
        return _count_numbers(trained, edges), _count_numbers(scored, edges)
    return _count_texts(trained), _count_texts(scored)


def _count_numbers(column: pd.Series, edges: np.ndarray) -> pd.Series:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    bins = np.where(np.isnan(values), -1, np.searchsorted(edges, values, "left"))
    return pd.Series(bins).value_counts().sort_index()


def _count_texts(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "(missing)").astype(str).value_counts().sort_index()
