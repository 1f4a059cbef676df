"""Check of shared ids: hubs, which join nobody.

Belongs here: the check. Does not: the rule that makes an id a hub (SQL: core.shared_identifiers).
"""

from clm_dagster.platform.assets.model_assets import Finding
from clm_dagster.platform.warehouse import Connection


def hubs_check(connection: Connection) -> Finding:
    """No id of the newest snapshot is shared by more customers than CLM_IDENTITY_HUB. Such an id joins nobody."""
    rows = connection.execute("""
        select kind, count(distinct other_id), max(customers) from core.shared_identifiers
        where blocked_by = 'hub' and as_of = (select max(as_of) from core.shared_identifiers)
        group by kind order by kind
    """)
    return Finding(
        [
            f"{ids:,} ids of kind {kind} are hubs, the largest of {most:,} customers, and join nobody; look at them in "
            "core.shared_identifiers (blocked_by = 'hub'): a placeholder or a shop's own device must not be delivered"
            for kind, ids, most in rows
        ]
    )
