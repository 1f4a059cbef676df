"""The ranker as it is registered: one scikit-learn estimator that holds its models and predicts chances of pairs.

Belongs here: the way into MLflow and back. Does not: MLflow itself, fitting, lists of customers.

Its columns are the features of a pair of a customer and a product (`features`); lists need the shop's purchases and
are made by `recommendations`. Beside the fitted classifiers everything is JSON, so that the file in MLflow
(skops) holds no code and no type but scikit-learn's and those of `TRUSTED`.
"""

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.recommend.binning import bin_numbers
from clm_dagster.domains.recommend.queries import MODEL
from clm_dagster.domains.recommend.ranking import Ranker, RankerSettings
from clm_dagster.platform.trained_models.registered import RegisteredModel

# What a file may hold beyond scikit-learn's own types: ours, and what its trees are made of.
TRUSTED = (
    "clm_dagster.domains.recommend.served.PairChance",
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


class PairChance(BaseEstimator):
    """The chance that a customer who orders within the horizon buys a product; mean of the members."""

    def __init__(self, members: list[Any], about: str) -> None:
        self.members = members
        self.about = about

    def fit(self, x: pd.DataFrame, y: Any = None) -> "PairChance":
        """Return itself: the models are fitted already."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """One column, chance, for n pairs with the features of a pair as columns, by name."""
        binned = bin_numbers(x, json.loads(self.about)["edges"])
        chances = [member.predict_proba(binned)[:, 1] for member in self.members]
        return pd.DataFrame({"chance": np.mean(chances, axis=0)}, index=x.index)


def pack(ranker: Ranker) -> PairChance:
    """Return the ranker as one estimator."""
    about = {
        "edges": ranker.edges,
        "settings": asdict(ranker.settings),
        "days": [str(day) for day in ranker.days],
    }
    return PairChance(list(ranker.models), json.dumps(about))


def unpack(estimator: PairChance) -> Ranker:
    """Return the ranker that `pack` took apart, but for its products: whoever makes lists sets those of then."""
    about = json.loads(estimator.about)
    ranker = Ranker(RankerSettings(**about["settings"]))
    ranker.edges = about["edges"]
    ranker.days = tuple(date.fromisoformat(day) for day in about["days"])
    ranker.models = list(estimator.members)
    return ranker


REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED)


def example(features: pd.DataFrame, rows: int = 5) -> pd.DataFrame:
    """Return the first pairs as the registered model takes them: numbers as float, so that one may be missing."""
    return features.head(rows).reset_index(drop=True).astype(np.float64)
