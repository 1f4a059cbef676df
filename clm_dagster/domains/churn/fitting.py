"""Fits of many candidates on the same snapshots, which share everything that they have in common.

Belongs here: joined snapshots, prepared columns and prepared snapshots, each computed once. Does not belong here: which
candidate is fitted on which snapshots (`validation`, `race`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from clm_dagster.domains.churn.candidates import (
    Candidate,
    Parameters,
    fit_prepared,
    log_odds_of_prepared,
    prepare,
    rebalance_rows,
)
from clm_dagster.statistics.memo import Memo

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Training rows are kept prepared in one way at a time, because they are large; snapshots in several.
_PREPARED_ROWS, _PREPARED_SNAPSHOTS = 1, 12


@dataclass(frozen=True)
class _Rows:
    """The rows of several snapshots, joined. snapshots: the number of the snapshot of each row."""

    x: pd.DataFrame
    y: Floats
    snapshots: Ints


@dataclass(frozen=True)
class Fits:
    """Fits and predictions on snapshots.

    columns: names of all columns. x, y: the models' columns and labels (0 or 1) by snapshot. Candidates that prepare
    their columns in the same way should be fitted one after another (`ordered`).
    """

    columns: list[str]
    x: Mapping[date, pd.DataFrame]
    y: Mapping[date, Floats]
    _joined: Memo[_Rows] = field(default_factory=lambda: Memo(1), repr=False)
    _trained: Memo[tuple[Any, Floats]] = field(default_factory=lambda: Memo(_PREPARED_ROWS), repr=False)
    _prepared: Memo[tuple[Any, Floats]] = field(default_factory=lambda: Memo(_PREPARED_SNAPSHOTS), repr=False)

    def fit(self, candidate: Candidate, parameters: Parameters, days: Sequence[date]) -> Pipeline:
        """Fit a candidate on these snapshots, with the same result as `fit_candidate`."""
        pipeline = candidate.pipeline(self.columns, parameters)
        rows = self._joined.get(tuple(days), lambda: self._join(days))
        chosen, weights = rebalance_rows(rows.y, rows.snapshots, candidate.rebalance)
        y = rows.y[chosen].astype(int)

        def prepared() -> tuple[Any, Floats]:
            return pipeline[0], prepare(pipeline[0], rows.x.iloc[chosen], y)

        step, z = self._trained.get((*_preparation(candidate, self.columns), tuple(days)), prepared)
        return fit_prepared(Pipeline([("columns", step), *pipeline.steps[1:]]), z, y, weights)

    def log_odds(self, model: Pipeline, day: date) -> Floats:
        """Return the uncalibrated log-odds of the customers of a snapshot, as `candidates.log_odds`."""
        step = model[0]
        # The step is kept beside its result, so that no other object can get its id.
        _, z = self._prepared.get((id(step), day), lambda: (step, step.transform(self.x[day])))
        return log_odds_of_prepared(model, z)

    def _join(self, days: Sequence[date]) -> _Rows:
        return _Rows(
            pd.concat([self.x[day] for day in days], ignore_index=True),
            np.concatenate([self.y[day] for day in days]),
            np.repeat(np.arange(len(days)), [len(self.y[day]) for day in days]),
        )


def _preparation(candidate: Candidate, columns: list[str]) -> tuple[str, ...]:
    """Return what determines the prepared training rows, apart from the snapshots."""
    sampled = candidate.rebalance if candidate.rebalance in ("over", "under") else ""
    return candidate.build.preparation, sampled, *candidate.used(columns)


def ordered(selected: Sequence[Candidate], columns: list[str]) -> list[Candidate]:
    """Return the candidates so that those that prepare their columns in the same way follow each other."""
    return sorted(selected, key=lambda candidate: _preparation(candidate, columns))
