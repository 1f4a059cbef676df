"""The model a contest ends with, and how it scores customers. Pure: frames in, frames out."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_dagster.domains.value.candidates import Predictor
from clm_dagster.domains.value.expectation import Pace
from clm_dagster.domains.value.features import Snapshot, by_snapshot
from clm_dagster.domains.value.intervals import Intervals
from clm_dagster.domains.value.level import LevelForecast, brought_to, capped_total
from clm_dagster.domains.value.plan import EvaluationSettings, levels_of
from clm_dagster.domains.value.tiers import Tiers
from clm_dagster.statistics.evaluation import EvaluationError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SnapshotLevel:
    """Levels of one snapshot, as factors of BG/NBD's and Gamma-Gamma's totals of revenue and orders."""

    revenue: float
    orders: float


@dataclass(frozen=True)
class ValueModel:
    """A fitted predictor with all it needs to score rows of core.customer_features.

    pace, level, multiplier: of the test snapshot; for customers who are too few to have their own. cap: the limit
    of one customer's revenue in totals.
    """

    predictor: Predictor
    pace: Pace
    level: SnapshotLevel
    multiplier: float
    cap: float
    intervals: Intervals
    tiers: Tiers
    trained_as_of: date
    tested_as_of: date
    horizon_days: int

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.predictor.name

    def amounts(self, frame: pd.DataFrame) -> Floats:
        """Expected revenue of any customers, shape (n,), at the pace and level of the test snapshot.

        For single customers, as a served model gets them; each has ordered at least once.
        """
        return self.multiplier * self.predictor.predict(Snapshot.of(frame, self.pace, self.horizon_days))

    def scores(self, frame: pd.DataFrame, level: SnapshotLevel | None = None) -> pd.DataFrame:
        """Score one whole snapshot, one row for each customer who ordered before its as_of, ordered by customer_id.

        level: the forecast of the snapshot (`snapshot_level`), to which the capped total is put; None for the level of
        the test snapshot. One-time buyers and customers long gone have a row as everybody; whoever never ordered has
        none, and guests, who have no customer_id, are in no customer's value.

        Columns: as_of, customer_id, horizon_days, expected_orders, expected_revenue, revenue_low, revenue_high,
        probability_of_no_order, past_revenue (net, of the 365 days before as_of), value_tier. None is ever missing,
        no expectation or bound is below 0.

        Where the customers tell too little to fit a pace of their own (one alone, nobody who came back), the
        pace and multiplier of the test snapshot are used.
        """
        known = by_snapshot(frame)
        if len(known) != 1:
            raise EvaluationError(
                f"one as_of is scored at a time, found {len(known)} with customers who had ordered"
            )
        (rows,) = known.values()
        at = level or self.level
        try:
            pace = Pace.fit(rows, self.horizon_days)
            snapshot = Snapshot.of(rows, pace, self.horizon_days)
            raw = self.predictor.predict(snapshot)
            total = at.revenue * capped_total(snapshot.expectation.revenue, self.cap)
            revenue = brought_to(raw, total, self.cap)
        except EvaluationError:
            snapshot = Snapshot.of(rows, self.pace, self.horizon_days)
            revenue = self.amounts(rows)
        low, high = self.intervals(revenue)
        said = snapshot.expectation
        return pd.DataFrame(
            {
                "as_of": rows["as_of"].to_numpy(),
                "customer_id": rows["customer_id"].to_numpy(),
                "horizon_days": self.horizon_days,
                "expected_orders": at.orders * said.orders,
                "expected_revenue": revenue,
                "revenue_low": low,
                "revenue_high": high,
                # At a level of f, orders come f times as often: nothing comes with the f-th power.
                "probability_of_no_order": said.no_order**at.orders,
                "past_revenue": rows["net_revenue_365d"].to_numpy(float),
                "value_tier": self.tiers(revenue, snapshot.x),
            }
        )

    def weekly(self, frame: pd.DataFrame, orders: float, revenue: float) -> pd.DataFrame:
        """What the customers of a whole snapshot are expected to bring by the end of each week of the horizon.

        orders, revenue: the sums of their `scores`. Columns: week (1 ...), days (after as_of, at most the horizon),
        expected_orders, expected_revenue, both cumulative sums over all customers. The shape is BG/NBD's and
        Gamma-Gamma's at a constant pace: a season within the horizon is in the end, not in the shape.
        """
        (rows,) = by_snapshot(frame).values()
        try:
            pace = Pace.fit(rows, self.horizon_days)
        except EvaluationError:
            pace = self.pace
        weeks = np.arange(1, -(-self.horizon_days // 7) + 1)
        days = np.minimum(7 * weeks, self.horizon_days)
        said = [pace.expect(rows, int(day)) for day in days]
        out = pd.DataFrame({"week": weeks, "days": days})
        for name, total, sums in (
            ("orders", orders, [s.orders.sum() for s in said]),
            ("revenue", revenue, [s.revenue.sum() for s in said]),
        ):
            shape = np.asarray(sums) / sums[-1] if sums[-1] > 0 else days / self.horizon_days
            out[f"expected_{name}"] = shape * total
        return out

    def state(self) -> dict[str, Any]:
        """Everything but the estimators, in what JSON can hold."""
        return {
            "predictor": _told(self.predictor),
            "pace": self.pace.as_dict(),
            "level": {"revenue": self.level.revenue, "orders": self.level.orders},
            "multiplier": self.multiplier,
            "cap": self.cap,
            "intervals": self.intervals.as_dict(),
            "tiers": self.tiers.as_dict(),
            "trained_as_of": str(self.trained_as_of),
            "tested_as_of": str(self.tested_as_of),
            "horizon_days": self.horizon_days,
        }

    def estimators(self) -> dict[str, Any]:
        """The scikit-learn estimators by name; all are of scikit-learn's own classes."""
        found = {
            f"{part.name}_{i}": estimator
            for part in (self.predictor, *self.predictor.members)
            for i, estimator in enumerate(part.estimators)
        }
        return found | ({"tiers": self.tiers.classifier} if self.tiers.classifier is not None else {})

    @classmethod
    def from_parts(cls, state: dict[str, Any], estimators: dict[str, Any]) -> "ValueModel":
        """The model that `state` and `estimators` were taken of."""
        return cls(
            _heard(state["predictor"], estimators),
            Pace.from_dict(state["pace"]),
            SnapshotLevel(**state["level"]),
            state["multiplier"],
            state["cap"],
            Intervals.from_dict(state["intervals"]),
            Tiers.from_dict(state["tiers"], estimators.get("tiers")),
            date.fromisoformat(state["trained_as_of"]),
            date.fromisoformat(state["tested_as_of"]),
            state["horizon_days"],
        )


