"""What Dagster sees of personas.

Belongs here: the list of what the domain offers. Does not: how any of it works.
"""

from clm_dagster.domains.personas.tables import persona_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """The trained groups, each customer's persona, and the profiles."""
    return Domain(
        name="personas",
        tables=persona_tables(shop.project),
    )
