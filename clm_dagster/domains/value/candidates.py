"""Who takes part in the value contest, and what a fitted one is made of.

Belongs here: one entry for each candidate, with its smallest useful search. Does not: judging (`model`).

Learned candidates predict a ratio: what a customer spends over what BG/NBD and Gamma-Gamma expect of him (and a
floor). Trees cannot say more than they have seen, and a ratio lets them speak of wholesalers whom no leaf
holds: on Online Retail II this alone took boosting on the square root from a MAE of 239 to 219 (June 2011) and
from 392 to 378 (September 2011). Weights are the expectations, so that errors count in money.

The outlier rule of targets: a ratio above the `TARGET_QUANTILE` of the training rows above 0 counts as that much.
A wholesaler who is known to be one has ratios like everybody's; a single huge order out of the blue is cut.
Online Retail II's order of 74,215 pieces (customer 12346, January 2011), in the labels or not, moves the value of one
other customer in a hundred by 18% or more with the rule, by 301% or more without it (`boosting_ratio`, June 2011).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from clm_dagster.domains.value.expectation import winsor_limit
from clm_dagster.domains.value.features import Snapshot, last_period, past_rate, past_year

Floats = NDArray[np.float64]
Parameters = Mapping[str, Any]
Kind = Literal["past_rate", "past_year", "last_period", "btyd", "ratio", "amount", "two_part", "mean"]

SEED = 20111209
TARGET_QUANTILE = 0.995
RULES: tuple[Kind, ...] = ("past_rate", "past_year", "last_period", "btyd")


@dataclass(frozen=True)
class Candidate:
    """One entry.

    ratio: predicts (revenue / expectation) ** power, amount: revenue ** power, two_part: whether anything is spent,
    and the logarithm of the ratio where it is. power: 1/2 is the square root, whose mean cares less for the largest.
    """

    name: str
    kind: Kind
    power: float = 1.0
    estimators: tuple[Any, ...] = ()
    search: tuple[Parameters, ...] = field(default=({},))


@dataclass(frozen=True)
class Predictor:
    """A fitted candidate: expected revenue of each customer of a snapshot, at BG/NBD's pace and no season.

    members and scales: of a mean, those it is made of and what each is multiplied with before.
    """

    name: str
    kind: Kind
    horizon_days: int
    power: float = 1.0
    estimators: tuple[Any, ...] = ()
    members: tuple["Predictor", ...] = ()
    scales: tuple[float, ...] = ()

    def predict(self, snapshot: Snapshot) -> Floats:
        """Money, shape (n,), never below 0 and never missing."""
        frame = snapshot.frame
        match self.kind:
            case "past_rate":
                return past_rate(frame, self.horizon_days)
            case "past_year":
                return past_year(frame, self.horizon_days)
            case "last_period":
                return last_period(frame, self.horizon_days)
            case "btyd":
                return snapshot.expectation.revenue
            case "mean":
                # In square roots: between the geometric and the plain mean, so that no member's few huge
                # amounts decide alone.
                roots = [
                    np.sqrt(scale * member.predict(snapshot))
                    for member, scale in zip(self.members, self.scales, strict=True)
                ]
                return np.mean(roots, axis=0) ** 2
            case "two_part":
                buys, amount = self.estimators
                share = buys.predict_proba(snapshot.x.to_numpy())[:, 1]
                return share * np.exp(amount.predict(snapshot.x.to_numpy())) * snapshot.base
        said = np.maximum(self.estimators[0].predict(snapshot.x.to_numpy()), 0) ** (1 / self.power)
        return said * (snapshot.base if self.kind == "ratio" else 1.0)


def _boosting(**changes: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(**(BOOSTING | changes))


BOOSTING: dict[str, Any] = {
    "learning_rate": 0.08, "max_iter": 120, "max_leaf_nodes": 7, "min_samples_leaf": 100,
    "l2_regularization": 5.0, "early_stopping": False, "random_state": SEED,
}  # fmt: skip
LEAVES = tuple({"max_leaf_nodes": leaves} for leaves in (4, 7))


def _scaled(model: Any) -> Pipeline:
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("fill", fill), ("scale", StandardScaler()), ("model", model)])


def candidates() -> tuple[Candidate, ...]:
    """All of them, the dumb rules first."""
    network = MLPRegressor(
        hidden_layer_sizes=(16,), alpha=1.0, learning_rate_init=0.005, max_iter=30, batch_size=512, tol=0.0,
        n_iter_no_change=40, random_state=SEED,
    )  # fmt: skip
    classifier = HistGradientBoostingClassifier(**BOOSTING)
    return (
        *(Candidate(rule, rule) for rule in RULES),
        Candidate("boosting_sqrt", "amount", 0.5, (_boosting(),)),
        Candidate("boosting_ratio", "ratio", 0.7, (_boosting(),), LEAVES),
        Candidate(
            "boosting_poisson", "ratio", 1.0, (_boosting(loss="poisson", max_iter=60, learning_rate=0.15),)
        ),
        Candidate("ridge_sqrt", "amount", 0.5, (_scaled(Ridge(10.0)),)),
        Candidate("two_part", "two_part", 1.0, (classifier, _boosting())),
        Candidate("mlp", "ratio", 0.5, (_scaled(network),)),
    )


# Means in square roots, each member put at one level before.
BLENDS: dict[str, tuple[str, ...]] = {
    "blend_btyd_sqrt": ("btyd", "boosting_sqrt"),
    "blend_btyd_ratio": ("btyd", "boosting_ratio"),
    "blend_btyd_mlp": ("btyd", "mlp"),
    "blend": ("btyd", "boosting_ratio", "mlp", "two_part"),
}


@dataclass(frozen=True)
class Training:
    """Rows of several snapshots to fit on: the matrix, the base and the revenue at BG/NBD's level."""

    x: NDArray[np.float64]
    base: Floats
    revenue: Floats

    @classmethod
    def of(
        cls, snapshots: Sequence[Snapshot], revenues: Sequence[Floats], levels: Sequence[float]
    ) -> "Training":
        """levels: what each snapshot's revenue is divided by, so that no model learns the season by accident."""
        return cls(
            np.concatenate([snapshot.x.to_numpy(dtype=float) for snapshot in snapshots]),
            np.concatenate([snapshot.base for snapshot in snapshots]),
            np.concatenate([np.maximum(y, 0) / f for y, f in zip(revenues, levels, strict=True)]),
        )

    @property
    def ratio(self) -> Floats:
        """Revenue over base, cut at the limit of the outlier rule, shape (n,)."""
        ratio = self.revenue / self.base
        return np.minimum(ratio, winsor_limit(ratio, TARGET_QUANTILE))


