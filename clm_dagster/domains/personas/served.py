"""The persona model as a single scikit-learn estimator, for MLflow.

Belongs here: conversion of the pipeline to this estimator and back. Does not: assignment of a snapshot's customers
(`score`), which reads the model from its table.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from clm_dagster.platform.trained_models.served_rows import predict_known


class PersonaPosition(BaseEstimator):
    """The position of the persona of single customers in the model's list of personas."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def fit(self, x: pd.DataFrame, y: object = None) -> "PersonaPosition":
        """Return self; the training has already fitted the pipeline."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return one column, persona (0, 1, ...), for n rows with one column for each habit; missing without an order.

        Habits are those of customers with an order, so a missing one means that there is none.
        """
        found = predict_known(x, list(x.columns), self._positions)
        return pd.DataFrame({"persona": found})

    def _positions(self, x: pd.DataFrame) -> NDArray[np.float64]:
        return np.asarray(self.pipeline.predict(x.astype(float)), dtype=float)


def pack(pipeline: Pipeline) -> PersonaPosition:
    """Convert the pipeline to an estimator."""
    return PersonaPosition(pipeline)


def unpack(estimator: PersonaPosition | Pipeline) -> Pipeline:
    """Convert an estimator from `pack` back to the pipeline. Versions of before 2026-12 are pipelines themselves."""
    return estimator.pipeline if isinstance(estimator, PersonaPosition) else estimator
