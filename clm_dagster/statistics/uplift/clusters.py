"""Intervals of Qini areas where a customer is in a trial more than once, such as in several campaigns.

Belongs here: resampling whole customers, and standard errors over them. Does not: trials with one row a customer
(`evaluation`, `policies`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from clm_dagster.statistics.evaluation.intervals import RESAMPLES, SEED, Difference
from clm_dagster.statistics.uplift.evaluation import QiniInterval, areas_of_resamples, ranking
from clm_dagster.statistics.uplift.policies import PolicyValue, policy_value
from clm_dagster.statistics.uplift.trials import Floats, Ints, UpliftError, as_arms

# Resamples are computed in blocks of at most this many numbers (16 MB).
_BLOCK = 2_000_000


@dataclass(frozen=True)
class _Ranking:
    """The rows of one group in the order of one ranking. ends: how many rows are in it at the end of each tie."""

    name: str
    weight: float
    rows: Ints
    ends: Ints


def clustered_qini_intervals(
    effects: Mapping[str, ArrayLike],
    treatment: ArrayLike,
    outcome: ArrayLike,
    reference: str,
    customers: ArrayLike,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = SEED,
) -> dict[str, QiniInterval]:
    """Return the Qini area of each ranking, and what it is above the reference's, with percentile intervals.

    As `qini_intervals`, but customers are resampled with all their rows (Efron, Tibshirani 1993, chapter 8), so that
    rows of one customer need not be independent.
    customers: shape (n,), who each row is of. groups: shape (n,), rows of one probability of treatment; the area is the
    mean over groups, weighted by their rows. Raise UpliftError for input that cannot be used.
    """
    if reference not in effects:
        raise UpliftError(f"the reference {reference!r} is none of the rankings {', '.join(effects)}")
    t, y = as_arms(treatment, outcome)
    scores = {name: _finite(effect, len(y)) for name, effect in effects.items()}
    who = np.unique(np.asarray(customers), return_inverse=True)[1]
    if len(who) != len(y):
        raise UpliftError(f"{len(who)} customers for {len(y)} outcomes")
    group = np.zeros(len(y), dtype=np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    rankings = [
        _ranked(name, score, np.flatnonzero(group == one))
        for name, score in scores.items()
        for one in range(int(group.max()) + 1)
    ]
    rng = np.random.default_rng(seed)
    count, found = int(who.max()) + 1, {name: np.zeros(1 + resamples) for name in scores}
    each = max(1, _BLOCK // len(y))
    for start in range(0, 1 + resamples, each):
        stop = min(start + each, 1 + resamples)
        # The first one holds every customer once.
        counts = np.array(
            [
                np.ones(count)
                if place == 0
                else np.bincount(rng.integers(0, count, count), minlength=count).astype(float)
                for place in range(start, stop)
            ]
        )
        for one in rankings:
            area = areas_of_resamples(counts[:, who[one.rows]], t[one.rows], y[one.rows], one.ends)
            found[one.name][start:stop] += one.weight * area
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return {
        name: QiniInterval(
            _interval(found[name], tails),
            _interval(found[name] - found[reference], tails),
        )
        for name in scores
    }


def clustered_policy_value(scores: ArrayLike, customers: ArrayLike) -> PolicyValue:
    """Return the mean of scores of rows, with a standard error over customers, whose rows need not be independent.

    scores: shape (n,), as of `weighted_scores` or `doubly_robust_scores`. customers: shape (n,). The mean is the sum of
    customers' totals by the number of rows (Cochran 1977, section 9.2).
    """
    values, who = np.asarray(scores, dtype=float), np.unique(np.asarray(customers), return_inverse=True)[1]
    sizes = np.bincount(who).astype(float)
    mean = float(values.mean())
    surplus = np.bincount(who, weights=values - mean) / sizes.mean()
    spread = policy_value(surplus)
    return PolicyValue(mean, spread.standard_error, len(sizes))


def _finite(effect: ArrayLike, count: int) -> Floats:
    score = np.asarray(effect, dtype=float)
    if score.shape != (count,) or not np.isfinite(score).all():
        raise UpliftError(f"effects must be {count} finite numbers, got shape {score.shape}")
    return score


def _ranked(name: str, score: Floats, rows: Ints) -> _Ranking:
    order, ends = ranking(score[rows])
    return _Ranking(name, len(rows) / len(score), rows[order], ends)


def _interval(drawn: Floats, tails: tuple[float, float]) -> Difference:
    low, high = np.quantile(drawn[1:], tails)
    return Difference(float(drawn[0]), float(low), float(high))
