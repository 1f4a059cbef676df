"""How far a population has moved between training and scoring. Pure: columns in, numbers out."""

import numpy as np
import pandas as pd

BINS = 10


def population_stability(trained: pd.Series, scored: pd.Series, bins: int = BINS) -> float:
    """Population stability index of one column: sum of (q - p) * ln(q / p) over bins.

    Numbers fall into the deciles of `trained`, text into its values, missing ones into a bin of their
    own. A bin's share is kept off zero by half a row (Siddiqi 2006; below .1 is stable, above .25 moved).
    """
    old, new = _bins(trained, scored, bins)
    names = old.index.union(new.index)
    p = old.reindex(names, fill_value=0)
    q = new.reindex(names, fill_value=0)
    p, q = (p + 0.5) / (p.sum() + 0.5 * len(names)), (q + 0.5) / (q.sum() + 0.5 * len(names))
    return float(((q - p) * np.log(q / p)).sum())


def missing_rate_change(trained: pd.Series, scored: pd.Series) -> float:
    """Share of missing values when scored less that when trained."""
    return float(scored.isna().mean() - trained.isna().mean())


def _bins(trained: pd.Series, scored: pd.Series, bins: int) -> tuple[pd.Series, pd.Series]:
    if pd.api.types.is_numeric_dtype(trained):
        known = trained.dropna().to_numpy(float)
        edges = (
            np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.empty(0)
        )
        return _numbers(trained, edges), _numbers(scored, edges)
    return _texts(trained), _texts(scored)


def _numbers(column: pd.Series, edges: np.ndarray) -> pd.Series:
    values = column.to_numpy(dtype=float, na_value=np.nan)
    places = np.where(np.isnan(values), -1, np.searchsorted(edges, values, "left"))
    return pd.Series(places).value_counts().sort_index()


def _texts(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "(missing)").astype(str).value_counts().sort_index()
