"""Dagster definitions of the personas domain.

Belongs here: the list of tables. Does not belong here: their implementation.
"""

from clm_dagster.domains.personas.tables import persona_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the tables: the trained model, each customer's persona, and the profiles."""
    return Domain(
        name="personas",
        tables=persona_tables(shop.project, shop.settings),
    )
