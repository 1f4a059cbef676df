"""Calibration of log-odds in two parts: the shape of the calibration curve, and the base rate.

A shop's base rate changes with the season faster than labels mature, while the differences between customers
are stable. The shape (sigmoid or isotonic) is therefore fitted on snapshots that the model was not fitted on,
after removing the base rate of each snapshot. The base rate itself is a forecast that the caller provides.

Belongs here: fitting and applying a calibration. Does not: forecasting the base rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from clm_dagster.statistics.evaluation.intervals import fast_log_loss

Floats = NDArray[np.float64]
Kind = Literal["none", "sigmoid", "isotonic"]

# Slope of the flat parts of an isotonic map. Without it, customers with different scores would be tied.
FLAT_SLOPE = 1e-3
EDGE = 1e-4  # probabilities are clipped this far from 0 and 1 before their log-odds are computed


@dataclass(frozen=True)
class Shape:
    """A monotone map of log-odds: `none`, `sigmoid` (a slope) or `isotonic` (linear between knots)."""

    kind: Kind
    slope: float = 1.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __call__(self, log_odds: ArrayLike) -> Floats:
        """Return calibrated log-odds."""
        z = np.asarray(log_odds, dtype=float)
        if self.kind == "isotonic":
            calibrated: Floats = np.interp(z, self.knots, self.values) + FLAT_SLOPE * z
            return calibrated
        return self.slope * z


def safe_logit(probabilities: ArrayLike) -> Floats:
    """Return the log-odds of probabilities after clipping them away from 0 and 1."""
    log_odds: Floats = logit(np.clip(np.asarray(probabilities, dtype=float), EDGE, 1 - EDGE))
    return log_odds


def level_shift(log_odds: ArrayLike, rate: float) -> float:
    """Return the shift of the log-odds that makes the mean probability equal to `rate`, in (0, 1)."""
    z = np.asarray(log_odds, dtype=float)
    if not 0 < rate < 1:
        raise ValueError(f"a base rate must lie between 0 and 1, found {rate}")
    return float(brentq(lambda shift: float(expit(z + shift).mean()) - rate, -60, 60, xtol=1e-10))


def shifted_to_mean(log_odds: ArrayLike, rate: float) -> Floats:
    """Return probabilities with mean `rate`, in the order of the log-odds."""
    z = np.asarray(log_odds, dtype=float)
    shifted: Floats = expit(z + level_shift(z, rate))
    return shifted


@dataclass(frozen=True)
class Calibration:
    """A map from log-odds to probabilities: shift to the base rate, apply the shape, shift to the base rate again."""

    shape: Shape
    before: float
    after: float

    def __call__(self, log_odds: ArrayLike) -> Floats:
        """Return probabilities for customers of the snapshot, or for others with the same base rate."""
        probabilities: Floats = expit(
            self.shape(np.asarray(log_odds, dtype=float) + self.before) + self.after
        )
        return probabilities


def calibrate_to_rate(log_odds: ArrayLike, shape: Shape, rate: float) -> Calibration:
    """Return the calibration of one snapshot with this shape, so that the mean probability of `log_odds` is `rate`."""
    z = np.asarray(log_odds, dtype=float)
    before = level_shift(z, rate)
    return Calibration(shape, before, level_shift(shape(z + before), rate))


@dataclass(frozen=True)
class ShapeFit:
    """The selected shape, and the results of the selection.

    losses: log loss of each kind on snapshots that it was not fitted on. probabilities: of the selected kind, for
    each validation snapshot, from the shape fitted on the other snapshots, at the snapshot's own base rate.
    """

    shape: Shape
    losses: dict[str, float]
    probabilities: list[Floats]


def fit_shape(log_odds: Sequence[Floats], labels: Sequence[Floats]) -> ShapeFit:
    """Select and fit the shape on validation snapshots, given as one array of log-odds and one of labels each.

    Each kind is cross-validated over snapshots by log loss. Every snapshot is shifted to its own base rate, so
    that only the shape is evaluated. The kind with the smallest mean loss is fitted on all snapshots; in a tie,
    the simpler kind is used. With a single snapshot, the two folds are every other customer in order of score.
    """
    kinds: tuple[Kind, ...] = ("none", "sigmoid", "isotonic")
    parts = [(i, np.arange(len(scores))) for i, scores in enumerate(log_odds)]
    if len(log_odds) == 1:
        order = np.argsort(log_odds[0], kind="stable")
        parts = [(0, np.sort(order[::2])), (0, np.sort(order[1::2]))]
    folds = [_Scored.of(log_odds[i][rows], labels[i][rows]) for i, rows in parts]
    out: dict[Kind, list[Floats]] = {kind: [np.empty(len(scores)) for scores in log_odds] for kind in kinds}
    losses: dict[str, float] = {}
    for kind in kinds:
        fold_losses = []
        for fold, (i, rows) in zip(folds, parts, strict=True):
            shape = _fit(kind, [other for other in folds if other is not fold])
            fitted = fold.calibration(shape)(fold.log_odds)
            out[kind][i][rows] = fitted
            fold_losses.append(fast_log_loss(fold.labels, fitted))
        losses[kind] = float(np.mean(fold_losses))
    best = min(kinds, key=lambda kind: round(losses[kind], 6))
    whole = folds if len(log_odds) > 1 else [_Scored.of(log_odds[0], labels[0])]
    return ShapeFit(_fit(best, whole), losses, out[best])


@dataclass(frozen=True, eq=False)
class _Scored:
    """Scored customers with their labels. shift: of their log-odds to their own base rate, which costs a search."""

    log_odds: Floats
    labels: Floats
    shift: float

    @classmethod
    def of(cls, log_odds: Floats, labels: Floats) -> "_Scored":
        return cls(log_odds, labels, level_shift(log_odds, _rate(labels)))

    def calibration(self, shape: Shape) -> Calibration:
        """Return `calibrate_to_rate` at their own base rate."""
        if shape.kind == "none":
            return Calibration(shape, self.shift, 0.0)
        after = level_shift(shape(self.log_odds + self.shift), _rate(self.labels))
        return Calibration(shape, self.shift, after)


def _fit(kind: Kind, scored: Sequence[_Scored]) -> Shape:
    if kind == "none":
        return Shape("none")
    centred = np.concatenate([one.log_odds + one.shift for one in scored])
    ones = np.concatenate([one.labels for one in scored])
    if kind == "sigmoid":
        # Unpenalised logistic regression on the score (Platt 1999), with an intercept per snapshot.
        offsets = np.repeat([one.shift for one in scored], [len(one.labels) for one in scored])
        dummies = (offsets[:, None] == np.unique(offsets)).astype(float)
        model = LogisticRegression(C=np.inf, fit_intercept=False, max_iter=1000)
        slope = float(model.fit(np.column_stack([centred - offsets, dummies]), ones).coef_[0, 0])
        # A negative slope would reverse the ranking: the score then carries no information on the shape.
        return Shape("sigmoid", slope) if slope > 0 else Shape("none")
    model = IsotonicRegression(y_min=EDGE, y_max=1 - EDGE, out_of_bounds="clip").fit(centred, ones)
    values = safe_logit(model.y_thresholds_)
    knots = model.X_thresholds_
    return Shape("isotonic", 1.0, tuple(map(float, knots)), tuple(map(float, values)))


def _rate(labels: Floats) -> float:
    """Return the share of ones, kept away from 0 and 1 by half a customer."""
    return float(np.clip(np.mean(labels), 0.5 / len(labels), 1 - 0.5 / len(labels)))
