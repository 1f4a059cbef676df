"""The level of series with few sales, shrunk to that of the other series (empirical Bayes).

Belongs here: how far the mean of a series is moved. Does not: the forecast itself (`short_history`), pooling of
dispersions (`statistics.forecasting.dispersion`).

One sale in eight days says little about how often a product sells, and little about how much of it at a time. The level
is the share of days with a sale times the mean size of a sale. Both are shrunk to those of the other products with few
sales: the share as in a beta-binomial model, the size as the mean of a lognormal one. The weight of the others, in days
and in sales, comes from the differences between products beyond chance (method of moments; Casella 1985, The American
Statistician 39).
"""

import numpy as np
from numpy.typing import NDArray

from clm_dagster.statistics.forecasting.css import Floats

MANY_SALES = 8
"""Sales of a series from which on its own level and dispersion are used."""
FEW = 5
"""Products, or second sales, that show how products differ, at least."""
MOST = 200.0
"""Weight of the others at most."""


def level_factors(values: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Return the factors (series,) by which shrinkage multiplies the mean of each series, and the size of a sale.

    values: (series, days) of products of one measure, NaN where unknown. share: (series,) of known days with a sale. A
    series with enough sales, or none, keeps its mean; so do all where too few products have few sales.
    """
    factors, sizes = np.ones(len(values)), np.ones(len(values))
    sold = np.nan_to_num(values) > 0
    sales = sold.sum(axis=1).astype(float)
    few = (sales > 0) & (sales < MANY_SALES) & (share > 0)
    if few.sum() < FEW:
        return factors, sizes
    days = np.isfinite(values).sum(axis=1).astype(float)
    sizes[few] = _size_factors(values[few], sold[few])
    level = np.nansum(values[few], axis=1) / days[few]
    factor = _shrunk_share(share[few], days[few]) / share[few] * sizes[few]
    # Together they sell what they sold: the level of the whole is known best.
    factors[few] = factor * level.sum() / (level * factor).sum()
    return factors, sizes


def _shrunk_share(share: Floats, days: Floats) -> Floats:
    """Return the shrunk share (series,) of days with a sale."""
    pooled = float((share * days).sum() / days.sum())
    chance = float((pooled * (1 - pooled) / days).mean())
    between = max(float(np.square(share - pooled).mean()) - chance, 1e-9)
    weight = float(np.clip(pooled * (1 - pooled) / between - 1, 0, MOST))
    return (share * days + weight * pooled) / (days + weight)


def _size_factors(values: Floats, sold: NDArray[np.bool_]) -> Floats:
    """Return the shrunk mean size of a sale (series,) over the own mean size."""
    sales = sold.sum(axis=1).astype(float)
    freedom = float((sales - 1).sum())
    if freedom < FEW:
        return np.ones(len(sales))
    logs = np.where(sold, np.log(np.where(sold, values, 1)), 0)
    own = logs.sum(axis=1) / sales
    within = float(np.where(sold, np.square(logs - own[:, None]), 0).sum() / freedom)
    pooled = float(own.mean())
    between = max(float(np.square(own - pooled).mean() - (within / sales).mean()), 1e-9)
    weight = min(within / between, MOST)
    middle = (sales * own + weight * pooled) / (sales + weight)
    mean = np.exp(middle + within / 2 * (1 + 1 / (sales + weight)))
    factors: Floats = mean / (np.where(sold, values, 0).sum(axis=1) / sales)
    return factors
