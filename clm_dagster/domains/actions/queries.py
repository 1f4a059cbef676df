"""Queries of the actions domain, at one as_of.

Belongs here: SQL that reads profiles, past contacts and lists of products. Does not: computations on them.
"""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from clm_dagster.domains.actions.names import CUSTOM_SEGMENTS, NEXT_BEST_ACTIONS, NOTHING, PLAYBOOK
from clm_dagster.domains.actions.playbook import CUSTOM, Play, read_playbook
from clm_dagster.domains.actions.uplift.names import SCORES as UPLIFT_SCORES
from clm_dagster.platform.dbt_project.building import literal
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

MAX_PRODUCTS = 3


def read_playbook_of(project: Project) -> list[Play]:
    """Return the lines of the shop's playbook. Raise PlaybookError."""
    return read_playbook(project.seeds[PLAYBOOK].path.read_text())


def read_contactable(connection: Connection, current: str, assume_consent: bool) -> pd.DataFrame:
    """Return the customers who may be contacted, by id, with what a decision about them reads.

    Columns: customer_id, stage, segment, risk_band, recency_days, order_probability, order_value (mean of the shop
    where the customer has no order; null in a shop without orders).
    """
    return connection.frame(
        f"""
        select customer_id, stage, segment, risk_band, recency_days,
            1 - coalesce(churn_probability, probability_of_no_order) as order_probability,
            coalesce(
                average_order_value::double,
                (select sum(average_order_value::double * orders) / sum(orders) from {current})
            ) as order_value
        from {current}
        where coalesce(consents, ?)
        order by customer_id
        """,
        [assume_consent],
    )


def read_pairs(
    connection: Connection, current: str, plays: Sequence[Play], assume_consent: bool, as_of: datetime
) -> pd.DataFrame:
    """Return which customers meet which line: customer_id, place of the line in `plays`; ordered by both."""
    parts = [
        f"select customer_id, {place} as place from {current} "
        f"where coalesce(consents, {str(assume_consent).lower()}) and {_condition(play, as_of)}"
        for place, play in enumerate(plays)
    ]
    query = " union all ".join(parts) or "select null::varchar as customer_id, null::int as place where false"
    return connection.frame(f"select * from ({query}) order by customer_id, place")


def _condition(play: Play, as_of: datetime) -> str:
    """Return who meets a line as SQL. An empty cell means any."""
    parts = ["true"]
    for name, values in play.conditions.items():
        listed = ", ".join(literal(value) for value in values)
        if name == CUSTOM:
            parts.append(
                f"customer_id in (select customer_id from {CUSTOM_SEGMENTS} "
                f"where as_of = timestamp '{as_of}' and segment in ({listed}))"
            )
        else:
            parts.append(f"{name}::varchar in ({listed})")
    return " and ".join(parts)


def read_contacts(connection: Connection, as_of: datetime, control_arms: Sequence[str]) -> pd.DataFrame:
    """Return the last contacts before as_of: customer_id, play (null for a contact that no plan of ours made), days.

    days: from the last contact to as_of. Contacts are those that the shop delivered (raw.touches, without control
    arms), and those of earlier plans. Who was held out of an earlier plan counts as contacted by it, so that both arms
    of an experiment are planned for alike. Customers are the persons of the snapshot.
    """
    arms = ", ".join(literal(arm) for arm in control_arms) or "null"
    connection.ensure_columns(NEXT_BEST_ACTIONS, {"as_of": "TIMESTAMP", "customer_id": "VARCHAR"})
    planned = ""
    if "play" in connection.columns(f"select * from {NEXT_BEST_ACTIONS}"):
        planned = (
            f"union all select customer_id, play, as_of as contacted_at from {NEXT_BEST_ACTIONS} "
            f"where as_of < timestamp '{as_of}' and action <> '{NOTHING}'"
        )
    return connection.frame(
        f"""
        with contacts as (
            select coalesce(persons.person_id, touches.customer_id) as customer_id, null::varchar as play,
                touches.sent_at as contacted_at
            from staging.stg_touches as touches
            left join core.customer_identities as persons
                on persons.as_of = timestamp '{as_of}' and touches.customer_id = persons.customer_id
            where touches.sent_at < timestamp '{as_of}' and coalesce(touches.arm, '') not in ({arms})
            {planned}
        )
        select customer_id, play, date_diff('day', max(contacted_at)::date, date '{as_of.date()}') as days
        from contacts group by customer_id, play order by customer_id, play
        """
    )


def read_products_to_show(connection: Connection, as_of: datetime) -> pd.DataFrame:
    """Return the first products of each list: customer_id, list, products."""
    return connection.frame(
        """
        select customer_id, list, list(product_id order by rank) as products
        from marts.recommendations where as_of = ? and rank <= ?
        group by customer_id, list order by customer_id, list
        """,
        [as_of, MAX_PRODUCTS],
    )


def read_margin_rate(connection: Connection, as_of: datetime) -> float:
    """Return the shop's margin as a share of net revenue."""
    return float(connection.scalar("select margin_rate from core.margin_rates where as_of = ?", [as_of]))


def read_uplift(connection: Connection, as_of: datetime, arms: Sequence[str]) -> pd.DataFrame:
    """Return the effects of these arms that passed their gate: customer_id, arm, effect."""
    if connection.relation_kind(UPLIFT_SCORES) is None:
        return pd.DataFrame(columns=["customer_id", "arm", "effect"])
    return connection.frame(
        f"select customer_id, arm, effect from {UPLIFT_SCORES} "
        "where as_of = ? and is_proven and arm in (select unnest(?::varchar[])) order by arm, customer_id",
        [as_of, list(arms)],
    )


def read_served(connection: Connection, as_of: datetime) -> dict[str, str]:
    """Return what scored the snapshot: table -> name and version of the model, for receipts.

    The uplift model is named only where an effect of it is proven.
    """
    found = {}
    conditions = dict.fromkeys(("churn_scores", "customer_value", "personas"), "true")
    if connection.relation_kind(UPLIFT_SCORES) is not None:
        conditions[UPLIFT_SCORES.rpartition(".")[2]] = "is_proven"
    for table, condition in conditions.items():
        rows = connection.execute(
            f"select distinct model_name || ' ' || model_version from marts.{table} "
            f"where as_of = ? and {condition} order by 1",
            [as_of],
        )
        if rows:
            found[table] = ", ".join(name for (name,) in rows)
    return found
