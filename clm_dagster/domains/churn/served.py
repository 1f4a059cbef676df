"""A churn model as scikit-learn and MLflow see it: one estimator that holds all, and says probabilities.

Belongs here: the way into MLflow and back. Does not: MLflow itself, fitting, scoring a whole snapshot.

Beside the fitted estimator everything is JSON, so that the file in MLflow (skops) holds no code and no type
but scikit-learn's and those of `TRUSTED`.
"""

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.churn.features import CATEGORIES, NEEDED
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.domains.churn.queries import MODEL
from clm_dagster.platform.trained_models.registered import RegisteredModel
from clm_dagster.statistics.btyd import BGNBD, Unit
from clm_dagster.statistics.evaluation import Calibration, Shape

# What a file may hold beyond scikit-learn's own types: ours, and what its trees and networks are made of.
TRUSTED = (
    "clm_dagster.domains.churn.candidates.LogOddsMean",
    "clm_dagster.domains.churn.candidates._mutual_information",
    "clm_dagster.domains.churn.candidates.signed_log",
    "clm_dagster.domains.churn.served.ChurnProbability",
    "numpy.dtype",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.impute._iterative.IterativeImputer",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.tree._tree.Tree",
)
INPUTS = NEEDED[2:]


class ChurnProbability(BaseEstimator):
    """Churn probabilities of single customers, at the pace and level of the model's test snapshot."""

    def __init__(self, estimator: Any, about: str) -> None:
        self.estimator = estimator
        self.about = about

    def fit(self, x: pd.DataFrame, y: Any = None) -> "ChurnProbability":
        """It is fitted already: a contest makes it."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """One column, churn_probability, for n rows with the columns of `INPUTS` by name."""
        return pd.DataFrame({"churn_probability": unpack(self).probabilities(x)}, index=x.index)


def pack(model: ChurnModel) -> ChurnProbability:
    """The model as one estimator."""
    about = {
        "name": model.name,
        "columns": list(model.columns),
        "pace": {**model.pace.parameters, "unit": model.pace.unit.name},
        "shape": asdict(model.shape),
        "calibration": {"before": model.calibration.before, "after": model.calibration.after},
        "threshold": model.threshold,
        "background": model.background.to_dict(orient="list"),
        "judged": model.judged.to_dict(orient="list"),
        "trained_as_of": str(model.trained_as_of),
        "tested_as_of": str(model.tested_as_of),
        "horizon_days": model.horizon_days,
    }
    return ChurnProbability(model.estimator, json.dumps(about))


def unpack(estimator: ChurnProbability) -> ChurnModel:
    """The model that `pack` took apart."""
    about = json.loads(estimator.about)
    pace = about["pace"]
    told = about["shape"]
    shape = Shape(told["kind"], told["slope"], tuple(told["knots"]), tuple(told["values"]))
    numbers = dict.fromkeys((name for name in about["columns"] if name not in CATEGORIES), float)
    background, judged = (pd.DataFrame(about[part]).astype(numbers) for part in ("background", "judged"))
    return ChurnModel(
        name=about["name"],
        estimator=estimator.estimator,
        columns=tuple(about["columns"]),
        pace=BGNBD(**{**pace, "unit": Unit[pace["unit"]]}),
        shape=shape,
        calibration=Calibration(shape, **about["calibration"]),
        threshold=about["threshold"],
        background=background[about["columns"]],
        judged=judged[about["columns"]],
        trained_as_of=date.fromisoformat(about["trained_as_of"]),
        tested_as_of=date.fromisoformat(about["tested_as_of"]),
        horizon_days=about["horizon_days"],
    )


REGISTERED = RegisteredModel(MODEL, pack, unpack, TRUSTED)


def example(frame: pd.DataFrame, rows: int = 5) -> pd.DataFrame:
    """The first customers as the served model takes them: numbers as float, so that one may be missing."""
    given = frame.head(rows)[list(INPUTS)].reset_index(drop=True)
    kinds = {name: object if name in CATEGORIES else np.float64 for name in INPUTS}
    return given.astype(kinds)
