"""Sample-ratio mismatch: arms whose sizes are not those that were planned.

Belongs here: tests of the sizes of arms, once or at every look, and the sentence about them. Does not: effects.

Arms of the wrong size mean that customers were lost or added after assignment, in one arm more than in the other. The
remaining customers then differ, and no effect may be read (Fabijan and others 2019, KDD).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy
from scipy.stats import chisquare

from clm_dagster.statistics.experiments.moments import Floats

THRESHOLD = 0.001
"""Error rate of one test. Low, because one result is thrown away, and many experiments are tested."""
SEQUENTIAL_THRESHOLD = 0.01
"""Error rate over all looks together."""
CONCENTRATION = 1_000.0
"""Customers that the prior is worth: deviations of a few per cent are found soonest."""
# Below this expected count in an arm, chi-square is not reliable.
_FEWEST_EXPECTED = 5


@dataclass(frozen=True)
class SampleRatio:
    """The result of a test.

    sizes: customers by arm. planned: planned share by arm. p_value, threshold: the arms differ from the plan where the
    p-value is below the threshold. looks: number of looks that the p-value covers.
    """

    sizes: Mapping[str, int]
    planned: Mapping[str, float]
    p_value: float
    threshold: float
    looks: int

    @property
    def is_mismatch(self) -> bool:
        """Whether the sizes contradict the plan."""
        return self.p_value < self.threshold

    def __str__(self) -> str:
        total = max(sum(self.sizes.values()), 1)
        parts = [
            f"{arm} {size:,} ({size / total:.2%}, planned {self.planned[arm]:.2%})"
            for arm, size in self.sizes.items()
        ]
        found = f"Customers by arm: {', '.join(parts)}; p = {self.p_value:.2g}, threshold {self.threshold:g}."
        if not self.is_mismatch:
            return f"{found} The sizes agree with the plan."
        return (
            f"{found} The sizes contradict the plan, so the arms cannot be compared and no effect may be read. Look "
            "for customers who are lost after assignment in one arm only: bounces, consent, filters, missing touches."
        )


def check_sample_ratio(
    sizes: Mapping[str, int], planned: Mapping[str, float], threshold: float = THRESHOLD
) -> SampleRatio:
    """Test the sizes of arms once, by chi-square. sizes: arm -> customers. planned: arm -> share, sum 1.

    With fewer than 5 expected customers in an arm the p-value is 1: the sizes say nothing yet. Raise ValueError for
    arms that differ, or shares that are not positive or do not add up to 1.

    Examples:
        >>> check_sample_ratio({"control": 900, "treated": 9_100}, {"control": 0.1, "treated": 0.9}).is_mismatch
        True
    """
    shares = _shares(sizes, planned)
    counts = np.array([sizes[arm] for arm in planned], dtype=float)
    expected = shares * counts.sum()
    reliable = expected.min() >= _FEWEST_EXPECTED
    p_value = float(chisquare(counts, expected).pvalue) if reliable else 1.0
    return SampleRatio(dict(sizes), dict(planned), p_value, threshold, looks=1)


def check_sample_ratio_daily(
    arms: Sequence[str],
    counts: ArrayLike,
    planned: Mapping[str, float],
    threshold: float = SEQUENTIAL_THRESHOLD,
) -> SampleRatio:
    """Test the sizes of arms at every look.

    arms: names (k,). counts: customers in each arm up to each look, shape (looks, k), not falling. The p-value is
    valid at all looks together, however many there are, and is below the threshold for ever once it was: the
    Dirichlet-multinomial test martingale of Lindon and Malek (2022, NeurIPS).

    Raises:
        ValueError: counts that fall, or arms and shares as for `check_sample_ratio`.

    Examples:
        >>> days = [[50, 450], [100, 900], [150, 1_350]]
        >>> found = check_sample_ratio_daily(["control", "treated"], days, {"control": 0.1, "treated": 0.9})
        >>> str(found)[-30:]
        'The sizes agree with the plan.'
    """
    table = np.asarray(counts, dtype=float)
    sizes = {arm: int(size) for arm, size in zip(arms, table[-1], strict=True)}
    shares = _shares(sizes, planned)
    if (np.diff(table, axis=0) < 0).any():
        raise ValueError("counts up to each look are expected, and they fall from one look to the next")
    ordered = table[:, [list(arms).index(arm) for arm in planned]]
    evidence = log_evidence(ordered, shares).max()
    p_value = float(np.exp(-max(evidence, 0.0)))
    return SampleRatio(sizes, dict(planned), p_value, threshold, looks=len(table))


def log_evidence(counts: Floats, shares: Floats, concentration: float = CONCENTRATION) -> Floats:
    """Return the logarithm of the Bayes factor against the planned shares, shape (...).

    counts: shape (..., k). shares: planned, shape (k,). Its exponential is a martingale with mean 1 where the shares
    are the planned ones, so it ever exceeds 1 / e with a probability of at most e (Ville).
    """
    prior = concentration * shares
    marginal = (
        gammaln(concentration)
        - gammaln(concentration + counts.sum(axis=-1))
        + (gammaln(prior + counts) - gammaln(prior)).sum(axis=-1)
    )
    return np.asarray(marginal - xlogy(counts, shares).sum(axis=-1))


def _shares(sizes: Mapping[str, int], planned: Mapping[str, float]) -> Floats:
    if set(sizes) != set(planned):
        raise ValueError(f"arms {sorted(planned)} are planned, got {sorted(sizes)}")
    shares = np.array(list(planned.values()), dtype=float)
    if (shares <= 0).any() or not np.isclose(shares.sum(), 1, atol=1e-9):
        raise ValueError(f"planned shares are above 0 and add up to 1, got {dict(planned)}")
    return shares
