"""Quantiles of a forecast from a mean and a variance, for series without a backtest.

Belongs here: the predictive distributions of sums of counts and of amounts. Does not: estimating the variance.

Counts are Poisson, or negative binomial where their variance is above the mean. Amounts, and counts whose variance is
below the mean, have a gamma distribution. All three start at zero and are skewed to the right, as sales are.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import gamma, nbinom, poisson

from clm_dagster.statistics.forecasting.css import Floats

SMALLEST = 1e-6
"""A smaller mean has no spread: a closed day."""
SMALLEST_RATIO = 1e-9


def dispersion_quantiles(
    mean: Floats, variance: Floats, is_count: bool, quantiles: Sequence[float]
) -> Floats:
    """Return quantiles (n, quantiles) of days with a mean (n,) and a variance (n,).

    is_count: whether the values are whole numbers. A day with a mean of zero has quantiles of zero.
    """
    found = np.zeros((mean.size, len(quantiles)))
    sold = mean > SMALLEST
    centre = mean[sold, None]
    ratio = np.maximum(variance[sold, None] / centre, SMALLEST_RATIO)
    levels = np.array(quantiles)[None, :]
    spread = gamma.ppf(levels, centre / ratio, scale=ratio)
    if is_count:
        over = np.maximum(ratio, 1 + SMALLEST)
        counted = np.where(
            ratio > 1 + SMALLEST,
            nbinom.ppf(levels, centre / (over - 1), 1 / over),
            poisson.ppf(levels, centre),
        )
        spread = np.where(ratio >= 1, counted, spread)
    found[sold] = spread
    return found
