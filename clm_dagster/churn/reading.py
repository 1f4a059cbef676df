"""What the steps of this room read from the warehouse.

Belongs here: SQL that fetches finished tables. Does not: what is made of them.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import dagster as dg
import pandas as pd

from clm_dagster.churn.features import MIN_CUSTOMERS
from clm_dagster.churn.plan import ContestSettings
from clm_dagster.contest import ContestError
from clm_dagster.partitions import as_of_of_key, key_of_as_of
from clm_dagster.settings import Settings
from clm_dagster.sql_models.frame_tables import Request
from clm_dagster.warehouse import Connection

MODEL = "models.churn_model"


def contest_settings(settings: Settings) -> ContestSettings:
    """What the user chose of the contest."""
    return ContestSettings(
        horizon_days=settings.churn_horizon_days,
        active_days=settings.churn_active_days,
        spacing_days=7 * settings.churn_spacing_weeks,
        snapshots=settings.churn_snapshots,
        leak_auc=settings.churn_leak_auc,
        calibration_limit=settings.churn_calibration_limit,
    )


def first_day(connection: Connection, before: date) -> date:
    """The day by which as many customers had ordered as a contest needs, so that a stray early order starts nothing.

    Raises ContestError where there are fewer.
    """
    found = connection.execute(
        "select min(activity_date) as first from core.customer_daily where orders > 0 and activity_date < ? "
        "group by customer_id order by first limit 1 offset ?",
        [before, MIN_CUSTOMERS - 1],
    )
    if not found:
        raise ContestError(
            f"fewer than {MIN_CUSTOMERS} customers have ordered before {before}; churn needs {MIN_CUSTOMERS} to "
            "learn from: wait, or load the shop's earlier orders"
        )
    return found[0][0]


def weeks_to_mature(horizon_days: int) -> int:
    """Whole weeks until the label of a weekly snapshot is mature."""
    return -(-horizon_days // 7)


def judged_snapshot(as_of: date, horizon_days: int) -> date:
    """The newest weekly snapshot whose label is mature at `as_of`, which is one itself."""
    return as_of - timedelta(weeks=weeks_to_mature(horizon_days))


def read_features(
    connection: Connection,
    request: Request,
    days: Sequence[date],
    active_days: int,
    most: int,
    columns: str = "*",
) -> pd.DataFrame:
    """Active customers at several snapshots, rows of core.customer_features.

    Of a shop with more than `most` customers, so many of them, the same at every snapshot. Raises dg.Failure that
    names the snapshots that are not there.
    """
    instants = [datetime.combine(day, time.min) for day in days]
    stored = {row[0] for row in connection.execute("select distinct as_of from core.customer_features")}
    lacking = [key_of_as_of(day) for day in instants if day not in stored]
    if lacking:
        raise dg.Failure(
            f"{request.key}: core.customer_features lacks {len(lacking)} of the {len(instants)} snapshots that are "
            f"read, from {lacking[0]} to {lacking[-1]}; materialize core/customer_features for them, or `clm run`"
        )
    return connection.frame(
        f"""
        with known as (
            select count(distinct customer_id) as customers from core.customer_daily
            where orders > 0 and activity_date < ?
        )
        select {columns} from core.customer_features
        where as_of in (select unnest(?::timestamp[])) and recency_days <= ?
            -- A share of all customers by a hash of their id: the same ones whatever the order of rows.
            and md5_number_lower(customer_id)::double / 18446744073709551616.0
                < ?::double / greatest((select customers from known), 1)
        order by as_of, customer_id
        """,
        [as_of_of_key(request.key), instants, active_days, most],
    )


def read_labels(connection: Connection, as_of: date, days: Sequence[date]) -> pd.DataFrame:
    """Labels at these snapshots that were mature at `as_of`."""
    return connection.frame(
        "select as_of, customer_id, horizon_days, churned from core.churn_labels "
        "where as_of in (select unnest(?::timestamp[])) and matures_on <= ? order by as_of, customer_id",
        [[datetime.combine(day, time.min) for day in days], as_of],
    )


def read_people(connection: Connection) -> pd.DataFrame:
    """What groups a customer belongs to, where the shop says so: gender, birth_year, acquisition_channel."""
    return connection.frame(
        "select customer_id, gender, birth_year, acquisition_channel from staging.stg_customers order by customer_id"
    )


def read_models(connection: Connection, as_of: date) -> pd.DataFrame:
    """Rows of models.churn_model trained at or before an as_of, the oldest first; none where nothing is."""
    if connection.relation_kind(MODEL) is None:
        return pd.DataFrame(columns=["as_of", "model_version", "accepted", "suspected_leak", "horizon_days"])
    return connection.frame(f"select * from {MODEL} where as_of <= ? order by as_of", [as_of])


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
