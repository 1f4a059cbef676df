"""What a contest is asked and what it reads: settings, snapshots, frames in the shape that models take.

Belongs here: everything before the first fit. Does not: fitting and judging (`model`).
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.expectation import Pace, winsor_limit
from clm_dagster.domains.value.features import Snapshot, by_snapshot, checked_labels, labels_of
from clm_dagster.domains.value.level import CAP_QUANTILE, Amounts, Levels
from clm_dagster.statistics.evaluation import EvaluationError, EvaluationPlan, GridSettings, missing_snapshots

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationSettings(GridSettings):
    """What a user may choose of a contest; the defaults are those of the package's settings."""

    coverage: float = 0.8


@dataclass(frozen=True)
class Prepared:
    """Checked inputs of a contest, by as_of.

    snapshots: of training and test, as models take them; y: net revenue of each customer within the horizon. levels and
    order_levels: of all snapshots; cap: the outlier rule's limit of one customer's revenue.
    """

    snapshots: dict[date, Snapshot]
    paces: dict[date, Pace]
    y: dict[date, Floats]
    levels: Levels
    order_levels: Levels
    cap: float


def prepare(
    features: pd.DataFrame, labels: pd.DataFrame, plan: EvaluationPlan, settings: EvaluationSettings
) -> Prepared:
    """Check and shape the inputs of a contest. Raises EvaluationError for what makes it impossible."""
    split, horizon = plan.split, settings.horizon_days
    frames = by_snapshot(features)
    days = (*split.training, split.test)
    lacking = missing_snapshots(days, frames)
    if lacking:
        raise EvaluationError(
            f"no features at as_of {', '.join(map(str, lacking))}: build core.customer_features for them, or "
            "give a later first day"
        )
    y = checked_labels(frames, labels, days, horizon)
    paces = _paces(frames, days, split.test, horizon)
    snapshots = {day: Snapshot.of(frames[day], paces[day], horizon) for day in days}
    cap = winsor_limit(np.concatenate([y[day] for day in split.training]), CAP_QUANTILE)
    both = levels_of(
        {d: f for d, f in frames.items() if d in plan.snapshots}, labels, split.test, cap, settings, paces
    )
    return Prepared(snapshots, paces, y, *both, cap)


def _paces(
    frames: dict[date, pd.DataFrame], days: tuple[date, ...], test: date, horizon_days: int
) -> dict[date, Pace]:
    """The pace of each snapshot; one in which too few have come back yet takes that of the next that tells enough.

    Raises EvaluationError where the test snapshot itself tells too little.
    """
    found = {test: Pace.fit(frames[test], horizon_days)}
    following = found[test]
    for day in sorted(set(days) - {test}, reverse=True):
        # Weeks after a shop's first day the likelihood has no top: then `following` stands in.
        with suppress(EvaluationError):
            following = Pace.fit(frames[day], horizon_days)
        found[day] = following
    return found


def levels_of(
    frames: dict[date, pd.DataFrame],
    labels: pd.DataFrame,
    as_of: date,
    cap: float,
    settings: EvaluationSettings,
    paces: dict[date, Pace] | None = None,
) -> tuple[Levels, Levels]:
    """Levels of revenue and of orders over snapshots; no label that matures after `as_of` is looked at.

    A snapshot of the past whose customers tell too little to fit a pace says nothing of the level and is left out;
    at `as_of` itself that is a EvaluationError.
    """
    revenue, orders = {}, {}
    for day, frame in frames.items():
        try:
            pace = (paces or {}).get(day) or Pace.fit(frame, settings.horizon_days)
        except EvaluationError:
            if day == as_of:
                raise
            continue
        ahead, step = (pace.expect(frame, days) for days in (settings.horizon_days, settings.spacing_days))
        mature = day + timedelta(days=settings.horizon_days) <= as_of
        ids = frame["customer_id"].to_numpy(object)
        actual = {
            name: labels_of(frames, labels, day, name) if mature else None
            for name in ("net_revenue", "orders")
        }
        revenue[day] = Amounts(
            ids, ahead.revenue, step.revenue, frame["net_revenue"].to_numpy(float), actual["net_revenue"]
        )
        orders[day] = Amounts(
            ids, ahead.orders, step.orders, frame["orders"].to_numpy(float), actual["orders"]
        )
    spacing = settings.spacing_days
    return (
        Levels(revenue, cap, settings.horizon_days, spacing),
        Levels(orders, float("inf"), settings.horizon_days, spacing),
    )
