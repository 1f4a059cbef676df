"""Control of false discoveries over many metrics, campaigns or segments.

Belongs here: which of many p-values count, and the confidence of the intervals that are shown for them. Does not:
computing p-values and intervals (`effects`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.multitest import multipletests

from clm_dagster.statistics.experiments.moments import Floats

RATE = 0.05
Dependence = Literal["positive", "any"]
_METHODS: dict[Dependence, str] = {"positive": "fdr_bh", "any": "fdr_by"}


@dataclass(frozen=True, eq=False)
class Discoveries:
    """The results of m tests that count.

    selected: shape (m,). adjusted: adjusted p-values, shape (m,), NaN where nothing was tested. confidence: confidence
    of the intervals of the selected results (Benjamini, Yekutieli 2005, Journal of the American Statistical
    Association 100): of all intervals that are shown, at most `rate` miss their effect on average. tested: number of
    tests.
    """

    selected: NDArray[np.bool_]
    adjusted: Floats
    confidence: float
    tested: int


def select_discoveries(
    p_values: ArrayLike, rate: float = RATE, dependence: Dependence = "positive"
) -> Discoveries:
    """Return the tests that count, so that on average at most `rate` of them are false.

    p_values: shape (m,), NaN for a test without enough data, which then is not counted. dependence: "positive" for
    independent tests, or metrics that move together (Benjamini, Hochberg 1995); "any" for any dependence, such as
    metrics of which one falls when another rises (Benjamini, Yekutieli 2001), with wider intervals. Compute the
    interval of each selected result again with `confidence`: it excludes zero, except for rounding.

    Raises:
        ValueError: p-values outside of [0, 1], or a rate outside of (0, 1).

    Examples:
        >>> found = select_discoveries([0.001, 0.01, 0.04, 0.5])
        >>> found.selected.tolist(), round(found.confidence, 3)
        ([True, True, False, False], 0.975)
    """
    values = np.asarray(p_values, dtype=float)
    if not 0 < rate < 1:
        raise ValueError(f"a rate between 0 and 1 is expected, got {rate}")
    if ((values < 0) | (values > 1)).any():
        raise ValueError("p-values between 0 and 1 are expected")
    known = ~np.isnan(values)
    tested = int(known.sum())
    selected, adjusted = np.zeros(values.shape, dtype=bool), np.full(values.shape, np.nan)
    if tested:
        selected[known], adjusted[known] = multipletests(values[known], rate, method=_METHODS[dependence])[:2]
    share = max(int(selected.sum()), 1) / max(tested, 1)
    penalty = np.sum(1 / np.arange(1, tested + 1)) if dependence == "any" and tested else 1.0
    return Discoveries(selected, adjusted, float(1 - rate * share / penalty), tested)
