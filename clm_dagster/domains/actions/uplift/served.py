"""The uplift model as a single scikit-learn estimator, for MLflow.

Belongs here: conversion of an UpliftModel to this estimator and back. Does not: MLflow calls, fits.

Everything but the fitted learners is stored as JSON. The skops file in MLflow therefore contains no code, and no types
but those of scikit-learn and of `TRUSTED`.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from clm_dagster.domains.actions.uplift.encoding import Encoder
from clm_dagster.domains.actions.uplift.model import ArmModel, UpliftModel
from clm_dagster.domains.actions.uplift.names import CATEGORIES, INPUTS, NUMBERS
from clm_dagster.statistics.uplift import Learner

_ARM_STATE = ("arm", "winner", "average", "centre", "slope", "proven")


class EffectsOfArms(BaseEstimator):
    """Effects of all arms on single customers.

    learners: one for each arm, in the order of the arms of `state`. state: everything else, as JSON.
    """

    def __init__(self, learners: list[Learner], state: str) -> None:
        self.learners = learners
        self.state = state

    def fit(self, x: pd.DataFrame, y: Any = None) -> "EffectsOfArms":
        """Return self; the contest has already fitted the model."""
        return self

    def predict(self, x: pd.DataFrame) -> pd.DataFrame:
        """Return one column for each arm, effect_<arm>, for n rows with the columns `INPUTS`, which may be missing."""
        found = unpack(self).effects(x)
        return pd.DataFrame({f"effect_{arm}": effects for arm, effects in found.items()}, index=x.index)


def pack(model: UpliftModel) -> EffectsOfArms:
    """Convert the model to one estimator."""
    arms = [{name: getattr(arm, name) for name in _ARM_STATE} for arm in model.arms.values()]
    state = {"encoder": model.encoder.state(), "arms": arms, "horizon_days": model.horizon_days}
    return EffectsOfArms([arm.learner for arm in model.arms.values()], json.dumps(state))


def unpack(estimator: EffectsOfArms) -> UpliftModel:
    """Convert an estimator from `pack` back to the model."""
    state = json.loads(estimator.state)
    arms = [
        ArmModel(learner=learner, **known)
        for learner, known in zip(estimator.learners, state["arms"], strict=True)
    ]
    return UpliftModel(
        Encoder.of_state(state["encoder"]), {arm.arm: arm for arm in arms}, state["horizon_days"]
    )


def example(frame: pd.DataFrame, rows: int = 1_000) -> pd.DataFrame:
    """Return the first rows as the served model takes them: numbers as float, categories as text."""
    found = frame.head(rows)[list(INPUTS)].reset_index(drop=True)
    for name in CATEGORIES:
        found[name] = found[name].astype(object).where(found[name].notna(), "unknown").astype(str)
    return found.astype(dict.fromkeys(NUMBERS, np.float64))
