"""What the steps of this room read from the warehouse, beside snapshots of customers.

Belongs here: SQL that fetches finished tables, settings in the contest's own words. Does not: what is made of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from clm_dagster.domains.churn.plan import EvaluationSettings
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.trained_models.snapshots import (
    SnapshotInputs,
    SnapshotSettings,
    read_evaluation,
    read_mature,
)
from clm_dagster.platform.warehouse import Connection

Settings = SnapshotSettings[EvaluationSettings]
MODEL, SCORES, DRIFT = "models.churn_model", "marts.churn_scores", "marts.feature_drift"
VALUE = "marts.customer_value"


@dataclass(frozen=True)
class TrainingInputs:
    """What a training reads.

    snapshots: of its evaluation. suggestion: the horizon in days that the shop's own gaps suggest, 0 for none, and
    why. people: what groups customers belong to.
    """

    snapshots: SnapshotInputs
    suggestion: tuple[int, str]
    people: pd.DataFrame
    settings: EvaluationSettings


def read_training(reading: Reading[Settings]) -> TrainingInputs:
    """Read what a training learns from."""
    chosen = reading.settings.evaluation
    return TrainingInputs(
        snapshots=read_evaluation(reading, active(chosen), read_labels),
        suggestion=suggested_horizon(reading.connection, reading.as_of),
        people=read_people(reading.connection),
        settings=chosen,
    )


def active(chosen: EvaluationSettings) -> str:
    """Who is asked about, as a condition on core.customer_features."""
    return f"recency_days <= {int(chosen.active_days)}"


def read_labels(connection: Connection, as_of: date, days: Sequence[date]) -> pd.DataFrame:
    """Labels at these snapshots that were mature at `as_of`."""
    return read_mature(connection, "core.churn_labels", "churned", as_of, days)


def read_people(connection: Connection) -> pd.DataFrame:
    """What groups a customer belongs to, where the shop says so: gender, birth_year, acquisition_channel."""
    return connection.frame(
        "select customer_id, gender, birth_year, acquisition_channel from staging.stg_customers order by customer_id"
    )


def read_bands(connection: Connection) -> pd.DataFrame:
    """Return the risk bands with the probability each begins at, in order."""
    return connection.frame("select risk_band, from_probability from staging.risk_bands order by 2")


def read_earlier_drift(connection: Connection, as_of: date) -> pd.DataFrame:
    """Return as_of, feature, population_stability of the snapshots before; no columns where there is none."""
    if connection.relation_kind(DRIFT) is None:
        return pd.DataFrame()
    return connection.frame(
        f"select as_of, feature, population_stability from {DRIFT} where as_of < ? order by all", [as_of]
    )


def read_margins(connection: Connection, as_of: date, otherwise: float) -> pd.DataFrame:
    """The margin expected of each customer within the value model's horizon: customer_id, expected_margin, in money.

    The share of margin is that of the shop's last 365 days where at least half of their revenue is of products whose
    unit_cost is known, else `otherwise`. No rows before the first model of customer value.
    """
    return connection.frame(
        """
        with sold as (
            select sum(daily.net_revenue) as revenue,
                sum(daily.net_revenue) filter (where products.unit_cost is not null) as known_revenue,
                sum((daily.units - daily.returned_units) * products.unit_cost) as cost
            from core.product_daily as daily
            left join staging.stg_products as products on daily.product_id = products.product_id
            where daily.sales_date >= ?::date - 365 and daily.sales_date < ?
        ),
        shop as (
            select case when known_revenue > 0 and known_revenue >= revenue / 2
                then greatest(1 - cost::double / known_revenue, 0) else ?::double end as margin
            from sold
        )
        select value.customer_id, value.expected_revenue * shop.margin as expected_margin
        from marts.customer_value as value cross join shop
        where value.as_of = ?
        """,
        [as_of, as_of, otherwise, as_of],
    )


def suggested_horizon(connection: Connection, as_of: datetime) -> tuple[int, str]:
    """A horizon from the shop's own gaps, and a sentence that says where it comes from."""
    found = connection.execute(
        "select active_days, active_quantile, basis from core.lifecycle_cutoffs where as_of = ?", [as_of]
    )
    if not found or found[0][2] != "own gaps":
        return 0, "The shop is too young to suggest a horizon from its own gaps between orders."
    days, quantile, _ = found[0]
    return int(days), (
        f"Of the customers who come back within a year, {quantile:.0%} do so within {days} days: a horizon of about "
        f"{days} days asks whether one who is due will come (core.repurchase_survival)."
    )
