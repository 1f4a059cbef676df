"""What a contest leaves behind: who forecasts which series, and how far off they were.

Belongs here: that, as arrays and text that can be stored, and finding one's series again in a later panel. Does
not: the contest (`model`), forecasts (`outlook`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.demand.backtest import BASELINES, COMBINATION
from clm_dagster.domains.demand.outcomes import CONSTANT, CONTESTED, DORMANT, RULED, ZERO
from clm_dagster.domains.demand.series import KEYS
from clm_dagster.statistics.forecasting.css import Floats
from clm_dagster.statistics.forecasting.local_models import Learnt


def follow_outcomes(
    weights: Floats, names: NDArray[np.object_], outcomes: NDArray[np.str_], methods: Sequence[str]
) -> None:
    """Give series that are not in the contest the rule of their outcome, in place."""
    ruled = np.isin(outcomes, RULED)
    weights[ruled], names[ruled] = np.array(methods) == BASELINES[1], BASELINES[1]
    names[outcomes == CONSTANT], names[outcomes == DORMANT] = CONSTANT, ZERO


@dataclass(frozen=True)
class Rules:
    """The outcome of a contest of one period (days or weeks), one row of each array for each of its series."""

    keys: pd.DataFrame
    """level, key, measure."""
    methods: tuple[str, ...]
    weights: Floats
    """(series, methods), rows sum to one."""
    names: tuple[str, ...]
    """The method of each series, or `combination`."""
    outcomes: NDArray[np.str_]
    """What each series was at the contest (`outcomes`)."""
    good: Mapping[str, tuple[str, ...]]
    """For each kind of series the methods that are combined: what a series gets that was not in the contest."""
    first_origin: pd.Timestamp | None
    """The day of the first forecast that was judged; None where the shop was too young for any."""
    paths: Floats
    """(series, origins, steps) what the chosen forecasts said."""
    actual: Floats
    """(series, origins, steps) what came; NaN for series too young."""
    variances: Floats
    """(series,) mean squared errors."""
    learnt: Mapping[str, Sequence[Learnt]] = field(default_factory=dict)
    """By method, what its model has learnt of each series: later forecasts need no search (`outlook.taught`)."""

    def places(self, keys: pd.DataFrame) -> NDArray[np.int64]:
        """(series of keys,) the row here of each series, -1 for one that was not in the contest."""
        rows = self.keys.assign(row=np.arange(len(self.keys)))
        return keys[KEYS].merge(rows, on=KEYS, how="left")["row"].fillna(-1).to_numpy(dtype=np.int64)

    def weigh(
        self, keys: pd.DataFrame, outcomes: NDArray[np.str_]
    ) -> tuple[Floats, tuple[str, ...]]:  # fmt: skip
        """Weights (series, methods) and names for series as they are now.

        One that was in the contest keeps what it got there. A new one gets the combination of its kind, and one
        that is young, constant or dormant now the rule for that.
        """
        at = self.places(keys)
        was = np.where(at >= 0, self.outcomes[at], "")
        names = np.full(len(keys), COMBINATION, dtype=object)
        weights = np.stack([self._combination(kind) for kind in outcomes])
        kept = np.isin(was, CONTESTED)
        weights[kept] = self.weights[at[kept]]
        names[kept] = np.array(self.names, dtype=object)[at[kept]]
        mean = np.array(self.methods) == BASELINES[1]
        names[~kept & (weights == mean).all(axis=1)] = BASELINES[1]
        follow_outcomes(weights, names, outcomes, self.methods)
        return weights, tuple(names)

    def _combination(self, kind: str) -> Floats:
        known = [self.good[name] for name in (kind, *CONTESTED) if name in self.good]
        kept = np.isin(self.methods, known[0] if known else BASELINES[1:])
        return kept / kept.sum()

    def past_of(self, keys: pd.DataFrame) -> tuple[Floats, Floats]:
        """paths and actual of some series; NaN for those that were not in the contest."""
        at = self.places(keys)
        unknown = (at < 0)[:, None, None]
        return np.where(unknown, np.nan, self.paths[at]), np.where(unknown, np.nan, self.actual[at])

    def variances_of(self, keys: pd.DataFrame, own: Floats) -> Floats:
        """Mean squared errors of some series; `own` for those that were not in the contest."""
        at = self.places(keys)
        return np.where(at >= 0, self.variances[at], own)

    def learnt_of(self, method: str, keys: pd.DataFrame) -> list[Learnt | None]:
        """What a method has learnt of some series; None of those that it does not know."""
        known = self.learnt.get(method, ())
        return [known[at] if at >= 0 and known else None for at in self.places(keys)]

    # ------------------------------------------------------------------------ to be stored

    def arrays(self) -> dict[str, Floats]:
        """What is to be stored as numbers."""
        return {
            "weights": self.weights, "paths": self.paths, "actual": self.actual, "variances": self.variances,
        }  # fmt: skip

    def about(self) -> dict[str, Any]:
        """What is to be stored as JSON."""
        return {
            "keys": self.keys[KEYS].to_numpy().tolist(),
            "methods": list(self.methods),
            "names": list(self.names),
            "outcomes": self.outcomes.tolist(),
            "learnt": {method: list(found) for method, found in self.learnt.items()},
            "good": {kind: list(names) for kind, names in self.good.items()},
            "first_origin": None if self.first_origin is None else str(self.first_origin.date()),
        }

    @classmethod
    def from_parts(cls, about: Mapping[str, Any], arrays: Mapping[str, Floats]) -> "Rules":
        """What `about` and `arrays` took apart."""
        first = about["first_origin"]
        return cls(
            keys=pd.DataFrame(about["keys"], columns=KEYS),
            methods=tuple(about["methods"]),
            names=tuple(about["names"]),
            outcomes=np.array(about["outcomes"]),
            good={kind: tuple(names) for kind, names in about["good"].items()},
            learnt=about["learnt"],
            first_origin=None if first is None else pd.Timestamp(first),
            weights=arrays["weights"],
            paths=arrays["paths"],
            actual=arrays["actual"],
            variances=arrays["variances"],
        )
