"""What all customers of a snapshot will spend together: a forecast of the level, season and all.

Belongs here: how the total moves over snapshots. Does not: who spends more than whom (`candidates`).

Every level is said as a factor on what BG/NBD and Gamma-Gamma expect of the same customers at their constant
pace, so a change in who the customers are is no change of level. Labels take a horizon to mature, but what came
in one step of the grid is known one step later, from the sums of the next snapshot.

The outlier rule of totals: no customer counts for more than `cap`, a quantile of what those who spend at all spent.
A single huge order a year ago would else raise everybody's value now.
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
# A way to forecast that was never tried is taken to miss by a fifth.
UNTRIED_ERROR = 0.2
CAP_QUANTILE = 0.99


@dataclass(frozen=True)
class LevelForecast:
    """The forecast of one snapshot's level.

    method: the way that was chosen. factor: of BG/NBD's total, above 0. errors: for each way that could be taken, its
    root mean square error as a logarithm over the mature snapshots before, one untried error added. tried: at how many
    of them. factors: what each way would have said.
    """

    method: str
    factor: float
    factors: dict[str, float]
    errors: dict[str, float]
    tried: dict[str, int]


@dataclass(frozen=True)
class Amounts:
    """Of one snapshot: n customers, what each is expected to bring in the horizon and in one step, and has brought.

    brought: everything before as_of; actual: within the horizon, None where the label is not mature.
    """

    customer_id: NDArray[np.object_]
    expected: Floats
    expected_step: Floats
    brought: Floats
    actual: Floats | None


class Levels(SeasonalLevels):
    """Levels of snapshots on one grid. What is known at t is only read where it had happened before t."""

    def __init__(
        self, amounts: Mapping[date, Amounts], cap: float, horizon_days: int, spacing_days: int
    ) -> None:
        self.amounts, self.cap = amounts, cap
        super().__init__(horizon_days, spacing_days)

    def of_label(self, day: date, known: date) -> float | None:
        """Logarithm of the horizon's level, if it was mature at `known`."""
        found = self.amounts.get(day)
        if found is None or found.actual is None or day + self.horizon > known:
            return None
        return _log_ratio(found.actual, found.expected, self.cap)

    def of_step(self, day: date, known: date) -> float | None:
        """Logarithm of the level of one step of the grid, if the next snapshot is not after `known`."""
        following = day + self.spacing
        if day not in self.amounts or following not in self.amounts or following > known:
            return None
        now, later = self.amounts[day], self.amounts[following]
        after = pd.Series(later.brought, index=later.customer_id).reindex(now.customer_id).to_numpy(float)
        return _log_ratio(np.nan_to_num(after - now.brought), now.expected_step, self.cap)

    def candidates(self, day: date, history: Sequence[date]) -> dict[str, float]:
        """The logarithm of the level at `day` as each way forecasts it from what was known then.

        pace: none, BG/NBD's constant pace holds. past: the mean of the mature labels before. recent: that of the last
        step. year: that of the same horizon a year ago. season: that, moved by how the last step differs from the same
        step a year ago; half: by half as much, since one step's difference is part noise.
        """
        found, known = {"pace": 0.0}, self.known(day, history)
        if known.past is not None:
            found["past"] = known.past
        if known.recent is not None:
            found["recent"] = known.recent
        if known.season is not None:
            found["year"] = known.season
            if known.recent is not None and known.same is not None:
                found["season"] = known.season + known.recent - known.same
                found["half"] = known.season + (known.recent - known.same) / 2
        return found

    def forecast(self, day: date, history: Sequence[date]) -> LevelForecast:
        """Choose the way by its errors at the snapshots of `history` that were mature at `day`.

        Each way is judged at every snapshot at which it could be taken; of ways that tie, the last named in
        `candidates` is chosen, which knows most of the season.
        """
        ways = self.ways(day, history, UNTRIED_ERROR)
        method = min(reversed(ways.errors), key=lambda way: ways.errors[way])
        factors = {way: float(np.exp(value)) for way, value in ways.said.items()}
        return LevelForecast(method, factors[method], factors, ways.errors, ways.tried)


def capped_total(amounts: Floats, cap: float) -> float:
    """Sum over customers, none of them above `cap`."""
    return float(np.minimum(amounts, cap).sum())


def multiplier(predicted: Floats, total: float, cap: float) -> float:
    """What n predictions are multiplied with so that their capped sum is `total`, both in money.

    Raises ValueError if no multiplier can: nothing is predicted at all, or the total is not above 0.
    """
    above = predicted[predicted > 0]
    if not len(above) or not total > 0:
        raise ValueError(f"{len(above)} predictions above 0 cannot be brought to a total of {total:g}")
    reachable = min(total, 0.999 * cap * len(above))
    plain = np.log(reachable / above.sum())  # capping only ever takes away, so the answer is not below
    upper = np.log(cap / above.min())
    if capped_total(above * np.exp(plain), cap) >= reachable * (1 - 1e-12) or upper <= plain:
        return float(np.exp(plain))
    return float(
        np.exp(brentq(lambda m: capped_total(above * np.exp(m), cap) - reachable, plain, upper, xtol=1e-12))
    )


def brought_to(predicted: Floats, total: float, cap: float) -> Floats:
    """Predictions times their `multiplier`; where none is above 0, they stay as they are."""
    return multiplier(predicted, total, cap) * predicted if predicted.max() > 0 else predicted


def _log_ratio(actual: Floats, expected: Floats, cap: float) -> float | None:
    """Logarithm of actual over expected, both capped; None where nothing came or more was returned."""
    came, thought = capped_total(actual, cap), capped_total(expected, cap)
    return float(np.log(came / thought)) if came > 0 and thought > 0 else None
