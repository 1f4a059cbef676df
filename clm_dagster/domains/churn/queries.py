"""Queries of the churn steps, apart from customer snapshots.

Belongs here: SQL that reads finished tables. Does not belong here: computation on the results.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from clm_dagster.domains.churn.names import DRIFT, SCORES
from clm_dagster.domains.churn.table_settings import EvaluationSettings, Settings
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.python_tables.shards import CustomerRows
from clm_dagster.platform.trained_models.snapshots import (
    SnapshotInputs,
    read_evaluation,
    read_mature,
)
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class TrainingInputs:
    """Inputs of a training.

    snapshots: of its evaluation. suggestion: the horizon in days that the shop's order gaps suggest, 0 for none, and
    the reason. people: the groups that customers belong to.
    """

    snapshots: SnapshotInputs
    suggestion: tuple[int, str]
    people: pd.DataFrame
    settings: EvaluationSettings


def read_training(reading: Reading[Settings]) -> TrainingInputs:
    """Read the inputs of a training."""
    chosen = reading.settings.evaluation
    return TrainingInputs(
        snapshots=read_evaluation(reading, eligible_customers(chosen), read_labels),
        suggestion=suggested_horizon(reading.connection, reading.as_of),
        people=read_people(reading.connection),
        settings=chosen,
    )


def eligible_customers(chosen: EvaluationSettings) -> str:
    """Return the SQL predicate for eligible customers, on core.customer_features."""
    return f"recency_days <= {int(chosen.active_days)}"


def read_labels(connection: Connection, as_of: date, days: Sequence[date]) -> pd.DataFrame:
    """Return the labels at these snapshots that were mature at `as_of`."""
    return read_mature(connection, "core.churn_labels", "churned", as_of, days)


def read_people(connection: Connection) -> pd.DataFrame:
    """Return the known attributes of each customer: gender, birth_year, acquisition_channel."""
    return connection.frame(
        "select customer_id, gender, birth_year, acquisition_channel from staging.stg_customers order by customer_id"
    )


def read_bands(connection: Connection) -> pd.DataFrame:
    """Return the risk bands with the lowest probability of each, in ascending order."""
    return connection.frame("select risk_band, from_probability from staging.risk_bands order by 2")


def read_earlier_drift(connection: Connection, as_of: date) -> pd.DataFrame:
    """Return as_of, feature, topic, score_effect and score_effect_at_test of earlier snapshots.

    An empty frame before the first. Rows of versions of this package that measured no effect on scores are left out.
    """
    if connection.relation_kind(DRIFT) is None or "score_effect" not in connection.columns(
        f"select * from {DRIFT}"
    ):
        return pd.DataFrame()
    return connection.frame(
        "select as_of, feature, topic, score_effect, score_effect_at_test "
        f"from {DRIFT} where as_of < ? and score_effect is not null order by all",
        [as_of],
    )


def read_active(reading: Reading[Any], eligible: str) -> CustomerRows:
    """Return the customers to score, rows of core.customer_features, by shard.

    Also expected_margin within the value model's horizon, in money: null before the first model of customer value.
    """
    known = f"select * from core.customer_features where as_of = timestamp '{reading.as_of}' and {eligible}"
    query = f"""
        with margins as (
            select value.customer_id, value.expected_revenue * rates.margin_rate as expected_margin
            from marts.customer_value as value
            inner join core.margin_rates as rates on value.as_of = rates.as_of
            where value.as_of = timestamp '{reading.as_of}'
        )
        select customers.*, margins.expected_margin
        from ({known}) as customers left join margins on customers.customer_id = margins.customer_id
        order by customers.customer_id
    """
    return reading.rows("customers", reading.shards(known), query)


def suggested_horizon(connection: Connection, as_of: datetime) -> tuple[int, str]:
    """Return the horizon that the shop's order gaps suggest, 0 for none, and a sentence with the reason."""
    found = connection.execute(
        "select active_days, active_quantile, basis from core.lifecycle_cutoffs where as_of = ?", [as_of]
    )
    if not found or found[0][2] != "own gaps":
        return 0, "The shop is too young to suggest a horizon from the gaps between its orders."
    days, quantile, _ = found[0]
    return int(days), (
        f"Of the customers who order again within a year, {quantile:.0%} do so within {days} days "
        f"(core.repurchase_survival). Consider a horizon of about {days} days."
    )


def read_previous_top(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the top decile of the previous scored snapshot: as_of, customer_id, is_active.

    is_active: whether the customer had an event between the two snapshots; the ids of a person count for the person.
    The frame is empty at the first scored snapshot.
    """
    if connection.relation_kind(SCORES) is None:
        return pd.DataFrame(columns=["as_of", "customer_id", "is_active"])
    return connection.frame(
        f"""
        with ranked as (
            select as_of, customer_id, count(*) over () as customers,
                row_number() over (order by churn_probability desc, customer_id) as place
            from {SCORES} where as_of = (select max(as_of) from {SCORES} where as_of < $as_of)
        ),
        active as (
            select coalesce(identities.person_id, daily.customer_id) as customer_id
            from core.customer_daily as daily
            left join core.customer_identities as identities
                on identities.as_of = $as_of and identities.customer_id = daily.customer_id
            where daily.activity_date >= (select max(as_of) from ranked) and daily.activity_date < $as_of
        )
        select as_of, customer_id, customer_id in (select customer_id from active) as is_active
        from ranked where place <= greatest(customers // 10, 1) order by place
        """,
        {"as_of": as_of},
    )
