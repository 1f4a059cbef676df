"""The share of customers that will churn at one as_of: a forecast of the level, season and all.

Belongs here: how the base rate moves over snapshots. Does not: who is likelier than whom (`candidates`).

Every level is said as a residual: the log-odds of the share of customers without an order less those that
BG/NBD expects of the same customers at its constant pace. So a change in who the customers are
is no change of level. Labels take a horizon to mature, but the share without an order in one
step of the grid is known one step later: from the recency of the next snapshot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from clm_dagster.domains.churn import rhythm
from clm_dagster.statistics.btyd import BGNBD
from clm_dagster.statistics.evaluation.levels import SeasonalLevels

# A way to forecast that was never tried is taken to miss by this much, in log-odds: five points of
# probability at even odds.
UNTRIED_ERROR = 0.2


@dataclass(frozen=True)
class LevelForecast:
    """The forecast of one snapshot's churn rate.

    method: the way that was chosen. rate: in (0, 1). errors: for each way that could be taken, its root mean
    square error in log-odds over the mature snapshots before, with one untried error added. tried: at how
    many of them. rates: what each way would have said.
    """

    method: str
    rate: float
    rates: dict[str, float]
    errors: dict[str, float]
    tried: dict[str, int]


class Levels(SeasonalLevels):
    """Residual levels of snapshots on one grid, from frames of active customers and mature labels.

    frames: core.customer_features by as_of; labels: churned (0 or 1) by as_of, in the order of the frame;
    parameters: BG/NBD of each snapshot. What is known at t is only read where it had happened before t.
    """

    def __init__(
        self,
        frames: Mapping[date, pd.DataFrame],
        labels: Mapping[date, np.ndarray],
        parameters: Mapping[date, BGNBD],
        horizon_days: int,
        spacing_days: int,
    ) -> None:
        self.frames, self.labels, self.parameters = frames, labels, parameters
        super().__init__(horizon_days, spacing_days)
        self._cache: dict[tuple[str, date], float] = {}

    def expected(self, day: date, step: timedelta) -> float:
        """BG/NBD's log-odds of the mean probability of no purchase within `step` after a snapshot."""
        return float(logit(rhythm.no_purchase(self.parameters[day], self.frames[day], step.days).mean()))

    def of_label(self, day: date, known: date) -> float | None:
        """Residual of the horizon's label, if it was mature at `known`."""
        if day not in self.labels or day + self.horizon > known:
            return None
        return self._once(
            "label", day, lambda: _log_odds(self.labels[day]) - self.expected(day, self.horizon)
        )

    def of_step(self, day: date, known: date) -> float | None:
        """Residual of one step of the grid, if the next snapshot is not after `known`."""
        following = day + self.spacing
        if day not in self.frames or following not in self.frames or following > known:
            return None

        def residual() -> float:
            later = self.frames[following].set_index("customer_id")["recency_days"]
            recency = later.reindex(self.frames[day]["customer_id"]).to_numpy(float)
            return _log_odds(~(recency <= self.spacing.days)) - self.expected(day, self.spacing)

        return self._once("step", day, residual)

    def candidates(self, day: date, history: Sequence[date]) -> dict[str, float]:
        """The residual at `day` as each way forecasts it from what was known then.

        rhythm: none, BG/NBD's constant pace holds. past: the mean of the mature labels before. recent: that
        of the last step. season: that of the same horizon a year ago, moved by how the last step
        differs from the same step a year ago.
        """
        found, known = {"rhythm": 0.0}, self.known(day, history)
        if known.past is not None:
            found["past"] = known.past
        if known.recent is not None:
            found["recent"] = known.recent
            if known.same is not None and known.season is not None:
                found["season"] = known.season + known.recent - known.same
        return found

    def forecast(self, day: date, history: Sequence[date]) -> LevelForecast:
        """Choose the way by its errors at the snapshots of `history` that were mature at `day`.

        Each way is judged at every snapshot at which it could be taken, so that one that holds between two
        turns of the season is judged at the turns as well.
        """
        ways = self.ways(day, history, UNTRIED_ERROR)
        method = min(ways.errors, key=lambda way: ways.errors[way])
        base = self.expected(day, self.horizon)
        rates = {way: float(expit(base + value)) for way, value in ways.said.items()}
        return LevelForecast(method, rates[method], rates, ways.errors, ways.tried)

    def _once(self, kind: str, day: date, compute: Callable[[], float]) -> float:
        if (kind, day) not in self._cache:
            self._cache[kind, day] = compute()
        return self._cache[kind, day]


def _log_odds(labels: np.ndarray) -> float:
    share = np.clip(np.mean(labels), 0.5 / len(labels), 1 - 0.5 / len(labels))
    return float(logit(share))
