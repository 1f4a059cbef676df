"""The registered model: one scikit-learn estimator that predicts the purchase probability of pairs.

Belongs here: conversion between the ranker and the estimator. Does not: MLflow itself, fitting, lists of customers.

The input columns are the features of a pair of customer and product (`features`). Lists need the shop's purchases and
are made by `recommendations`. The file in MLflow (skops) holds the fitted classifiers and JSON. It has no code, and
only types of scikit-learn and those in `TRUSTED`.
"""

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.recommend.binning import bin_numbers
from clm_dagster.domains.recommend.ranking import Ranker
from clm_dagster.domains.recommend.table_settings import RankerSettings


class PairChance(BaseEstimator):
    """Estimator of the probability that a customer who orders within the horizon buys a product."""

    def __init__(self, members: list[Any], about: str) -> None:
        self.members = members
        self.about = about

    def fit(self, x: pd.DataFrame, y: Any = None) -> "PairChance":
        """Return self: the models are already fitted."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return the probability of n pairs as the column `chance`. x: the features of a pair, by name."""
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
    """Return the ranker of an estimator that `pack` made, without its products; the caller sets those of as_of."""
    about = json.loads(estimator.about)
    ranker = Ranker(RankerSettings(**about["settings"]))
    ranker.edges = about["edges"]
    ranker.days = tuple(date.fromisoformat(day) for day in about["days"])
    ranker.models = list(estimator.members)
    return ranker


def example(features: pd.DataFrame, rows: int = 5) -> pd.DataFrame:
    """Return the first pairs as input of the registered model: as floats, so that values may be missing."""
    return features.head(rows).reset_index(drop=True).astype(np.float64)
