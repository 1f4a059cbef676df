"""Inputs of an evaluation, validated and in the shape that models take.

Belongs here: everything before the first fit. Does not belong here: fitting and evaluation (`evaluate`).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.candidates import Training
from clm_dagster.domains.value.features import Snapshot, by_snapshot, checked_labels, labels_of
from clm_dagster.domains.value.level import CAP_QUANTILE, Amounts, Levels, capped_total
from clm_dagster.domains.value.purchase_model import PurchaseModel, winsor_limit
from clm_dagster.domains.value.table_settings import EvaluationSettings
from clm_dagster.statistics.evaluation import EvaluationError, EvaluationPlan, missing_snapshots

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationInputs:
    """Validated inputs of an evaluation, by as_of.

    snapshots: of training and test, as models take them. y: net revenue of each customer within the horizon. levels,
    order_levels: of all snapshots. cap: the most that one customer's revenue counts in totals.
    """

    snapshots: dict[date, Snapshot]
    purchase_models: dict[date, PurchaseModel]
    y: dict[date, Floats]
    levels: Levels
    order_levels: Levels
    cap: float

    def levels_of(self, days: Iterable[date]) -> dict[date, float]:
        """Return the actual revenue of each snapshot over the expectation of BG/NBD and Gamma-Gamma."""
        return {
            day: capped_total(self.y[day], self.cap)
            / capped_total(self.snapshots[day].expectation.revenue, self.cap)
            for day in days
        }


def prepare(
    features: pd.DataFrame, labels: pd.DataFrame, plan: EvaluationPlan, settings: EvaluationSettings
) -> EvaluationInputs:
    """Validate and shape the inputs of an evaluation. Raise EvaluationError if none is possible."""
    split, horizon = plan.split, settings.horizon_days
    frames = by_snapshot(features)
    days = (*split.training, split.test)
    missing = missing_snapshots(days, frames)
    if missing:
        raise EvaluationError(
            f"no features at as_of {', '.join(map(str, missing))}: build core.customer_features for them, or "
            "give a later first day"
        )
    y = checked_labels(frames, labels, days, horizon)
    purchase_models = _purchase_models(frames, days, split.test, horizon)
    snapshots = {day: Snapshot.of(frames[day], purchase_models[day], horizon) for day in days}
    cap = winsor_limit(np.concatenate([y[day] for day in split.training]), CAP_QUANTILE)
    planned = {day: frame for day, frame in frames.items() if day in plan.snapshots}
    levels, order_levels = levels_of(planned, labels, split.test, cap, settings, purchase_models)
    return EvaluationInputs(snapshots, purchase_models, y, levels, order_levels, cap)


def training_rows(inputs: EvaluationInputs, levels: Mapping[date, float], days: Sequence[date]) -> Training:
    """Return the rows of several snapshots to fit on, the revenue of each divided by its level."""
    return Training.of(
        [inputs.snapshots[day] for day in days],
        [inputs.y[day] for day in days],
        [levels[day] for day in days],
    )


def _purchase_models(
    frames: dict[date, pd.DataFrame], days: tuple[date, ...], test: date, horizon_days: int
) -> dict[date, PurchaseModel]:
    """Fit one purchase model for each snapshot.

    A snapshot with too few repeat customers gets the model of the next snapshot that has one. Raise EvaluationError if
    the test snapshot itself has too few.
    """
    models = {test: PurchaseModel.fit(frames[test], horizon_days)}
    following = models[test]
    for day in sorted(set(days) - {test}, reverse=True):
        # A few weeks after a shop's first day the fit does not converge. Then `following` is used.
        with suppress(EvaluationError):
            following = PurchaseModel.fit(frames[day], horizon_days)
        models[day] = following
    return models


def levels_of(
    frames: dict[date, pd.DataFrame],
    labels: pd.DataFrame,
    as_of: date,
    cap: float,
    settings: EvaluationSettings,
    purchase_models: dict[date, PurchaseModel] | None = None,
) -> tuple[Levels, Levels]:
    """Return the levels of revenue and of orders over snapshots. Labels that mature after `as_of` are not used.

    An earlier snapshot is left out if no purchase model can be fitted to its customers. Raise EvaluationError if that
    happens at `as_of` itself.
    """
    revenue, orders = {}, {}
    for day, frame in frames.items():
        try:
            model = (purchase_models or {}).get(day) or PurchaseModel.fit(frame, settings.horizon_days)
        except EvaluationError:
            if day == as_of:
                raise
            continue
        ahead, step = (model.expect(frame, days) for days in (settings.horizon_days, settings.spacing_days))
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
