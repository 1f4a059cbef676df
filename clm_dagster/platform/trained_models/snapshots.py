"""Snapshots of customers as trained models read them: which ones, and their rows.

Belongs here: what every room with a contest over core.customer_features reads. Does not: what is made of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Generic, TypeVar

import dagster as dg
import pandas as pd

from clm_dagster.platform.partitions import as_of_of_key, key_of_as_of
from clm_dagster.platform.python_tables.tables import Request
from clm_dagster.platform.trained_models.champions import has_model_at
from clm_dagster.platform.warehouse import Connection
from clm_dagster.statistics.evaluation import (
    ContestError,
    ContestPlan,
    GridSettings,
    contest_plan,
    level_snapshots,
)
from clm_dagster.statistics.evaluation.customers import MIN_CUSTOMERS


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
            f"fewer than {MIN_CUSTOMERS} customers have ordered before {before}; a contest needs {MIN_CUSTOMERS} "
            "to learn from: wait, or load the shop's earlier orders"
        )
    return found[0][0]


def weeks_to_mature(horizon_days: int) -> int:
    """Whole weeks until the label of a weekly snapshot is mature."""
    return -(-horizon_days // 7)


def judged_snapshot(as_of: date, horizon_days: int) -> date:
    """The newest weekly snapshot whose label is mature at `as_of`, which is one itself."""
    return as_of - timedelta(weeks=weeks_to_mature(horizon_days))


def read_snapshots(
    connection: Connection, request: Request, days: Sequence[date], where: str, most: int, columns: str = "*"
) -> pd.DataFrame:
    """Customers at several snapshots for whom `where` holds, rows of core.customer_features, in order.

    Of a shop with more than `most` customers, so many of them, the same at every snapshot. Raises dg.Failure that
    names the snapshots that are not there.
    """
    instants = [datetime.combine(day, time.min) for day in days]
    asked = "as_of in (select unnest(?::timestamp[]))"
    stored = {
        row[0]
        for row in connection.execute(
            f"select distinct as_of from core.customer_features where {asked}", [instants]
        )
    }
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
        where {asked} and {where}
            -- A share of all customers by a hash of their id: the same ones whatever the order of rows.
            and md5_number_lower(customer_id)::double / 18446744073709551616.0
                < ?::double / greatest((select customers from known), 1)
        order by as_of, customer_id
        """,
        [as_of_of_key(request.key), instants, most],
    )


def read_mature(
    connection: Connection, relation: str, columns: str, as_of: date, days: Sequence[date]
) -> pd.DataFrame:
    """Labels at these snapshots that were mature at `as_of`."""
    return connection.frame(
        f"select as_of, customer_id, horizon_days, {columns} from {relation} "
        "where as_of in (select unnest(?::timestamp[])) and matures_on <= ? order by as_of, customer_id",
        [[datetime.combine(day, time.min) for day in days], as_of],
    )


def level_days(connection: Connection, request: Request, settings: GridSettings) -> list[date]:
    """The snapshots that a score reads: its own, the last, and those that the level is forecast from.

    Only its own where there is no model yet, or are too few customers to forecast a level from, and so no model either.
    """
    as_of = as_of_of_key(request.key).date()
    if request.model_key is None:
        return [as_of]
    try:
        return list(level_snapshots(as_of, first_day(connection, as_of), settings))
    except ContestError:
        return [as_of]


S = TypeVar("S", bound=GridSettings)
R = TypeVar("R")


@dataclass(frozen=True)
class Material(Generic[S]):
    """What the training of one as_of reads for its contest.

    before: rows of the models trained before; has_model: whether one is stored for this very snapshot. problem:
    why no contest can be held, if so; then there is no plan, and there are no features or labels.
    """

    settings: S
    before: pd.DataFrame
    has_model: bool
    problem: str = ""
    plan: ContestPlan | None = None
    features: pd.DataFrame = field(default_factory=pd.DataFrame)
    labels: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_material(
    connection: Connection,
    request: Request,
    trained: pd.DataFrame,
    settings: S,
    where: str,
    most: int,
    read_labels: Callable[[Connection, date, Sequence[date]], pd.DataFrame],
) -> Material[S]:
    """Read the contest of one as_of. trained: rows of the room's own table of trainings up to it."""
    as_of = as_of_of_key(request.key)
    before, has_model = trained[trained["as_of"] < as_of], has_model_at(trained, as_of)
    try:
        first = first_day(connection, as_of.date())
        plan = contest_plan(judged_snapshot(as_of.date(), settings.horizon_days), first, settings)
    except ContestError as error:
        return Material(settings, before, has_model, str(error))
    features = read_snapshots(connection, request, plan.snapshots, where, most)
    labels = read_labels(connection, as_of.date(), plan.snapshots)
    return Material(settings, before, has_model, "", plan, features, labels)


def held(
    given: Material[S], hold: Callable[[pd.DataFrame, pd.DataFrame, ContestPlan, S], R]
) -> tuple[R | None, str]:
    """The contest's result, or why it could not be held."""
    if given.plan is None:
        return None, given.problem
    try:
        return hold(given.features, given.labels, given.plan, given.settings), ""
    except ContestError as error:
        return None, str(error)
