"""Quantiles of a forecast from a mean and a variance, for series without a backtest.

Belongs here: the predictive distributions of sums of counts and of amounts, and pooling their dispersion over series.
Does not: which days the dispersion is measured on (`domains.demand.short_history`).

Counts are Poisson, or negative binomial where their variance is above the mean, with a share of additional zeros where
sales are rare and large. Amounts, and counts whose variance is below the mean, have a gamma distribution, amounts with
their share of zeros. All start at zero and are skewed to the right, as sales are. The variance itself is an estimate.
So a quantile is taken at the level that the normal distribution has where Student's t has the nominal one.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit
from scipy.stats import gamma, nbinom, norm, poisson

from clm_dagster.statistics.forecasting.css import Floats

SMALLEST = 1e-6
"""A smaller mean has no spread: a closed day."""
SMALLEST_RATIO = 1e-9
LIKE_RATE = 0.7
"""Width of the kernel, in logarithms of the mean, within which series have a like rate."""
WEIGHTS = (4.0, 200.0)
"""Smallest and largest weight of the series of like rate, in degrees of freedom."""
HALVINGS = 30
ENOUGH_FREEDOM = 14
LEFT = 0.9
"""Share of the variance of an amount over its mean that zeros may explain."""


def dispersion_quantiles(
    mean: Floats,
    variance: Floats,
    is_count: bool,
    quantiles: Sequence[float],
    zeros: float = 0.0,
    freedom: float = np.inf,
) -> Floats:
    """Return quantiles (n, quantiles) of days with a mean (n,) and a variance (n,).

    is_count: whether the values are whole numbers. zeros: share of additional zeros (`additional_zeros`). freedom:
    degrees of freedom of the variance. A day with a mean of zero has quantiles of zero.
    """
    found = np.zeros((mean.size, len(quantiles)))
    sold = mean > SMALLEST
    if not sold.any():
        return found
    levels = _with_freedom(np.array(quantiles), freedom)[None, :]
    # Days of one weekday have one mean: each distinct distribution is computed once.
    pairs, at = np.unique(np.column_stack([mean[sold], variance[sold]]), axis=0, return_inverse=True)
    centre = pairs[:, [0]]
    ratio = np.maximum(pairs[:, [1]] / centre, SMALLEST_RATIO)
    # The largest share that leaves the other days at least as spread as Poisson, or an amount with some spread.
    spare = np.maximum(ratio - 1, 0) if is_count else LEFT * ratio
    share = np.minimum(zeros, spare / (centre + spare))
    rest = np.maximum((levels - share) / (1 - share), 0)
    distribution = _counts if is_count else _amounts
    found[sold] = np.where(levels > share, distribution(rest, centre, ratio, share), 0)[at.ravel()]
    return found


def _with_freedom(quantiles: Floats, freedom: float) -> Floats:
    if not np.isfinite(freedom):
        return quantiles
    # Far out, the normal distribution function rounds to 1, whose quantile would be infinite.
    levels: Floats = np.minimum(norm.cdf(stdtrit(max(freedom, 1.0), quantiles)), np.nextafter(1, 0))
    return levels


def _counts(levels: Floats, mean: Floats, ratio: Floats, share: Floats) -> Floats:
    """Return quantiles of counts of which a share is zero for another reason, with this mean and ratio in all."""
    others = mean / (1 - share)
    rest = ratio + mean - others
    over = np.maximum(rest, 1 + SMALLEST)
    counted = np.where(
        rest > 1 + SMALLEST,
        nbinom.ppf(levels, others / (over - 1), 1 / over),
        poisson.ppf(levels, others),
    )
    found: Floats = np.where(ratio >= 1, np.maximum(counted, 0), gamma.ppf(levels, mean / ratio, scale=ratio))
    return found


def _amounts(levels: Floats, mean: Floats, ratio: Floats, share: Floats) -> Floats:
    """Return the same of amounts."""
    others = mean / (1 - share)
    rest = ratio + mean - others
    amounts: Floats = gamma.ppf(levels, others / rest, scale=rest)
    return amounts


def share_of_zeros(mean: Floats, ratio: Floats) -> Floats:
    """Return the probability (n,) that a negative binomial count is zero; a Poisson count where ratio is 1 or less."""
    over = np.maximum(ratio, 1 + SMALLEST)
    share: Floats = np.exp(-mean * np.log(over) / (over - 1))
    return share


def additional_zeros(mean: Floats, ratio: Floats, zeros: Floats) -> Floats:
    """Return the share (n,) of additional zeros with which counts have an observed share of zeros.

    mean, ratio: (n,) mean and variance over mean of all values. zeros: (n,) share of zeros that was observed. The
    share is zero where a negative binomial has as many zeros, and at most what leaves Poisson counts.
    """
    excess = np.maximum(ratio - 1, 0)
    low, high = np.zeros(mean.size), excess / np.maximum(mean + excess, SMALLEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        others = mean / (1 - middle)
        zero = middle + (1 - middle) * share_of_zeros(others, ratio + mean - others)
        low, high = np.where(zero < zeros, middle, low), np.where(zero < zeros, high, middle)
    return low


def pooled(own: Floats, freedom: Floats, mean: Floats, unknown: float) -> tuple[Floats, Floats]:
    """Return the dispersion of each series (n,) shrunk to that of series of like rate, and its degrees of freedom.

    own: (n,) estimates, of any value where freedom is zero. freedom: (n,) their degrees of freedom. mean: (n,) of the
    series. unknown: the dispersion where no series of like rate is known. The weight of the others is larger the less
    the estimates differ beyond chance (empirical Bayes).
    """
    logs = np.log(np.maximum(mean, SMALLEST))
    kernel = np.exp(-0.5 * np.square((logs[:, None] - logs) / LIKE_RATE)) * freedom
    np.fill_diagonal(kernel, 0.0)
    usable = np.where(freedom > 0, own, 0.0)
    # One series with a bulk order is not the rule for the others.
    known = freedom > 0
    if known.sum() > 4:
        usable = np.minimum(usable, np.quantile(usable[known], 0.95))
    mass = kernel.sum(axis=1)
    # What is assumed counts as one degree of freedom of a series with few of its own.
    assumed = np.where(freedom < ENOUGH_FREEDOM, 1.0, 1e-9)
    others = (kernel @ usable + unknown * assumed) / (mass + assumed)
    weight = _weight(usable, freedom, others)
    weight = np.minimum(weight, mass + assumed)
    total = (freedom * np.where(known, own, 0) + weight * others) / (freedom + weight)
    return total, freedom + weight


def _weight(own: Floats, freedom: Floats, others: Floats) -> float:
    """Return the degrees of freedom that the series of like rate count for."""
    known = freedom > 0
    if known.sum() < 3:
        return WEIGHTS[0]
    relative = own[known] / np.maximum(others[known], SMALLEST)
    share = freedom[known] / freedom[known].sum()
    differences = (share * np.square(relative - 1)).sum()
    by_chance = (share * 2 / freedom[known]).sum()
    return float(np.clip(2 / max(differences - by_chance, 1e-9), *WEIGHTS))