def snapshot_level(
    features: pd.DataFrame, labels: pd.DataFrame, as_of: date, cap: float, settings: EvaluationSettings
) -> tuple[SnapshotLevel, LevelForecast]:
    """Forecast the level at any `as_of`, to score it with; no label that matures later is looked at.

    features: rows of core.customer_features at `level_snapshots`; labels: those of core.value_labels there
    are for them; cap: the model's. The second value says how the level of revenue was found.
    """
    frames = by_snapshot(features)
    if as_of not in frames:
        raise EvaluationError(f"no customers to score at as_of {as_of}: build core.customer_features for it")
    revenue, orders = levels_of(frames, labels, as_of, cap, settings)
    history = [day for day in frames if day < as_of]
    found = revenue.forecast(as_of, history)
    return SnapshotLevel(found.factor, orders.forecast(as_of, history).factor), found


def _told(predictor: Predictor) -> dict[str, Any]:
    return {
        "name": predictor.name, "kind": predictor.kind, "horizon_days": predictor.horizon_days,
        "power": predictor.power, "estimators": len(predictor.estimators),
        "members": [_told(member) for member in predictor.members], "scales": list(predictor.scales),
    }  # fmt: skip


def _heard(told: dict[str, Any], estimators: dict[str, Any]) -> Predictor:
    own = tuple(estimators[f"{told['name']}_{i}"] for i in range(told["estimators"]))
    members = tuple(_heard(member, estimators) for member in told["members"])
    return Predictor(
        told["name"], told["kind"], told["horizon_days"], told["power"], own, members, tuple(told["scales"])
    )
