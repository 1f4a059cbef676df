"""Metadata of identities: how many customers are joined, by which ids, and which ids join nobody.

Belongs here: counts in asset metadata, never an id. Does not: the rules (SQL: core.shared_identifiers).
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.warehouse import Connection


def identity_facts(connection: Connection) -> Mapping[str, Any]:
    """Return the counts of the newest snapshot with joined customers; nothing without one."""
    rows = connection.execute("""
        select max(as_of), count(*), count(distinct person_id) from core.customer_identities
        where as_of = (select max(as_of) from core.customer_identities)
    """)
    as_of, customers, persons = rows[0]
    if not customers:
        return {}
    return {"newest_as_of": str(as_of), "joined_customers": customers, "persons": persons}


def shared_facts(connection: Connection) -> Mapping[str, Any]:
    """Return the shared ids of the newest snapshot by kind, joining and blocked; nothing without one."""
    rows = connection.execute("""
        select kind, coalesce(blocked_by, 'joins'), count(distinct other_id), count(distinct customer_id),
            max(customers)
        from core.shared_identifiers where as_of = (select max(as_of) from core.shared_identifiers)
        group by all order by all
    """)
    if not rows:
        return {}
    columns = ("kind", "effect", "ids", "customers", "most customers of one id")
    return {
        "hubs": sum(ids for _, effect, ids, _, _ in rows if effect == "hub"),
        "shared_ids": dg.MetadataValue.md(markdown_table(columns, rows)),
    }
