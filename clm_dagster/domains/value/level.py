"""Forecast of the level: the total spend of all customers of a snapshot, season included.

Belongs here: how the total changes from snapshot to snapshot. Does not belong here: which customer spends more
(`candidates`).

The level is the total divided by the total that BG/NBD and Gamma-Gamma expect for the same customers at a constant
purchase rate. A change in the customer mix is therefore not a change of the level. Labels take a horizon to mature, but
the revenue of one step of the grid is known one step later, from the sums of the next snapshot.

Outlier rule of totals: no customer counts for more than `cap`, a quantile of the amounts above 0. Otherwise a single
huge order a year ago would raise the value of every customer today.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from clm_dagster.statistics.evaluation.levels import SeasonalLevels

Floats = NDArray[np.float64]
# Error, as a logarithm, assumed for a method that has never been tried: about a fifth.
UNTRIED_ERROR = 0.2
CAP_QUANTILE = 0.99


@dataclass(frozen=True)
class LevelForecast:
    """Forecast of the level of one snapshot.

    method: the chosen method. factor: the level, above 0. factors: the forecast of each method. errors: for each
    method, its root mean square error of the logarithm over the earlier mature snapshots, with one error of an untried
    method included. tried: the number of snapshots behind each error.
    """

    method: str
    factor: float
    factors: dict[str, float]
    errors: dict[str, float]
    tried: dict[str, int]


@dataclass(frozen=True)
class Amounts:
    """Amounts of the n customers of one snapshot: revenue, or the number of orders.

    expected, expected_step: within the horizon and within one step of the grid. cumulative: everything before as_of.
    actual: within the horizon; None if the label is not mature.
    """

    customer_id: NDArray[np.object_]
    expected: Floats
    expected_step: Floats
    cumulative: Floats
    actual: Floats | None


class Levels(SeasonalLevels):
    """Levels of the snapshots on one grid. A forecast at t uses only what happened before t."""

    def __init__(
        self, amounts: Mapping[date, Amounts], cap: float, horizon_days: int, spacing_days: int
    ) -> None:
        self.amounts, self.cap = amounts, cap
        super().__init__(horizon_days, spacing_days)

    def of_label(self, day: date, known: date) -> float | None:
        """Return the logarithm of the horizon's level, or None if the label was not mature at `known`."""
        amounts = self.amounts.get(day)
        if amounts is None or amounts.actual is None or day + self.horizon > known:
            return None
        return _log_ratio(amounts.actual, amounts.expected, self.cap)

    def of_step(self, day: date, known: date) -> float | None:
        """Return the logarithm of the level of one step, or None if the next snapshot is after `known`."""
        following = day + self.spacing
        if day not in self.amounts or following not in self.amounts or following > known:
            return None
        now, later = self.amounts[day], self.amounts[following]
        cumulative = (
            pd.Series(later.cumulative, index=later.customer_id).reindex(now.customer_id).to_numpy(float)
        )
        return _log_ratio(np.nan_to_num(cumulative - now.cumulative), now.expected_step, self.cap)

    def candidates(self, day: date, history: Sequence[date]) -> dict[str, float]:
        """Return the logarithm of the level at `day` that each method forecasts from the data known at `day`.

        constant_rate: 0, the purchase rate stays constant. past: mean of the earlier mature labels. recent: level of
        the last step. year: level of the same horizon a year ago. season: the same plus the change of the last step
        against the same step a year ago. half: the same plus half of this change, because the change of one step is
        partly noise.
        """
        logarithms, known = {"constant_rate": 0.0}, self.known(day, history)
        if known.past is not None:
            logarithms["past"] = known.past
        if known.recent is not None:
            logarithms["recent"] = known.recent
        if known.season is not None:
            logarithms["year"] = known.season
            if known.recent is not None and known.same is not None:
                logarithms["season"] = known.season + known.recent - known.same
                logarithms["half"] = known.season + (known.recent - known.same) / 2
        return logarithms

    def forecast(self, day: date, history: Sequence[date]) -> LevelForecast:
        """Choose the method with the smallest error on the snapshots of `history` that were mature at `day`.

        Each method is evaluated at every snapshot at which it can be computed. A tie goes to the last one in the order
        of `candidates`, which uses the most seasonal information.
        """
        methods = self.evaluate_methods(day, history, UNTRIED_ERROR)
        best = min(reversed(methods.errors), key=lambda method: methods.errors[method])
        factors = {method: float(np.exp(logarithm)) for method, logarithm in methods.forecasts.items()}
        return LevelForecast(best, factors[best], factors, methods.errors, methods.tried)


def capped_total(amounts: Floats, cap: float) -> float:
    """Return the sum over customers, each capped at `cap`."""
    return float(np.minimum(amounts, cap).sum())


def multiplier(predicted: Floats, total: float, cap: float) -> float:
    """Return the factor by which the capped sum of n predictions becomes `total`, both in money.

    Raise ValueError if there is none: no prediction is above 0, or the total is not above 0.
    """
    above = predicted[predicted > 0]
    if not len(above) or not total > 0:
        raise ValueError(f"{len(above)} predictions above 0 cannot be scaled to a total of {total:g}")
    reachable = min(total, 0.999 * cap * len(above))
    plain = np.log(reachable / above.sum())  # capping only reduces the sum, so the solution is not below this
    upper = np.log(cap / above.min())
    if capped_total(above * np.exp(plain), cap) >= reachable * (1 - 1e-12) or upper <= plain:
        return float(np.exp(plain))
    return float(
        np.exp(brentq(lambda m: capped_total(above * np.exp(m), cap) - reachable, plain, upper, xtol=1e-12))
    )


def scaled_to_total(predicted: Floats, total: float, cap: float) -> Floats:
    """Return the predictions times their `multiplier`; unchanged if none is above 0."""
    return multiplier(predicted, total, cap) * predicted if predicted.max() > 0 else predicted


def _log_ratio(actual: Floats, expected: Floats, cap: float) -> float | None:
    """Return the logarithm of actual over expected, both capped; None unless both totals are above 0."""
    actual_total, expected_total = capped_total(actual, cap), capped_total(expected, cap)
    if actual_total <= 0 or expected_total <= 0:
        return None
    return float(np.log(actual_total / expected_total))
