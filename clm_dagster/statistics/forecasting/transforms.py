"""Variance-stabilising transformations: a series is modelled as it is, as its square root, or as its logarithm.

The rule follows Guerrero (1993, Journal of Forecasting 12). Over blocks of two seasons, the standard deviation is
a power of the mean, sd ~ mean^(1 - power). The power is estimated by least squares on logarithms and rounded to
the nearest of 0 (log(1 + y)), 0.5 and 1. It is 1 if there are fewer than eight blocks. A series with zeros is
never modelled on the log scale.

Belongs here: the rule and the transformation. Does not: models, or the way back (`local_models.back_to_mean`).
"""

import numpy as np
from scipy.special import boxcox

from clm_dagster.statistics.forecasting.css import Floats

LEAST_BLOCKS = 8
POWERS = (0.0, 0.5, 1.0)


def choose_power(series: Floats, season: int) -> float:
    """Return the power 0, 0.5 or 1 for a series (n,); 1 if it has negative values."""
    size = max(2 * season, 4)
    blocks = series[series.size % size :].reshape(-1, size)
    means, spreads = blocks.mean(axis=1), blocks.std(axis=1)
    usable = (means > 0) & (spreads > 0)
    if usable.sum() < LEAST_BLOCKS or series.min() < 0:
        return 1.0
    x, y = np.log(means[usable]), np.log(spreads[usable])
    spread = float(np.var(x))
    if spread < 1e-4:
        return 1.0
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread
    nearest = min(POWERS, key=lambda power: abs(power - (1 - slope)))
    return max(nearest, 0.5) if (series == 0).any() else nearest


def transformed(series: Floats, power: float) -> Floats:
    """Return the series on the scale of a power: Box and Cox's (y^power - 1) / power, and log(1 + y) for 0."""
    if power == 1:
        return series
    return np.log1p(series) if power == 0 else boxcox(series, power)
