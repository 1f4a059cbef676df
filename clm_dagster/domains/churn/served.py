"""The churn model as a single scikit-learn estimator, for MLflow.

Belongs here: conversion of a ChurnModel to this estimator and back. Does not belong here: MLflow calls, fitting,
scoring of a whole snapshot.

Everything but the fitted estimator is stored as JSON. The skops file in MLflow therefore contains no code, and no types
but those of scikit-learn and of `TRUSTED`.
"""

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.churn.feature_names import CATEGORIES, NEEDED
from clm_dagster.domains.churn.model import ChurnModel
from clm_dagster.platform.trained_models.examples import typical_rows
from clm_dagster.platform.trained_models.served_rows import predict_known
from clm_dagster.statistics.btyd import BGNBD, Unit
from clm_dagster.statistics.evaluation import Calibration, Shape
from clm_dagster.statistics.evaluation.customers import with_possible_histories

INPUTS = NEEDED[2:]
# The columns of a customer's order history, which the purchase model needs.
_HISTORY = ("order_days", "tenure_days", "recency_days")


class ChurnProbability(BaseEstimator):
    """Churn probabilities of single customers, with the purchase model and base rate of the test snapshot.

    baseline: the naive baseline of the same training, which serves tables of scores where no model passed its gate.
    """

    def __init__(self, estimator: Any, state: str, baseline: Any = None) -> None:
        self.estimator = estimator
        self.state = state
        self.baseline = baseline

    def fit(self, x: pd.DataFrame, y: Any = None) -> "ChurnProbability":
        """Return self; the evaluation has already fitted the model."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return one column, churn_probability, for n rows with the columns `INPUTS`; missing without an order."""
        found = predict_known(x, _HISTORY, unpack(self).probabilities, "order_days")
        return pd.DataFrame({"churn_probability": found})


def pack(model: ChurnModel) -> ChurnProbability:
    """Convert the model to one estimator, its naive baseline included."""
    state = {
        "name": model.name,
        "columns": list(model.columns),
        "purchase_model": {**model.purchase_model.parameters, "unit": model.purchase_model.unit.name},
        "shape": asdict(model.shape),
        "calibration": {"before": model.calibration.before, "after": model.calibration.after},
        "threshold": model.threshold,
        "background": model.background.to_dict(orient="list"),
        "test_sample": model.test_sample.to_dict(orient="list"),
        "trained_as_of": str(model.trained_as_of),
        "tested_as_of": str(model.tested_as_of),
        "horizon_days": model.horizon_days,
    }
    baseline = None if model.baseline is None else pack(model.baseline)
    return ChurnProbability(model.estimator, json.dumps(state), baseline)


def unpack(estimator: ChurnProbability) -> ChurnModel:
    """Convert an estimator from `pack` back to the model."""
    state = json.loads(estimator.state)
    purchases, curve = state["purchase_model"], state["shape"]
    shape = Shape(curve["kind"], curve["slope"], tuple(curve["knots"]), tuple(curve["values"]))
    numbers = dict.fromkeys((name for name in state["columns"] if name not in CATEGORIES), float)
    background, test_sample = (
        pd.DataFrame(state[part]).astype(numbers) for part in ("background", "test_sample")
    )
    return ChurnModel(
        name=state["name"],
        estimator=estimator.estimator,
        columns=tuple(state["columns"]),
        purchase_model=BGNBD(**{**purchases, "unit": Unit[purchases["unit"]]}),
        shape=shape,
        calibration=Calibration(shape, **state["calibration"]),
        threshold=state["threshold"],
        background=background[state["columns"]],
        test_sample=test_sample[state["columns"]],
        trained_as_of=date.fromisoformat(state["trained_as_of"]),
        tested_as_of=date.fromisoformat(state["tested_as_of"]),
        horizon_days=state["horizon_days"],
        baseline=None if estimator.baseline is None else unpack(estimator.baseline),
    )


def typical_customers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return made-up customers with the columns and types of real ones."""
    return with_possible_histories(typical_rows(frame))


def example(frame: pd.DataFrame, rows: int = 5) -> pd.DataFrame:
    """Return the first rows as the served model takes them: numbers as float, which may be missing."""
    first = frame.head(rows)[list(INPUTS)].reset_index(drop=True)
    kinds = {name: object if name in CATEGORIES else np.float64 for name in INPUTS}
    return first.astype(kinds)
