"""Looks at a running experiment: once at a planned size, or every day.

Belongs here: critical values and p-values of both kinds of look. Does not: estimates (`effects`), planned sizes
(`power`).

Who looks at an ordinary interval every day, and stops when it excludes zero, is wrong far more often than in 5% of
experiments. An anytime-valid interval is wrong in at most 5% over all looks together. It is an asymptotic confidence
sequence with the normal mixture boundary (Robbins 1970; Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024, Annals of
Statistics 52, theorem 2.2), tuned to be narrowest at the planned size.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw
from scipy.stats import norm, t

from clm_dagster.statistics.experiments.moments import Floats

CONFIDENCE = 0.95
_LEAST_PROGRESS = 1e-9


@dataclass(frozen=True)
class Look(ABC):
    """How an experiment is looked at: the critical value of its intervals, and its p-values.

    confidence: probability that the interval contains the effect, for an anytime look at all looks together.
    """

    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        """Raise ValueError for a confidence outside of (0, 1)."""
        if not 0 < self.confidence < 1:
            raise ValueError(f"a confidence between 0 and 1 is expected, got {self.confidence}")

    @property
    @abstractmethod
    def critical(self) -> float:
        """Half the width of the interval, in standard errors of a normal estimate."""

    @property
    def once(self) -> float:
        """Half the width of the interval of a fixed look with the same confidence, in standard errors."""
        return float(norm.isf((1 - self.confidence) / 2))

    @abstractmethod
    def p_value(self, z: float) -> float:
        """Return the p-value of an estimate that is z standard errors from zero."""

    def inflation(self, freedom: float) -> float:
        """Return how much wider the interval is because the variance is an estimate with these degrees of freedom.

        The quantile of Student's t over that of the normal distribution.
        """
        return float(t.isf((1 - self.confidence) / 2, freedom) / self.once)

    @abstractmethod
    def t_p_value(self, statistic: float, freedom: float) -> float:
        """Return the p-value of a t statistic."""


@dataclass(frozen=True)
class FixedLook(Look):
    """One look, at a size that was fixed before.

    Examples:
        >>> round(FixedLook().critical, 3), round(FixedLook().p_value(1.96), 3)
        (1.96, 0.05)
    """

    @property
    def critical(self) -> float:
        """Half the width of the interval, in standard errors of a normal estimate."""
        return self.once

    def p_value(self, z: float) -> float:
        """Return the two-sided p-value of an estimate that is z standard errors from zero."""
        return float(2 * norm.sf(abs(z)))

    def t_p_value(self, statistic: float, freedom: float) -> float:
        """Return the two-sided p-value of a t statistic."""
        return float(2 * t.sf(abs(statistic), freedom))


@dataclass(frozen=True)
class AnytimeLook(Look):
    """One of any number of looks.

    progress: information so far over information at the planned size (`progress`); 1 at the planned size, above 1
    later. The interval is valid at any progress and narrowest, beside the fixed interval, at 1. Neither the plan nor
    `tuned_to` may be changed after the start.
    tuned_to: confidence that the boundary is narrowest for; keep it where `confidence` depends on the data, as after a
    selection of metrics.

    Examples:
        >>> planned = AnytimeLook(progress=1)
        >>> round(planned.critical / FixedLook().critical, 2)
        1.55
        >>> round(AnytimeLook(progress=0.1).critical, 2)
        3.82
    """

    progress: float = 1.0
    tuned_to: float = CONFIDENCE

    def __post_init__(self) -> None:
        """Raise ValueError for a progress that is not above zero, or an impossible confidence."""
        super().__post_init__()
        if not self.progress > 0:
            raise ValueError(f"a progress above 0 is expected, got {self.progress}")

    @property
    def critical(self) -> float:
        """Half the width of the interval, in standard errors of a normal estimate."""
        return float(boundary(self.progress, self.confidence, self.tuned_to))

    def p_value(self, z: float) -> float:
        """Return the smallest error rate at which the interval excludes zero; valid at all looks together."""
        ratio = prior_ratio(self.tuned_to)
        exponent = -(z**2) * self.progress / (2 * (self.progress + ratio))
        return float(min(1.0, np.sqrt((self.progress + ratio) / ratio) * np.exp(exponent)))

    def t_p_value(self, statistic: float, freedom: float) -> float:
        """Return the p-value of a t statistic, consistent with the interval at `confidence`."""
        return self.p_value(statistic / self.inflation(freedom))


def prior_ratio(confidence: float) -> float:
    """Return the parameter of the boundary that makes it narrowest at a progress of 1.

    The mixture's prior precision over the planned information. With w = 1 + 1 / ratio, the derivative of the
    boundary is zero where w - ln w = 1 - 2 ln(1 - confidence), which the Lambert function solves.
    """
    error = 1 - confidence
    w = -float(lambertw(-(error**2) / np.e, -1).real)
    return 1 / (w - 1)


def boundary(
    progress: float | Floats, confidence: float = CONFIDENCE, tuned_to: float = CONFIDENCE
) -> Floats:
    """Return half the width of the anytime interval in standard errors, for each progress (any shape, above 0)."""
    share, ratio = np.asarray(progress, dtype=float), prior_ratio(tuned_to)
    return np.asarray(
        np.sqrt((1 + ratio / share) * (np.log((share + ratio) / ratio) - 2 * np.log(1 - confidence)))
    )


def information(control: float | Floats, treated: float | Floats) -> Floats:
    """Return the information of two arms of these sizes: n m / (n + m), in customers.

    The variance of a difference in means is the variance of one customer over it, so it is the clock of an
    experiment that customers enter one after the other. It is known exactly, unlike the standard error.
    """
    n, m = np.asarray(control, dtype=float), np.asarray(treated, dtype=float)
    return np.asarray(n * m / np.maximum(n + m, 1))


def progress(sizes: tuple[int, int], planned: tuple[int, int]) -> float:
    """Return the information so far over the planned information. sizes, planned: customers in control and treated.

    Customers count once their window for conversions is over: their outcomes no longer change. Where all customers
    are contacted at once, and their outcomes grow from day to day, the progress is the share of the window that is
    over (`clm_dagster_tests.benchmarks.experiments` measures both). Before the first customer it is just above zero, so
    that an `AnytimeLook` is possible: its interval is very wide.

    Raises:
        ValueError: a plan without customers in one of the arms.

    Examples:
        >>> progress((50, 450), planned=(100, 900))
        0.5
    """
    if min(planned) < 1:
        raise ValueError(f"a plan has customers in both arms, got {planned[0]} and {planned[1]}")
    return max(float(information(*sizes) / information(*planned)), _LEAST_PROGRESS)
