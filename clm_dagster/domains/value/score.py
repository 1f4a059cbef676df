"""Expected spend of each customer at a snapshot, and its course over the weeks of the horizon.

Belongs here: the inputs of scoring, and the rows of `marts.customer_value` and `marts.value_expectations`. Does not
belong here: training (`training`), the model (`model`), SQL (`queries`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from clm_dagster.domains.value.baseline import baseline_rows, baseline_weeks, tiers_by_rank
from clm_dagster.domains.value.model import EXPECTED, UNSCALED, SnapshotLevel, ValueModel, snapshot_level
from clm_dagster.domains.value.names import HISTORY, OWN_PAST
from clm_dagster.domains.value.purchase_model import PurchaseModel
from clm_dagster.domains.value.queries import BUYERS, read_buyers, read_history, read_labels, read_value
from clm_dagster.domains.value.registered import REGISTERED
from clm_dagster.domains.value.table_settings import EvaluationSettings, Settings
from clm_dagster.domains.value.tiers import TIERS
from clm_dagster.platform.python_tables.in_shards import Computed, InShards, total_counts
from clm_dagster.platform.python_tables.output import Rows, TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.trained_models.champions import baseline_name
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster.platform.trained_models.snapshots import level_days, read_snapshots
from clm_dagster.statistics.evaluation import EvaluationError

Floats = NDArray[np.float64]
BASELINE = baseline_name(OWN_PAST)


@dataclass(frozen=True)
class ScoreInputs:
    """Inputs of scoring: all buyers, columns `HISTORY` of a sample for the level, and mature labels."""

    buyers: CustomerRows
    history: pd.DataFrame
    labels: pd.DataFrame


def read_scoring(reading: Reading[Settings]) -> ScoreInputs:
    """Read the customers of a snapshot and the inputs of the level forecast."""
    days = level_days(reading, reading.settings.evaluation)
    return ScoreInputs(
        buyers=read_buyers(reading),
        history=read_snapshots(reading, days, BUYERS, reading.settings.customers, ", ".join(HISTORY)),
        labels=read_labels(reading.connection, reading.day, days),
    )


def score(scoring: Scoring[Settings, ValueModel], inputs: ScoreInputs) -> Computed:
    """Predict the spend of every buyer, by the champion or by their past rate."""
    if not len(inputs.buyers):
        return TableOutput(pd.DataFrame(columns=scoring.work.columns))
    champion = scoring.whole.champion
    return PastRates(scoring, inputs) if champion is None else Predictions(scoring, inputs, champion)


@dataclass(frozen=True)
class Scored:
    """What metadata needs of the rows of a shard. revenue: the expectation of each customer."""

    sizes: dict[str, int]
    revenue: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Scored":
        """Return the facts of rows."""
        sizes = {str(name): int(count) for name, count in rows["value_tier"].value_counts().items()}
        return cls(sizes, rows["expected_revenue"].to_numpy(float))


def _metadata(
    scoring: Scoring[Settings, ValueModel], facts: Sequence[Scored], **more: float
) -> dict[str, object]:
    revenue = pd.Series(np.concatenate([one.revenue for one in facts]))
    return {
        **scoring.facts(),
        "expected_revenue": round(float(revenue.sum()), 2),
        **more,
        "customers": total_counts([one.sizes for one in facts]),
    }


class PastRates(InShards[Floats, list[NDArray[np.int8]], Scored]):
    """The past rate of every buyer, shard by shard. Tiers go by the rank among all of them."""

    def __init__(self, scoring: Scoring[Settings, ValueModel], inputs: ScoreInputs) -> None:
        self._scoring, self._inputs = scoring, inputs
        self._horizon_days = scoring.settings.evaluation.horizon_days

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._inputs.buyers.shards)

    def measure(self, shard: int) -> Floats:
        """Return the past rates of a shard."""
        return self._rows(shard)["expected_revenue"].to_numpy(float)

    def combine(self, parts: Sequence[Floats]) -> list[NDArray[np.int8]]:
        """Return the tiers of all shards, as places."""
        ends = np.cumsum([len(part) for part in parts])[:-1]
        return np.split(tiers_by_rank(np.concatenate(parts)), ends)

    def rows(self, whole: list[NDArray[np.int8]], shard: int) -> tuple[pd.DataFrame, Scored]:
        """Return the rows of a shard."""
        rows = self._rows(shard).assign(value_tier=np.array(TIERS, dtype=object)[whole[shard]])
        return self._scoring.stamped(rows), Scored.of(rows)

    def output(self, whole: list[NDArray[np.int8]], rows: Rows, facts: Sequence[Scored]) -> TableOutput:
        """Return the rows with metadata."""
        return TableOutput(rows, _metadata(self._scoring, facts))

    def _rows(self, shard: int) -> pd.DataFrame:
        fitted = self._scoring.whole.fitted
        intervals = fitted.baseline_intervals if fitted else None
        return baseline_rows(self._inputs.buyers.shard(shard), self._horizon_days, intervals)


@dataclass(frozen=True)
class Snapshot:
    """What the rows of a shard need of all customers: the factor of predictions, and the level."""

    factor: float
    level: SnapshotLevel | None


class Predictions(InShards[None, Snapshot, Scored]):
    """The predictions of a model for every buyer, shard by shard.

    The purchase model and the level are those of all buyers, and so is the factor that scales their sum to the level.
    """

    def __init__(
        self, scoring: Scoring[Settings, ValueModel], inputs: ScoreInputs, model: ValueModel
    ) -> None:
        self._scoring, self._inputs, self._model = scoring, inputs, model
        self._shelf = scoring.work.shelf(self.shards)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return len(self._inputs.buyers.shards)

    @cached_property
    def _purchases(self) -> PurchaseModel | None:
        """The purchase model of all buyers."""
        return self._model.purchase_model_of(self._inputs.buyers.columns(HISTORY))

    def measure(self, shard: int) -> None:
        """Leave the predictions of a shard."""
        # One thread in each library: fits of purchase models are small, and would wait for threads most of the time.
        with threadpool_limits(limits=1):
            measured = self._model.measured(self._inputs.buyers.shard(shard), self._purchases)
        self._shelf.put("measured", shard, measured)

    def combine(self, parts: Sequence[None]) -> Snapshot:
        """Forecast the level, and find the factor."""
        with threadpool_limits(limits=1):
            level = _level(self._scoring, self._model, self._inputs)
            unscaled, expected = (
                self._shelf.column("measured", name, self.shards) for name in (UNSCALED, EXPECTED)
            )
            return Snapshot(self._model.factor(unscaled, expected, self._purchases, level), level)

    def rows(self, whole: Snapshot, shard: int) -> tuple[pd.DataFrame, Scored]:
        """Return the rows of a shard."""
        measured = self._shelf.get("measured", shard)
        with threadpool_limits(limits=1):
            rows = self._model.valued(measured, whole.factor, whole.level)
        return self._scoring.stamped(rows), Scored.of(rows)

    def output(self, whole: Snapshot, rows: Rows, facts: Sequence[Scored]) -> TableOutput:
        """Return the rows with metadata."""
        level = whole.level or self._model.level
        return TableOutput(rows, _metadata(self._scoring, facts, level=round(level.revenue, 4)))


def _level(
    scoring: Scoring[Settings, ValueModel], model: ValueModel, inputs: ScoreInputs
) -> SnapshotLevel | None:
    """Return the level forecast for the snapshot. Return None if it is impossible; the test level is used then."""
    chosen: EvaluationSettings = scoring.settings.evaluation
    try:
        level, _ = snapshot_level(inputs.history, inputs.labels, scoring.work.day, model.cap, chosen)
    except EvaluationError:
        return None
    return level


@dataclass(frozen=True)
class WeeklyInputs:
    """Inputs of the weekly expectation: columns `HISTORY` of all buyers of a snapshot, and the value of each."""

    buyers: pd.DataFrame
    value: pd.DataFrame


def read_weekly(reading: Reading[None]) -> WeeklyInputs:
    """Read the customers of a snapshot and their scores."""
    return WeeklyInputs(
        read_history(reading.connection, reading.day), read_value(reading.connection, reading.day)
    )


def expect_weekly(work: Work[None], inputs: WeeklyInputs) -> TableOutput:
    """Spread the expected orders and revenue of all customers over the weeks of the horizon."""
    if inputs.value.empty:
        return TableOutput(pd.DataFrame(columns=work.columns))
    scored = inputs.value.iloc[0][["horizon_days", "model_name", "model_version"]]
    orders, revenue = inputs.value[["expected_orders", "expected_revenue"]].sum()
    if scored["model_name"] == BASELINE:
        weeks = baseline_weeks(int(scored["horizon_days"]), orders, revenue)
    else:
        model = REGISTERED.load(work.tracking, scored["model_version"])
        with threadpool_limits(limits=1):  # as for scores
            weeks = model.weekly(inputs.buyers, orders, revenue)
    return TableOutput(weeks.assign(**scored)[work.columns])
