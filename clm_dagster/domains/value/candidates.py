"""The candidate models of customer value, and the predictor that a fitted candidate becomes.

Belongs here: one definition for each candidate, with a small parameter search. Does not belong here: the evaluation
(`evaluate`).

Learned candidates predict a ratio: the customer's spend divided by the expectation of BG/NBD and Gamma-Gamma (plus a
floor). Trees cannot predict beyond the training range. A ratio lets them predict for wholesalers who spend more than
any leaf contains. On Online Retail II this alone reduced the MAE of boosting on the square root from 239 to 219 (June
2011) and from 392 to 378 (September 2011). The expectations are the sample weights, so that errors count in money.

Outlier rule of targets: ratios are capped at the `TARGET_QUANTILE` of the positive ratios of the training rows. A known
wholesaler has normal ratios; a single unexpected huge order is capped. Consider Online Retail II's order of 74,215
pieces (customer 12346, January 2011), with it and without it in the labels: for one other customer in a hundred the
value changes by 18% or more with the rule, by 301% or more without it (`boosting_ratio`, June 2011).
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

from clm_dagster.domains.value.features import Snapshot, last_period, lifetime_rate, past_rate
from clm_dagster.domains.value.purchase_model import winsor_limit
from clm_dagster.statistics.lightgbm_trees import LightGBMRegressor, check_installed
from clm_dagster.statistics.networks import fit_batches
from clm_dagster.statistics.row_blocks import by_blocks

Floats = NDArray[np.float64]
Parameters = Mapping[str, Any]
Kind = Literal["past_rate", "lifetime_rate", "last_period", "btyd", "ratio", "amount", "two_part", "mean"]

SEED = 20111209
# Rows per step of a network.
BATCH = 512
LIGHTGBM = "lightgbm"
TARGET_QUANTILE = 0.995
# Kinds that need no fit: the naive baselines, and BG/NBD with Gamma-Gamma as it stands.
FORMULAS: tuple[Kind, ...] = ("past_rate", "lifetime_rate", "last_period", "btyd")


@dataclass(frozen=True)
class Candidate:
    """A candidate: its target, its estimators and its parameter search.

    kind: `ratio` predicts (revenue / expectation) ** power, `amount` predicts revenue ** power, `two_part` predicts the
    probability of any spend and the logarithm of the ratio if there is any. power: 1/2 is the square root, whose mean
    is less sensitive to the largest values.
    """

    name: str
    kind: Kind
    power: float = 1.0
    estimators: tuple[Any, ...] = ()
    search: tuple[Parameters, ...] = field(default=({},))


@dataclass(frozen=True)
class Predictor:
    """A fitted candidate. It predicts the revenue of each customer at BG/NBD's constant purchase rate, without season.

    members, scales: of a mean, the averaged predictors and the factor applied to each.
    """

    name: str
    kind: Kind
    horizon_days: int
    power: float = 1.0
    estimators: tuple[Any, ...] = ()
    members: tuple["Predictor", ...] = ()
    scales: tuple[float, ...] = ()

    def predict(self, snapshot: Snapshot) -> Floats:
        """Return expected revenue in money, shape (n,), never below 0 and never missing."""
        frame = snapshot.frame
        match self.kind:
            case "past_rate":
                return past_rate(frame, self.horizon_days)
            case "lifetime_rate":
                return lifetime_rate(frame, self.horizon_days)
            case "last_period":
                return last_period(frame, self.horizon_days)
            case "btyd":
                return snapshot.expectation.revenue
            case "mean":
                return self.mean([member.predict(snapshot) for member in self.members])
            case "two_part":
                buys, amount = self.estimators
                share = buys.predict_proba(snapshot.x.to_numpy())[:, 1]
                expected: Floats = share * np.exp(amount.predict(snapshot.x.to_numpy())) * snapshot.base
                return expected
        amount = self.estimators[0]
        x = snapshot.x.to_numpy()
        # Linear models and networks multiply matrices; trees take each row for itself.
        found = by_blocks(amount.predict, x) if isinstance(amount, Pipeline) else amount.predict(x)
        prediction = np.maximum(found, 0) ** (1 / self.power)
        scaled: Floats = prediction * (snapshot.base if self.kind == "ratio" else 1.0)
        return scaled

    def mean(self, predictions: Sequence[Floats]) -> Floats:
        """Return the prediction of a mean from those of its members, in their order, shape (n,)."""
        # Average square roots: the result is between the geometric and the arithmetic mean, so that a few huge
        # amounts of one member do not dominate.
        roots = [np.sqrt(scale * each) for each, scale in zip(predictions, self.scales, strict=True)]
        mean: Floats = np.mean(roots, axis=0) ** 2
        return mean


def _boosting(**changes: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(**(BOOSTING | changes))


BOOSTING: dict[str, Any] = {
    "learning_rate": 0.08,
    "max_iter": 120,
    "max_leaf_nodes": 7,
    "min_samples_leaf": 100,
    "l2_regularization": 5.0,
    "early_stopping": False,
    "random_state": SEED,
}
LEAVES = tuple({"max_leaf_nodes": leaves} for leaves in (4, 7))


def _scaled(model: Any) -> Pipeline:
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("fill", fill), ("scale", StandardScaler()), ("model", model)])


def candidates(lightgbm: bool = False) -> tuple[Candidate, ...]:
    """Return all candidates, the naive baselines first.

    lightgbm: whether LightGBM is one (CLM_VALUE_LIGHTGBM). Raise MissingExtraError if it is not installed.
    """
    network = MLPRegressor(
        hidden_layer_sizes=(16,),
        alpha=1.0,
        learning_rate_init=0.005,
        max_iter=30,
        batch_size=BATCH,
        tol=0.0,
        n_iter_no_change=40,
        random_state=SEED,
    )
    classifier = HistGradientBoostingClassifier(**BOOSTING)
    return (
        *(Candidate(kind, kind) for kind in FORMULAS),
        Candidate("boosting_sqrt", "amount", 0.5, (_boosting(),)),
        Candidate("boosting_ratio", "ratio", 0.7, (_boosting(),), LEAVES),
        Candidate(
            "boosting_poisson", "ratio", 1.0, (_boosting(loss="poisson", max_iter=60, learning_rate=0.15),)
        ),
        Candidate("ridge_sqrt", "amount", 0.5, (_scaled(Ridge(10.0)),)),
        Candidate("two_part", "two_part", 1.0, (classifier, _boosting())),
        Candidate("mlp", "ratio", 0.5, (_scaled(network),)),
        *(_lightgbm() if lightgbm else ()),
    )


def _lightgbm() -> tuple[Candidate, ...]:
    check_installed("CLM_VALUE_LIGHTGBM")
    # Chosen on Online Retail II, test dates before June 2011: docs/decisions/lightgbm.md.
    trees = LightGBMRegressor(
        num_iterations=300, learning_rate=0.04, feature_fraction=0.5, min_data_in_leaf=100
    )
    return (Candidate(LIGHTGBM, "ratio", 0.7, (trees,), tuple({"num_leaves": n} for n in (4, 7))),)


# Means of square roots, each member scaled to one level first.
BLENDS: dict[str, tuple[str, ...]] = {
    "blend_btyd_sqrt": ("btyd", "boosting_sqrt"),
    "blend_btyd_ratio": ("btyd", "boosting_ratio"),
    "blend_btyd_mlp": ("btyd", "mlp"),
    "blend": ("btyd", "boosting_ratio", "mlp", "two_part"),
    "blend_btyd_lightgbm": ("btyd", LIGHTGBM),
}


@dataclass(frozen=True)
class Training:
    """Training rows of several snapshots: feature matrix, base, and revenue divided by the snapshot's level."""

    x: NDArray[np.float64]
    base: Floats
    revenue: Floats

    @classmethod
    def of(
        cls, snapshots: Sequence[Snapshot], revenues: Sequence[Floats], levels: Sequence[float]
    ) -> "Training":
        """Join snapshots. Dividing revenue by the level keeps a model from learning the season by accident."""
        return cls(
            np.concatenate([snapshot.x.to_numpy(dtype=float) for snapshot in snapshots]),
            np.concatenate([snapshot.base for snapshot in snapshots]),
            np.concatenate([np.maximum(y, 0) / f for y, f in zip(revenues, levels, strict=True)]),
        )

    @property
    def ratio(self) -> Floats:
        """Return revenue over base, capped by the outlier rule, shape (n,)."""
        ratio = self.revenue / self.base
        return np.minimum(ratio, winsor_limit(ratio, TARGET_QUANTILE))


def fit_candidate(
    candidate: Candidate, parameters: Parameters, rows: Training, horizon_days: int
) -> Predictor:
    """Fit one candidate. A formula needs no fit."""
    unfitted = Predictor(candidate.name, candidate.kind, horizon_days, candidate.power)
    if candidate.kind in FORMULAS:
        return unfitted
    ratio = rows.ratio
    models = [clone(model) for model in candidate.estimators]
    models[0].set_params(**parameters)
    fit_batches(models[0], len(rows.x), BATCH)
    with warnings.catch_warnings():
        # Early stopping is intended; validation shows how good the candidate is.
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
    return replace(unfitted, estimators=tuple(models))


def mean_predictor(name: str, members: Sequence[Predictor], scales: Sequence[float]) -> Predictor:
    """Return the mean of the square roots of predictors, each multiplied by its scale."""
    return Predictor(name, "mean", members[0].horizon_days, members=tuple(members), scales=tuple(scales))