def fitted(candidate: Candidate, parameters: Parameters, rows: Training, horizon_days: int) -> Predictor:
    """Fit one candidate; a rule has nothing to fit."""
    plain = Predictor(candidate.name, candidate.kind, horizon_days, candidate.power)
    if candidate.kind in RULES:
        return plain
    ratio = rows.ratio
    models = [clone(model) for model in candidate.estimators]
    models[0].set_params(**parameters)
    with warnings.catch_warnings():
        # Stopped early is no fault: what a candidate is worth is seen on validation.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if candidate.kind == "two_part":
            spends = ratio > 0
            models[0].fit(rows.x, spends.astype(int))
            models[1].fit(rows.x[spends], np.log(ratio[spends]))
        elif candidate.kind == "amount":
            models[0].fit(rows.x, (ratio * rows.base) ** candidate.power)
        else:
            prefix = "model__" if isinstance(models[0], Pipeline) else ""
            models[0].fit(rows.x, ratio**candidate.power, **{f"{prefix}sample_weight": rows.base})
    return replace(plain, estimators=tuple(models))


def mean_of(name: str, members: Sequence[Predictor], scales: Sequence[float]) -> Predictor:
    """The mean in square roots of fitted candidates, each times its scale."""
    return Predictor(name, "mean", members[0].horizon_days, members=tuple(members), scales=tuple(scales))
