"""The fitted uplift model: the effect of each arm on each customer.

Belongs here: pure scoring. Does not: fits (`contest`), Dagster, MLflow (`served`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.actions.uplift.encoding import Encoder
from clm_dagster.statistics.row_blocks import by_blocks
from clm_dagster.statistics.uplift import Learner

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ArmModel:
    """The model of one arm.

    average: mean effect in the training part, in conversions per customer. effect = average + slope x (prediction -
    centre), with the slope, from 0 to 1, of measured effects on predictions for other customers. proven: whether it
    passed the gate.
    """

    arm: str
    winner: str
    learner: Learner
    average: float
    centre: float
    slope: float
    proven: bool = False

    def effects(self, matrix: Floats) -> Floats:
        """Return the effect on n customers, shape (n,): the increase of the probability of an order."""
        return np.clip(
            self.average + self.slope * (by_blocks(self.learner.predict, matrix) - self.centre), -1, 1
        )


@dataclass(frozen=True)
class UpliftModel:
    """The models of all arms of a training. horizon_days: days from a contact on in which an order counts."""

    encoder: Encoder
    arms: Mapping[str, ArmModel]
    horizon_days: int

    def effects(self, frame: pd.DataFrame) -> dict[str, Floats]:
        """Return the effect of each arm on n customers, rows with the columns `INPUTS`."""
        matrix = self.encoder.matrix(frame)
        return {name: arm.effects(matrix) for name, arm in self.arms.items()}
