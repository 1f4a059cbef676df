"""Customer snapshots as inputs of trained models: which snapshots to read, and their rows.

Belongs here: reading core.customer_features for evaluations and scores of any domain. Does not: using the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Generic, TypeVar

import dagster as dg
import pandas as pd

from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.samples import (
    ALL_CUSTOMERS,
    TRAIN_CUSTOMERS,
    TrainingSample,
    place_sql,
    share_of,
)
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation import (
    EvaluationError,
    EvaluationPlan,
    GridSettings,
    TimeSplit,
    evaluation_plan,
    level_snapshots,
)
from clm_dagster.statistics.evaluation.customers import MIN_CUSTOMERS


def first_day(connection: Connection, before: date) -> date:
    """Return the day by which enough customers for an evaluation had ordered. A few stray early orders do not count.

    Raise EvaluationError if there are too few customers.
    """
    found = connection.execute(
        "select min(activity_date) as first from core.customer_daily where orders > 0 and activity_date < ? "
        "group by customer_id order by first limit 1 offset ?",
        [before, MIN_CUSTOMERS - 1],
    )
    if not found:
        count = connection.scalar(
            "select count(distinct customer_id) from core.customer_daily where orders > 0 and activity_date < ?",
            [before],
        )
        customers = "1 customer" if count == 1 else f"{count} customers"
        raise EvaluationError(
            f"{customers} ordered before {before}; an evaluation needs {MIN_CUSTOMERS}: wait, or "
            "load the shop's earlier orders"
        )
    first: date = found[0][0]
    return first


def weeks_to_mature(horizon_days: int) -> int:
    """Return the number of weeks until the label of a weekly snapshot is mature."""
    return -(-horizon_days // 7)


def newest_mature_snapshot(as_of: date, horizon_days: int) -> date:
    """Return the newest weekly snapshot whose label is mature at the snapshot `as_of`."""
    return as_of - timedelta(weeks=weeks_to_mature(horizon_days))


def read_sample(reading: Reading[Any], most: int, setting: str) -> TrainingSample:
    """Return which customers with an order before as_of a model may read.

    most: maximum number of customers, of the setting of this name; a larger shop is sampled.
    """
    known = reading.connection.scalar(
        "select count(distinct customer_id) from core.customer_daily where orders > 0 and activity_date < ?",
        [reading.as_of],
    )
    share = share_of(most, known)
    used = known
    if share < 1:
        used = reading.connection.scalar(
            "select count(distinct customer_id) from core.customer_daily where orders > 0 and activity_date < ? "
            f"and {place_sql('customer_id')} < ?",
            [reading.as_of, share],
        )
    return TrainingSample("customers", known, used, share, setting)


def read_snapshots(
    reading: Reading[Any], days: Sequence[date], where: str, share: float, columns: str = "*"
) -> pd.DataFrame:
    """Return rows of core.customer_features at several snapshots that match `where`, in order.

    share: of the customers, below 1 for a sample (`read_sample`), with the same customers at every snapshot. Raise
    dg.Failure with the keys of missing snapshots.
    """
    instants = check_stored(reading, days)
    asked = "as_of in (select unnest(?::timestamp[]))"
    return reading.connection.frame(
        f"select {columns} from core.customer_features where {asked} and {where} and {place_sql('customer_id')} < ? "
        "order by as_of, customer_id",
        [instants, share],
    )


def check_stored(reading: Reading[Any], days: Sequence[date]) -> list[datetime]:
    """Return snapshots as instants. Raise dg.Failure with the keys of those that core.customer_features lacks."""
    instants = [datetime.combine(day, time.min) for day in days]
    asked = "as_of in (select unnest(?::timestamp[]))"
    stored = {
        row[0]
        for row in reading.connection.execute(
            f"select distinct as_of from core.customer_features where {asked}", [instants]
        )
    }
    # A snapshot before the first known customer is built, and empty.
    first = reading.connection.scalar("select min(activity_date) from core.customer_daily")
    known = [day for day in instants if first is not None and first < day.date()]
    lacking = [key_of_as_of(day) for day in known if day not in stored]
    if lacking:
        raise dg.Failure(
            f"{reading.partition.label}: core.customer_features lacks {len(lacking)} of the {len(instants)} snapshots "
            f"that are needed, from {lacking[0]} to {lacking[-1]}; materialize core/customer_features for them, or "
            "run `clm run`"
        )
    return instants


def read_mature(
    connection: Connection, relation: str, columns: str, as_of: date, days: Sequence[date], share: float = 1.0
) -> pd.DataFrame:
    """Return the labels at these snapshots that were mature at `as_of`. share: of the customers, as of features."""
    return connection.frame(
        f"select as_of, customer_id, horizon_days, {columns} from {relation} "
        f"where as_of in (select unnest(?::timestamp[])) and matures_on <= ? and {place_sql('customer_id')} < ? "
        "order by as_of, customer_id",
        [[datetime.combine(day, time.min) for day in days], as_of, share],
    )


def level_days(reading: Reading[Any], settings: GridSettings) -> list[date]:
    """Return the snapshots that a score reads: those from which the base rate is forecast, and last its own.

    Return only its own if there is no model yet, or too few customers to forecast a base rate, which also means no
    model.
    """
    day = reading.day
    if reading.partition.model_as_of is None:
        return [day]
    try:
        return list(level_snapshots(day, first_day(reading.connection, day), settings))
    except EvaluationError:
        return [day]


Grid = TypeVar("Grid", bound=GridSettings)


@dataclass(frozen=True)
class SnapshotSettings(Generic[Grid]):
    """Settings of an evaluation over snapshots.

    customers: maximum number of customers to read. setting: the variable that sets it.
    """

    evaluation: Grid
    customers: int
    setting: str = TRAIN_CUSTOMERS

    @property
    def weeks_back(self) -> tuple[int, ...]:
        """Earlier snapshots that a score reads, in weeks back: those from which its base rate is forecast."""
        grid = self.evaluation
        return tuple(grid.spacing_days // 7 * step for step in range(1, grid.steps_back + 1))

    @property
    def training_weeks_back(self) -> tuple[int, ...]:
        """Earlier snapshots that a training reads, in weeks back: the test snapshot, and those before it."""
        test = weeks_to_mature(self.evaluation.horizon_days)
        return (test, *(test + weeks for weeks in self.weeks_back))


def split_columns(split: TimeSplit) -> dict[str, object]:
    """Return the columns of a table of trainings that name the training and test snapshots."""
    return {
        "trained_as_of": split.training[-1],
        "tested_as_of": split.test,
        "training_snapshots": len(split.training),
    }


@dataclass(frozen=True)
class SnapshotInputs:
    """Inputs of an evaluation over customer snapshots: its plan, features at its snapshots, mature labels.

    sample: which customers they are.
    """

    plan: EvaluationPlan
    features: pd.DataFrame
    labels: pd.DataFrame
    sample: TrainingSample = ALL_CUSTOMERS

    @property
    def test_features(self) -> pd.DataFrame:
        """The features at the test snapshot."""
        days = pd.to_datetime(self.features["as_of"]).dt.date
        return self.features[days == self.plan.split.test]


def read_evaluation(
    reading: Reading[SnapshotSettings[Any]],
    where: str,
    read_labels: Callable[[Connection, date, Sequence[date], float], pd.DataFrame],
) -> SnapshotInputs:
    """Read the inputs of the evaluation of one as_of. Raise EvaluationError if the history is too short."""
    grid: GridSettings = reading.settings.evaluation
    first = first_day(reading.connection, reading.day)
    plan = evaluation_plan(newest_mature_snapshot(reading.day, grid.horizon_days), first, grid)
    sample = read_sample(reading, reading.settings.customers, reading.settings.setting)
    features = read_snapshots(reading, plan.snapshots, where, sample.share)
    labels = read_labels(reading.connection, reading.day, plan.snapshots, sample.share)
    return SnapshotInputs(plan, features, labels, sample)
