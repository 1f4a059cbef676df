"""Forecast of the base rate: the share of active customers who will churn after one as_of, season included.

Belongs here: how the base rate changes from snapshot to snapshot. Does not belong here: which customer is more likely
to churn (`candidates`).

Every base rate is expressed as a residual: the log-odds of the share of customers without an order, minus the log-odds
that BG/NBD expects for the same customers at a constant purchase rate. A change in the customer mix is therefore not a
change of the residual. Labels take a horizon to mature, but the share without an order in one step of the grid is known
one step later, from the recency of the next snapshot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from clm_dagster.domains.churn.purchase_model import no_purchase_probability
from clm_dagster.statistics.btyd import BGNBD
from clm_dagster.statistics.evaluation.levels import SeasonalLevels

# Error in log-odds assumed for a method that has never been tried: five percentage points at even odds.
UNTRIED_ERROR = 0.2


@dataclass(frozen=True)
class BaseRateForecast:
    """Forecast of the churn rate of one snapshot.

    method: the chosen method. rate: in (0, 1). rates: the forecast of each method. errors: for each method, its root
    mean square error in log-odds over the earlier mature snapshots, with one error of an untried method included.
    tried: the number of snapshots behind each error.
    """

    method: str
    rate: float
    rates: dict[str, float]
    errors: dict[str, float]
    tried: dict[str, int]


class BaseRates(SeasonalLevels):
    """Base-rate residuals of the snapshots on one grid, from active customers and mature labels.

    frames: rows of core.customer_features by as_of. labels: churned (0 or 1) by as_of, in the row order of the frame.
    purchase_models: BG/NBD of each snapshot. A forecast at t uses only what happened before t.
    """

    def __init__(
        self,
        frames: Mapping[date, pd.DataFrame],
        labels: Mapping[date, np.ndarray],
        purchase_models: Mapping[date, BGNBD],
        horizon_days: int,
        spacing_days: int,
    ) -> None:
        self.frames, self.labels, self.purchase_models = frames, labels, purchase_models
        super().__init__(horizon_days, spacing_days)
        self._cache: dict[tuple[str, date], float] = {}

    def expected(self, day: date, step: timedelta) -> float:
        """Return the log-odds of BG/NBD's mean probability of no purchase within `step` after a snapshot."""
        probabilities = no_purchase_probability(self.purchase_models[day], self.frames[day], step.days)
        return float(logit(probabilities.mean()))

    def of_label(self, day: date, known: date) -> float | None:
        """Return the residual of the horizon's label, or None if the label was not mature at `known`."""
        if day not in self.labels or day + self.horizon > known:
            return None
        return self._cached(
            "label", day, lambda: _log_odds(self.labels[day]) - self.expected(day, self.horizon)
        )

    def of_step(self, day: date, known: date) -> float | None:
        """Return the residual of one step of the grid, or None if the next snapshot is after `known`."""
        following = day + self.spacing
        if day not in self.frames or following not in self.frames or following > known:
            return None

        def residual() -> float:
            later = self.frames[following].set_index("customer_id")["recency_days"]
            recency = later.reindex(self.frames[day]["customer_id"]).to_numpy(float)
            return _log_odds(~(recency <= self.spacing.days)) - self.expected(day, self.spacing)

        return self._cached("step", day, residual)

    def candidates(self, day: date, history: Sequence[date]) -> dict[str, float]:
        """Return the residual at `day` that each method forecasts from the data known at `day`.

        constant_rate: 0, the purchase rate stays constant. past: mean of the earlier mature labels. recent: residual
        of the last step. season: residual of the same horizon a year ago, plus the change of the last step against
        the same step a year ago.
        """
        residuals, known = {"constant_rate": 0.0}, self.known(day, history)
        if known.past is not None:
            residuals["past"] = known.past
        if known.recent is not None:
            residuals["recent"] = known.recent
            if known.same is not None and known.season is not None:
                residuals["season"] = known.season + known.recent - known.same
        return residuals

    def forecast(self, day: date, history: Sequence[date]) -> BaseRateForecast:
        """Choose the method with the smallest error on the snapshots of `history` that were mature at `day`.

        Each method is evaluated at every snapshot at which it can be computed. A method that only works between two
        turns of the season is therefore evaluated at the turns as well.
        """
        methods = self.evaluate_methods(day, history, UNTRIED_ERROR)
        best = min(methods.errors, key=lambda method: methods.errors[method])
        base = self.expected(day, self.horizon)
        rates = {method: float(expit(base + residual)) for method, residual in methods.forecasts.items()}
        return BaseRateForecast(best, rates[best], rates, methods.errors, methods.tried)

    def _cached(self, kind: str, day: date, compute: Callable[[], float]) -> float:
        if (kind, day) not in self._cache:
            self._cache[kind, day] = compute()
        return self._cache[kind, day]


def _log_odds(labels: np.ndarray) -> float:
    share = np.clip(np.mean(labels), 0.5 / len(labels), 1 - 0.5 / len(labels))
    return float(logit(share))
