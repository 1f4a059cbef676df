"""Evaluation of a ranking of customers by effect, on a randomised trial that it was not fitted on.

Belongs here: the uplift curve, the Qini area and coefficient with intervals, uplift by decile. Does not: models
(`learners`), values of policies (`policies`), decisions (`gates`).

    areas = qini_intervals({"x_learner": effect, "response": response}, treatment, outcome, "response")
    areas["x_learner"].area, areas["x_learner"].over_reference
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clm_dagster.statistics.evaluation.intervals import RESAMPLES, Difference
from clm_dagster.statistics.evaluation.intervals import SEED as RESAMPLE_SEED
from clm_dagster.statistics.uplift.trials import Floats, Ints, UpliftError, as_arms, is_binary

PER_CUSTOMERS = 10_000
DECILES = 10
# Resamples are computed in blocks of at most this many numbers (16 MB).
_BLOCK = 2_000_000
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class UpliftCurve:
    """Incremental outcomes by how many customers of the ranking are treated.

    share: shape (k,), the share of customers, from 0 to 1; customers with the same effect enter together. gain: shape
    (k,), G(share) of `qini_area`. random: shape (k,), the gain of a random ranking, share * G(1).
    """

    share: Floats
    gain: Floats

    @property
    def random(self) -> Floats:
        """The expected gain of a random ranking."""
        return np.asarray(self.share * self.gain[-1])


@dataclass(frozen=True)
class QiniInterval:
    """The Qini area of a ranking and what it is above that of the reference, both with an interval.

    Both intervals are of the same resampled customers. over_reference is exactly 0 for the reference.
    """

    area: Difference
    over_reference: Difference


def uplift_curve(
    effect: ArrayLike, treatment: ArrayLike, outcome: ArrayLike, per: float = PER_CUSTOMERS
) -> UpliftCurve:
    """Return the curve whose area is `qini_area`; see there for the arguments."""
    s, t, y = _checked(effect, treatment, outcome)
    order, ends = ranking(s)
    gain = _gains(np.ones((1, len(s))), t[order], y[order], ends, per)[0]
    return UpliftCurve(np.concatenate([[0.0], ends / len(s)]), gain)


def qini_area(
    effect: ArrayLike, treatment: ArrayLike, outcome: ArrayLike, per: float = PER_CUSTOMERS
) -> float:
    """Return the area between the uplift curve and a random ranking, in incremental outcomes per 10,000 customers.

    G(k/n) = (Y1(k) - Y0(k) * N1(k) / N0(k)) / n * per
    area   = integral from 0 to 1 of G(s) - s * G(1)

    Among the k customers of the n with the largest effects, N1 are treated and N0 are in the control, and Y1 and Y0 are
    the sums of their outcomes (Radcliffe 2007). G is linear between customers, and across customers with the same
    effect, so that the order of rows cannot matter. G is 0 while N0 = 0. n counts both arms: where half of the
    customers are treated, the area is half of that per 10,000 treated customers.
    effect: shape (n,), any score that ranks customers. treatment: shape (n,), 1 or 0, randomised with one probability.
    outcome: shape (n,). Raise UpliftError for input that cannot be used.

    >>> round(qini_area([3, 3, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0]), 1)
    625.0
    """
    curve = uplift_curve(effect, treatment, outcome, per)
    return float(np.trapezoid(curve.gain - curve.random, curve.share))


def qini_coefficient(effect: ArrayLike, treatment: ArrayLike, outcome: ArrayLike) -> float:
    """Return the Qini area as a share of the best one that is possible if the treatment harms nobody.

    Q = area / (u / 2 * (1 - u / p)),  u = G(1) for per = 1,  p = N1 / n

    The best ranking begins with u / p of the customers, each of whom responds only if treated: its curve rises with
    slope p to u and stays there (Radcliffe 2007, q0). Q is 1 at best, 0 for a random ranking, and not a number where u
    is not above 0 or not below p. Raise UpliftError for an outcome that is not 0 or 1.
    """
    s, t, y = _checked(effect, treatment, outcome)
    if not is_binary(y):
        raise UpliftError("the Qini coefficient needs outcomes of 0 and 1; use qini_area")
    curve = uplift_curve(s, t, y, 1.0)
    total, share = float(curve.gain[-1]), float(t.mean())
    if not 0 < total < share:
        return float("nan")
    area = float(np.trapezoid(curve.gain - curve.random, curve.share))
    return area / (total / 2 * (1 - total / share))


def qini_intervals(
    effects: Mapping[str, ArrayLike],
    treatment: ArrayLike,
    outcome: ArrayLike,
    reference: str,
    groups: ArrayLike | None = None,
    per: float = PER_CUSTOMERS,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = RESAMPLE_SEED,
) -> dict[str, QiniInterval]:
    """Return the Qini area of each ranking, and what it is above the reference's, with percentile intervals.

    Customers are resampled, the same ones for all rankings, each arm for itself (Efron, Tibshirani 1993, chapter 16).
    effects: shape (n,) for each ranking. reference: the name of one, such as a ranking by response. groups: shape (n,),
    for effects that are predicted out of fold: effects of different models do not rank together, so the area is the
    mean over groups, weighted by their customers. Other arguments: `qini_area`. Raise UpliftError for input that cannot
    be used.
    """
    if reference not in effects:
        raise UpliftError(f"the reference {reference!r} is none of the rankings {', '.join(effects)}")
    full: dict[str, float] = dict.fromkeys(effects, 0.0)
    drawn: dict[str, Floats] = {name: np.zeros(resamples) for name in effects}
    t, y = as_arms(treatment, outcome)
    group = np.zeros(len(y), dtype=np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    for one in range(int(group.max()) + 1):
        rows = group == one
        scores = {
            name: _checked(np.asarray(effect, dtype=float)[rows], t[rows], y[rows])[0]
            for name, effect in effects.items()
        }
        weight = float(rows.mean())
        areas = _resampled_areas(scores, t[rows], y[rows], per, resamples, rng)
        for name, (area, of_resamples) in areas.items():
            full[name] += weight * area
            drawn[name] += weight * of_resamples
    return {
        name: QiniInterval(
            _interval(full[name], drawn[name], confidence),
            _interval(full[name] - full[reference], drawn[name] - drawn[reference], confidence),
        )
        for name in effects
    }


def uplift_by_decile(
    effect: ArrayLike, treatment: ArrayLike, outcome: ArrayLike, bins: int = DECILES
) -> pd.DataFrame:
    """Return predicted and measured uplift by decile of the effect, the largest effects first.

    Columns: decile (from 1), customers, treated, control, predicted (mean effect), rate_treated, rate_control, uplift
    (their difference), low and high (95%, normal, with the variance of each arm). Customers with the same effect are in
    the same decile, so deciles differ in size and may be missing. A decile without one of the arms has no uplift; one
    with a single customer in an arm has no interval.
    """
    s, t, y = _checked(effect, treatment, outcome)
    middle = pd.Series(-s).rank(method="average").to_numpy() - 0.5
    frame = pd.DataFrame({"decile": (middle * bins // len(s)).astype(int) + 1, "effect": s, "t": t, "y": y})
    found = frame.groupby("decile").agg(
        customers=("t", "size"), treated=("t", "sum"), predicted=("effect", "mean")
    )
    found["treated"] = found["treated"].astype(int)
    found.insert(2, "control", found["customers"] - found["treated"])
    variance = np.zeros(len(found))
    for name, arm in (("treated", 1.0), ("control", 0.0)):
        by_decile = frame[frame["t"] == arm].groupby("decile")["y"]
        found[f"rate_{name}"] = by_decile.mean().reindex(found.index)
        variance = variance + (by_decile.var(ddof=1) / by_decile.size()).reindex(found.index).to_numpy()
    found["uplift"] = found["rate_treated"] - found["rate_control"]
    half = _NORMAL_95 * np.sqrt(variance)
    found["low"], found["high"] = found["uplift"] - half, found["uplift"] + half
    return found.reset_index()


def _checked(effect: ArrayLike, treatment: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats, Floats]:
    t, y = as_arms(treatment, outcome)
    s = np.asarray(effect, dtype=float)
    if s.shape != y.shape:
        raise UpliftError(f"effects of shape {s.shape} for outcomes of shape {y.shape}")
    if not np.isfinite(s).all():
        raise UpliftError(f"effects must be finite, {int((~np.isfinite(s)).sum())} are not")
    return s, t, y


def areas_of_resamples(
    counts: Floats, treatment: Floats, outcome: Floats, ends: Ints, per: float = PER_CUSTOMERS
) -> Floats:
    """Return `qini_area` of m resamples, shape (m,).

    counts: shape (m, n), how often each resample holds each customer. All customers are in the order of the ranking,
    and `ends` is of `ranking`.
    """
    gain = _gains(counts, treatment, outcome, ends, per)
    customers = np.concatenate([np.zeros((len(counts), 1)), _sums(counts, ends)], axis=1)
    share = customers / _totals(counts)
    return np.asarray(np.trapezoid(gain - share * gain[:, -1:], share, axis=1))


def ranking(effect: Floats) -> tuple[Ints, Ints]:
    """Return the order by effect, largest first, and how many customers are in it at the end of each tie."""
    order = np.argsort(-effect, kind="stable")
    ranked = effect[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]) + 1, len(ranked))
    return order, ends


def _gains(counts: Floats, treatment: Floats, outcome: Floats, ends: Ints, per: float) -> Floats:
    """Return G at the end of each tie, shape (m, 1 + ties), for m resamples.

    counts: shape (m, n), how often each resample holds each customer. All customers are in the order of the ranking.
    """
    treated = _sums(counts * treatment, ends)
    control = _sums(counts * (1 - treatment), ends)
    of_treated = _sums(counts * (treatment * outcome), ends)
    of_control = _sums(counts * ((1 - treatment) * outcome), ends)
    expected = np.divide(of_control * treated, control, out=np.zeros_like(control), where=control > 0)
    gain = np.where(control > 0, of_treated - expected, 0.0) / _totals(counts) * per
    return np.concatenate([np.zeros((len(gain), 1)), gain], axis=1)


def _totals(counts: Floats) -> Floats:
    """Return the customers of each resample, shape (m, 1); 1 where it has none, whose gains are 0."""
    return np.asarray(np.maximum(counts.sum(axis=1, keepdims=True), 1))


def _sums(values: Floats, ends: Ints) -> Floats:
    sums: Floats = np.cumsum(values, axis=1)
    return sums if len(ends) == values.shape[1] else sums[:, ends - 1]


def _resampled_areas(
    scores: Mapping[str, Floats],
    treatment: Floats,
    outcome: Floats,
    per: float,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, tuple[float, Floats]]:
    """Return the area of each ranking on all customers, and on each resample of them, shape (resamples,)."""
    rankings = {name: ranking(effect) for name, effect in scores.items()}
    arms = [np.flatnonzero(treatment == arm) for arm in (1.0, 0.0)]
    count = len(outcome)
    parts: dict[str, list[Floats]] = {name: [] for name in scores}
    each = max(1, _BLOCK // count)
    for start in range(-1, resamples, each):
        # The first row of the first block holds every customer once.
        here = min(each, resamples - start)
        counts = np.zeros((here, count))
        for row in range(here):
            if start + row < 0:
                counts[row] = 1
                continue
            for arm in arms:
                counts[row, arm] = np.bincount(rng.integers(0, len(arm), len(arm)), minlength=len(arm))
        for name, (order, ends) in rankings.items():
            parts[name].append(
                areas_of_resamples(counts[:, order], treatment[order], outcome[order], ends, per)
            )
    return {name: (float(found[0][0]), np.concatenate(found)[1:]) for name, found in parts.items()}


def _interval(value: float, drawn: Floats, confidence: float) -> Difference:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(float(value), float(low), float(high))
