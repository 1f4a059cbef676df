"""A value model as scikit-learn and MLflow see it: one estimator that holds all, and says amounts.

Belongs here: the way into MLflow and back. Does not: MLflow itself, fitting, scoring a whole snapshot.

Beside the fitted estimators everything is JSON, so that the file in MLflow (skops) holds no code and no type
but scikit-learn's and those of `TRUSTED`.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.value.features import NEEDED
from clm_dagster.domains.value.model import ValueModel
from clm_dagster.domains.value.queries import MODEL
from clm_dagster.platform.trained_models.registered import RegisteredModel

# What a file may hold beyond scikit-learn's own types: ours, and what its trees and networks are made of.
TRUSTED = (
    "clm_dagster.domains.value.served.ExpectedRevenue",
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
)
INPUTS = NEEDED[2:]


class ExpectedRevenue(BaseEstimator):
    """Expected net revenue of single customers, at the pace and level of the model's test snapshot."""

    def __init__(self, estimators: dict[str, Any], about: str) -> None:
        self.estimators = estimators
        self.about = about

    def fit(self, x: pd.DataFrame, y: Any = None) -> "ExpectedRevenue":
        """It is fitted already: a contest makes it."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """One column, expected_revenue, for n rows with the columns of `INPUTS` by name."""
        return pd.DataFrame({"expected_revenue": unpack(self).amounts(x)}, index=x.index)


def pack(model: ValueModel) -> ExpectedRevenue:
    """The model as one estimator."""
    return ExpectedRevenue(model.estimators(), json.dumps(model.state()))


def unpack(estimator: ExpectedRevenue) -> ValueModel:
    """The model that `pack` took apart."""
    return ValueModel.from_parts(json.loads(estimator.about), estimator.estimators)


REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED)


def example(frame: pd.DataFrame, rows: int = 5) -> pd.DataFrame:
    """The first customers as the served model takes them: numbers as float, so that one may be missing."""
    return frame.head(rows)[list(INPUTS)].reset_index(drop=True).astype(np.float64)
