"""Calibration in two parts: the shape of the curve, and its level. Pure: log-odds in, probabilities out.

A shop's base rate moves with the season faster than labels mature, while how far customers differ
hardly moves. So the shape (sigmoid or isotonic) is fitted on snapshots not used for fitting the model
with each snapshot's own level taken out, and the level is a forecast that the caller makes.
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
from sklearn.metrics import log_loss

Floats = NDArray[np.float64]
Kind = Literal["none", "sigmoid", "isotonic"]

# The slope of a step of an isotonic map: a flat one would make ties of customers that differ.
FLAT_SLOPE = 1e-3
EDGE = 1e-4  # probabilities are kept this far from 0 and 1 before their log-odds are taken


@dataclass(frozen=True)
class Shape:
    """A monotone map of log-odds: `none`, `sigmoid` (a slope) or `isotonic` (knots, linear between)."""

    kind: Kind
    slope: float = 1.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __call__(self, log_odds: ArrayLike) -> Floats:
        """Log-odds to log-odds."""
        z = np.asarray(log_odds, dtype=float)
        if self.kind == "isotonic":
            return np.interp(z, self.knots, self.values) + FLAT_SLOPE * z
        return self.slope * z


def safe_logit(probabilities: ArrayLike) -> Floats:
    """Log-odds of probabilities kept off 0 and 1."""
    return logit(np.clip(np.asarray(probabilities, dtype=float), EDGE, 1 - EDGE))


def level_shift(log_odds: ArrayLike, rate: float) -> float:
    """What must be added to log-odds so that the mean of the probabilities is `rate`, in (0, 1)."""
    z = np.asarray(log_odds, dtype=float)
    if not 0 < rate < 1:
        raise ValueError(f"a base rate lies between 0 and 1, found {rate}")
    return float(brentq(lambda shift: float(expit(z + shift).mean()) - rate, -60, 60, xtol=1e-10))


def shifted_to_mean(log_odds: ArrayLike, rate: float) -> Floats:
    """Probabilities whose mean is `rate`, in the order of the log-odds."""
    z = np.asarray(log_odds, dtype=float)
    return expit(z + level_shift(z, rate))


@dataclass(frozen=True)
class Calibration:
    """From a model's log-odds to probabilities: to the level of the day, through the shape, level again."""

    shape: Shape
    before: float
    after: float

    def __call__(self, log_odds: ArrayLike) -> Floats:
        """Probabilities of customers of the snapshot, or of any others at its level."""
        return expit(self.shape(np.asarray(log_odds, dtype=float) + self.before) + self.after)


def at_level(log_odds: ArrayLike, shape: Shape, rate: float) -> Calibration:
    """The calibration of one snapshot: of this shape, and with mean probability `rate` over `log_odds`."""
    z = np.asarray(log_odds, dtype=float)
    before = level_shift(z, rate)
    return Calibration(shape, before, level_shift(shape(z + before), rate))


@dataclass(frozen=True)
class ShapeFit:
    """A chosen shape, and what it was chosen by.

    losses: log loss of each kind on snapshots it was not fitted on. probabilities: of the chosen kind, for each
    validation snapshot, from the shape fitted on the others, at the snapshot's own level.
    """

    shape: Shape
    losses: dict[str, float]
    probabilities: list[Floats]


def fit_shape(log_odds: Sequence[Floats], labels: Sequence[Floats]) -> ShapeFit:
    """Choose and fit the shape on validation snapshots: arrays of log-odds and of labels, one each.

    Each kind is fitted on all snapshots but one and judged by log loss on that one, every snapshot at its
    own level, so that only the shape is judged; the smallest mean wins, the simpler of two that tie, and
    is fitted on all. With one snapshot only, every second customer in order of score judges the other.
    """
    kinds: tuple[Kind, ...] = ("none", "sigmoid", "isotonic")
    z, y = list(log_odds), list(labels)
    parts = [(i, np.arange(len(scores))) for i, scores in enumerate(z)]
    if len(z) == 1:
        order = np.argsort(z[0], kind="stable")
        parts = [(0, np.sort(order[::2])), (0, np.sort(order[1::2]))]
    out: dict[Kind, list[Floats]] = {kind: [np.empty(len(scores)) for scores in z] for kind in kinds}
    losses: dict[str, float] = {}
    for kind in kinds:
        found = []
        for i, rows in parts:
            others = [(z[k][r], y[k][r]) for k, r in parts if r is not rows]
            shape = _fit(kind, [score for score, _ in others], [label for _, label in others])
            said = at_level(z[i][rows], shape, _rate(y[i][rows]))(z[i][rows])
            out[kind][i][rows] = said
            found.append(log_loss(y[i][rows], said, labels=[0, 1]))
        losses[kind] = float(np.mean(found))
    best = min(kinds, key=lambda kind: round(losses[kind], 6))
    return ShapeFit(_fit(best, z, y), losses, out[best])


def _fit(kind: Kind, log_odds: Sequence[Floats], labels: Sequence[Floats]) -> Shape:
    if kind == "none":
        return Shape("none")
    centred = np.concatenate([z + level_shift(z, _rate(y)) for z, y in zip(log_odds, labels, strict=True)])
    offsets = np.concatenate(
        [np.full(len(z), level_shift(z, _rate(y))) for z, y in zip(log_odds, labels, strict=True)]
    )
    ones = np.concatenate(list(labels))
    if kind == "sigmoid":
        # An unpenalised logistic regression on the score (Platt 1999), a level for each snapshot.
        dummies = (offsets[:, None] == np.unique(offsets)).astype(float)
        model = LogisticRegression(C=np.inf, fit_intercept=False, max_iter=1000)
        slope = float(model.fit(np.column_stack([centred - offsets, dummies]), ones).coef_[0, 0])
        # A negative slope would turn the ranking round: then the score says nothing about the shape.
        return Shape("sigmoid", slope) if slope > 0 else Shape("none")
    model = IsotonicRegression(y_min=EDGE, y_max=1 - EDGE, out_of_bounds="clip").fit(centred, ones)
    values = safe_logit(model.y_thresholds_)
    knots = model.X_thresholds_
    return Shape("isotonic", 1.0, tuple(map(float, knots)), tuple(map(float, values)))


def _rate(labels: Floats) -> float:
    """Share of ones, kept off 0 and 1 by half a customer."""
    return float(np.clip(np.mean(labels), 0.5 / len(labels), 1 - 0.5 / len(labels)))
