"""The fitted value model and how it scores customers.

Belongs here: pure scoring, frames in and frames out. Does not belong here: fitting and evaluation (`evaluate`),
Dagster, MLflow.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.candidates import Predictor
from clm_dagster.domains.value.features import Snapshot, by_snapshot
from clm_dagster.domains.value.intervals import Intervals
from clm_dagster.domains.value.level import LevelForecast, capped_total, multiplier
from clm_dagster.domains.value.names import HISTORY
from clm_dagster.domains.value.plan import levels_of
from clm_dagster.domains.value.purchase_model import PurchaseModel
from clm_dagster.domains.value.table_settings import EvaluationSettings
from clm_dagster.domains.value.tiers import Tiers
from clm_dagster.statistics.evaluation import EvaluationError

Floats = NDArray[np.float64]
# The columns of predictions before the level, and of BG/NBD's and Gamma-Gamma's expected revenue.
UNSCALED, EXPECTED = "unscaled", "expected"
# Before the name of a column of the feature matrix.
_MATRIX = "x "


@dataclass(frozen=True)
class SnapshotLevel:
    """Levels of one snapshot: forecast total divided by the total of BG/NBD and Gamma-Gamma, for revenue and orders."""

    revenue: float
    orders: float


@dataclass(frozen=True)
class ValueModel:
    """A fitted predictor with everything that it needs to score rows of core.customer_features.

    purchase_model, level, multiplier: of the test snapshot, for customers who are too few for a fit of their own. cap:
    the most that one customer's revenue counts in totals. baseline_intervals: of the naive baseline (`baseline`), which
    serves where no model passed its gate.
    """

    predictor: Predictor
    purchase_model: PurchaseModel
    level: SnapshotLevel
    multiplier: float
    cap: float
    intervals: Intervals
    baseline_intervals: Intervals
    tiers: Tiers
    trained_as_of: date
    tested_as_of: date
    horizon_days: int

    @property
    def name(self) -> str:
        """Return the candidate's name."""
        return self.predictor.name

    def amounts(self, frame: pd.DataFrame) -> Floats:
        """Return expected revenue, shape (n,), with the purchase model and level of the test snapshot.

        Use this for single customers, as a served model receives them. Each customer needs at least one order.
        """
        return self.multiplier * self.predictor.predict(
            Snapshot.of(frame, self.purchase_model, self.horizon_days)
        )

    def scores(self, frame: pd.DataFrame, level: SnapshotLevel | None = None) -> pd.DataFrame:
        """Score one whole snapshot: one row for each customer with an order before as_of, by customer_id.

        level: the level forecast for the snapshot (`snapshot_level`), which the capped total is scaled to; None for the
        level of the test snapshot. One-time buyers and inactive customers have a row. Customers without an order and
        guests (no customer_id) have none.

        Columns: as_of, customer_id, horizon_days, expected_orders, expected_revenue, revenue_low, revenue_high,
        probability_of_no_order, past_revenue (net, of the 365 days before as_of), value_tier. No value is missing. No
        expectation and no bound is below 0.

        If a purchase model cannot be fitted to the customers (a single one, no second orders), use the purchase
        model and multiplier of the test snapshot.
        """
        known = by_snapshot(frame)
        if len(known) != 1:
            raise EvaluationError(
                f"one as_of is scored at a time, found {len(known)} with customers who had ordered"
            )
        (rows,) = known.values()
        purchases = self.purchase_model_of(rows)
        measured = self.measured(rows, purchases)
        amounts = [measured[name].to_numpy() for name in (UNSCALED, EXPECTED)]
        scores = self.valued(measured, self.factor(*amounts, purchases, level), level)
        scores.insert(0, "as_of", rows["as_of"].to_numpy())
        return scores

    def purchase_model_of(self, history: pd.DataFrame) -> PurchaseModel | None:
        """Fit the purchase model of a whole snapshot; return None if its customers are too few.

        history: columns `HISTORY` of all customers.
        """
        try:
            return PurchaseModel.fit(history, self.horizon_days)
        except EvaluationError:
            return None

    def measured(self, rows: pd.DataFrame, purchases: PurchaseModel | None) -> pd.DataFrame:
        """Return what `factor` and `valued` read of some customers. purchases: `purchase_model_of` the snapshot."""
        snapshot = Snapshot.of(rows, purchases or self.purchase_model, self.horizon_days)
        expectation = snapshot.expectation
        found = pd.DataFrame(
            {
                "customer_id": rows["customer_id"].to_numpy(),
                UNSCALED: self.predictor.predict(snapshot),
                EXPECTED: expectation.revenue,
                "orders": expectation.orders,
                "no_order": expectation.no_order,
                "past_revenue": rows["net_revenue_365d"].to_numpy(float),
            }
        )
        # Only the classifier of tiers reads the matrix.
        matrix = snapshot.x.add_prefix(_MATRIX) if self.tiers.method == "softmax" else pd.DataFrame()
        return pd.concat([found, matrix.reset_index(drop=True)], axis=1)

    def factor(
        self,
        unscaled: Floats,
        expected: Floats,
        purchases: PurchaseModel | None,
        level: SnapshotLevel | None,
    ) -> float:
        """Return the factor of all predictions of a snapshot. unscaled, expected: of all its customers."""
        if purchases is None:
            return self.multiplier
        if not unscaled.max() > 0:
            return 1.0
        return multiplier(
            unscaled, (level or self.level).revenue * capped_total(expected, self.cap), self.cap
        )

    def valued(self, measured: pd.DataFrame, factor: float, level: SnapshotLevel | None) -> pd.DataFrame:
        """Return the rows of `scores`, without as_of. measured: of some customers. The rest: of the snapshot."""
        used_level = level or self.level
        revenue = factor * measured[UNSCALED].to_numpy()
        low, high = self.intervals(revenue)
        matrix = measured[[name for name in measured if str(name).startswith(_MATRIX)]]
        return pd.DataFrame(
            {
                "customer_id": measured["customer_id"].to_numpy(),
                "horizon_days": self.horizon_days,
                "expected_orders": used_level.orders * measured["orders"].to_numpy(),
                "expected_revenue": revenue,
                "revenue_low": low,
                "revenue_high": high,
                # At a level of f orders are f times as frequent, so P(no order) is raised to the power f.
                "probability_of_no_order": measured["no_order"].to_numpy() ** used_level.orders,
                "past_revenue": measured["past_revenue"].to_numpy(),
                "value_tier": self.tiers(revenue, matrix),
            }
        )

    def weekly(self, frame: pd.DataFrame, orders: float, revenue: float) -> pd.DataFrame:
        """Return the cumulative expected orders and revenue of a whole snapshot by week of the horizon.

        frame: columns `HISTORY` of core.customer_features. orders, revenue: the sums of its `scores`. Columns: week (1
        ...), days (after as_of, at most the horizon), expected_orders, expected_revenue, cumulative over all customers.
        The shape of the curve is that of BG/NBD and Gamma-Gamma at a constant purchase rate. The season affects its end
        point only.
        """
        (rows,) = by_snapshot(frame, HISTORY).values()
        purchase_model = self.purchase_model_of(rows) or self.purchase_model
        weeks = np.arange(1, -(-self.horizon_days // 7) + 1)
        days = np.minimum(7 * weeks, self.horizon_days)
        expected = [purchase_model.expect(rows, int(day)) for day in days]
        out = pd.DataFrame({"week": weeks, "days": days})
        for name, total, sums in (
            ("orders", orders, [one.orders.sum() for one in expected]),
            ("revenue", revenue, [one.revenue.sum() for one in expected]),
        ):
            shape = np.asarray(sums) / sums[-1] if sums[-1] > 0 else days / self.horizon_days
            out[f"expected_{name}"] = shape * total
        return out

    def state(self) -> dict[str, Any]:
        """Return everything but the estimators, as JSON-serializable values."""
        return {
            "predictor": _predictor_state(self.predictor),
            "purchase_model": self.purchase_model.as_dict(),
            "level": {"revenue": self.level.revenue, "orders": self.level.orders},
            "multiplier": self.multiplier,
            "cap": self.cap,
            "intervals": self.intervals.as_dict(),
            "baseline_intervals": self.baseline_intervals.as_dict(),
            "tiers": self.tiers.as_dict(),
            "trained_as_of": str(self.trained_as_of),
            "tested_as_of": str(self.tested_as_of),
            "horizon_days": self.horizon_days,
        }

    def estimators(self) -> dict[str, Any]:
        """Return the estimators by name. All are of scikit-learn's own classes."""
        found = {
            f"{part.name}_{i}": estimator
            for part in (self.predictor, *self.predictor.members)
            for i, estimator in enumerate(part.estimators)
        }
        return found | ({"tiers": self.tiers.classifier} if self.tiers.classifier is not None else {})

    @classmethod
    def from_parts(cls, state: dict[str, Any], estimators: dict[str, Any]) -> "ValueModel":
        """Return the model with this `state` and these `estimators`."""
        return cls(
            _predictor_from_state(state["predictor"], estimators),
            PurchaseModel.from_dict(state["purchase_model"]),
            SnapshotLevel(**state["level"]),
            state["multiplier"],
            state["cap"],
            Intervals.from_dict(state["intervals"]),
            Intervals.from_dict(state["baseline_intervals"]),
            Tiers.from_dict(state["tiers"], estimators.get("tiers")),
            date.fromisoformat(state["trained_as_of"]),
            date.fromisoformat(state["tested_as_of"]),
            state["horizon_days"],
        )


def snapshot_level(
    features: pd.DataFrame, labels: pd.DataFrame, as_of: date, cap: float, settings: EvaluationSettings
) -> tuple[SnapshotLevel, LevelForecast]:
    """Forecast the level at any `as_of`, for scoring. Labels that mature after `as_of` are not used.

    features: columns `HISTORY` of core.customer_features at `level_snapshots`. labels: the available rows of
    core.value_labels at these snapshots. cap: that of the model. Return the levels, and details of the revenue
    forecast.
    """
    frames = by_snapshot(features, HISTORY)
    if as_of not in frames:
        raise EvaluationError(f"no customers to score at as_of {as_of}: build core.customer_features for it")
    revenue, orders = levels_of(frames, labels, as_of, cap, settings)
    history = [day for day in frames if day < as_of]
    forecast = revenue.forecast(as_of, history)
    return SnapshotLevel(forecast.factor, orders.forecast(as_of, history).factor), forecast


def _predictor_state(predictor: Predictor) -> dict[str, Any]:
    return {
        "name": predictor.name,
        "kind": predictor.kind,
        "horizon_days": predictor.horizon_days,
        "power": predictor.power,
        "estimators": len(predictor.estimators),
        "members": [_predictor_state(member) for member in predictor.members],
        "scales": list(predictor.scales),
    }


def _predictor_from_state(state: dict[str, Any], estimators: dict[str, Any]) -> Predictor:
    return Predictor(
        name=state["name"],
        kind=state["kind"],
        horizon_days=state["horizon_days"],
        power=state["power"],
        estimators=tuple(estimators[f"{state['name']}_{i}"] for i in range(state["estimators"])),
        members=tuple(_predictor_from_state(member, estimators) for member in state["members"]),
        scales=tuple(state["scales"]),
    )
