"""The value model as a single scikit-learn estimator, for MLflow.

Belongs here: conversion of a ValueModel to this estimator and back. Does not belong here: MLflow calls, fitting,
scoring of a whole snapshot.

Everything but the fitted estimators is stored as JSON. The skops file in MLflow therefore contains no code, and no
types but those of scikit-learn and of `TRUSTED`.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.value.features import NEEDED
from clm_dagster.domains.value.model import ValueModel
from clm_dagster.platform.trained_models.examples import typical_rows
from clm_dagster.platform.trained_models.served_rows import predict_known
from clm_dagster.statistics.evaluation.customers import with_possible_histories

INPUTS = NEEDED[2:]
# The columns of a customer's order history, which the purchase model needs.
_HISTORY = ("order_days", "tenure_days", "recency_days", "net_revenue", "orders")


class ExpectedRevenue(BaseEstimator):
    """Expected net revenue of single customers, with the purchase model and level of the test snapshot."""

    def __init__(self, estimators: dict[str, Any], state: str) -> None:
        self.estimators = estimators
        self.state = state

    def fit(self, x: pd.DataFrame, y: Any = None) -> "ExpectedRevenue":
        """Return self; the evaluation has already fitted the model."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return one column, expected_revenue, for n rows with the columns `INPUTS`; missing without an order."""
        found = predict_known(x, _HISTORY, unpack(self).amounts, "order_days")
        return pd.DataFrame({"expected_revenue": found})


def pack(model: ValueModel) -> ExpectedRevenue:
    """Convert the model to one estimator."""
    return ExpectedRevenue(model.estimators(), json.dumps(model.state()))


def unpack(estimator: ExpectedRevenue) -> ValueModel:
    """Convert an estimator from `pack` back to the model."""
    return ValueModel.from_parts(json.loads(estimator.state), estimator.estimators)


def typical_customers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return made-up customers with the columns and types of real ones."""
    return with_possible_histories(typical_rows(frame))


def example(frame: pd.DataFrame, rows: int = 5) -> pd.DataFrame:
    """Return the first rows as the served model takes them: numbers as float, which may be missing."""
    return frame.head(rows)[list(INPUTS)].reset_index(drop=True).astype(np.float64)
