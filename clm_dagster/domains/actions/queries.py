"""Queries of the actions domain, at one as_of.

Belongs here: SQL that reads profiles, past contacts and lists of products. Does not: computations on them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from clm_dagster.domains.actions.names import CUSTOM_SEGMENTS, NEXT_BEST_ACTIONS, NOTHING, PLAYBOOK
from clm_dagster.domains.actions.playbook import CUSTOM, Play, read_playbook
from clm_dagster.domains.actions.uplift.names import SCORES as UPLIFT_SCORES
from clm_dagster.platform.dbt_project.building import literal
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.partition import Reading
from clm_dagster.platform.python_tables.shards import CustomerRows, Shards
from clm_dagster.platform.warehouse import Connection

MAX_PRODUCTS = 3


def read_playbook_of(project: Project) -> list[Play]:
    """Return the lines of the shop's playbook. Raise PlaybookError."""
    return read_playbook(project.seeds[PLAYBOOK].path.read_text())


def contactable(current: str, assume_consent: bool) -> str:
    """Return the query of the ids of customers who may be contacted."""
    return f"select customer_id from {current} where coalesce(consents, {str(assume_consent).lower()})"


def read_contactable(
    reading: Reading[Any], shards: Shards, current: str, assume_consent: bool
) -> CustomerRows:
    """Return the customers who may be contacted, by id, with what a decision about them reads.

    Columns: customer_id, stage, segment, risk_band, recency_days, order_probability, order_value (mean of the shop
    where the customer has no order; null in a shop without orders).
    """
    return reading.rows(
        "customers",
        shards,
        f"""
        select customer_id, stage, segment, risk_band, recency_days,
            1 - coalesce(churn_probability, probability_of_no_order) as order_probability,
            coalesce(
                average_order_value::double,
                (select sum(average_order_value::double * orders) / sum(orders) from {current})
            ) as order_value
        from {current}
        where coalesce(consents, {str(assume_consent).lower()})
        order by customer_id
        """,
    )


def read_pairs(
    reading: Reading[Any], shards: Shards, current: str, plays: Sequence[Play], assume_consent: bool
) -> CustomerRows:
    """Return which customers meet which line: customer_id, place of the line in `plays`; ordered by both."""
    parts = [
        f"select customer_id, {place} as place from {current} "
        f"where coalesce(consents, {str(assume_consent).lower()}) and {_condition(play, reading.as_of)}"
        for place, play in enumerate(plays)
    ]
    query = " union all ".join(parts) or "select null::varchar as customer_id, null::int as place where false"
    return reading.rows("pairs", shards, f"select * from ({query}) order by customer_id, place")


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


def read_contacts(reading: Reading[Any], shards: Shards, control_arms: Sequence[str]) -> CustomerRows:
    """Return the last contacts before as_of: customer_id, play (null for a contact that no plan of ours made), days.

    days: from the last contact to as_of. Contacts are those that the shop delivered (raw.touches, without control
    arms), and those of earlier plans. Who was held out of an earlier plan counts as contacted by it, so that both arms
    of an experiment are planned for alike. Customers are the persons of the snapshot.
    """
    connection, as_of = reading.connection, reading.as_of
    arms = ", ".join(literal(arm) for arm in control_arms) or "null"
    connection.ensure_columns(NEXT_BEST_ACTIONS, {"as_of": "TIMESTAMP", "customer_id": "VARCHAR"})
    planned = ""
    if "play" in connection.columns(f"select * from {NEXT_BEST_ACTIONS}"):
        planned = (
            f"union all select customer_id, play, as_of as contacted_at from {NEXT_BEST_ACTIONS} "
            f"where as_of < timestamp '{as_of}' and action <> '{NOTHING}'"
        )
    return reading.rows(
        "contacts",
        shards,
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
        """,
    )


def read_products_to_show(reading: Reading[Any], shards: Shards) -> CustomerRows:
    """Return the first products of each list: customer_id, list, products."""
    return reading.rows(
        "products",
        shards,
        """
        select customer_id, list, list(product_id order by rank) as products
        from marts.recommendations where as_of = ? and rank <= ?
        group by customer_id, list order by customer_id, list
        """,
        [reading.as_of, MAX_PRODUCTS],
    )


def read_margin_rate(connection: Connection, as_of: datetime) -> float:
    """Return the shop's margin as a share of net revenue."""
    return float(connection.scalar("select margin_rate from core.margin_rates where as_of = ?", [as_of]))


def read_uplift(reading: Reading[Any], shards: Shards, arms: Sequence[str]) -> CustomerRows:
    """Return the effects of these arms that passed their gate: customer_id, arm, effect."""
    query = "select null::varchar as customer_id, null::varchar as arm, null::double as effect where false"
    if reading.connection.relation_kind(UPLIFT_SCORES) is not None and arms:
        listed = ", ".join(literal(arm) for arm in arms)
        query = (
            f"select customer_id, arm, effect from {UPLIFT_SCORES} where as_of = timestamp '{reading.as_of}' "
            f"and is_proven and arm in ({listed}) order by customer_id, arm"
        )
    return reading.rows("uplift", shards, query)


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
