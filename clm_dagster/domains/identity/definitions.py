"""Dagster definitions of the identity domain.

Belongs here: the list of tables, metadata and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.identity.checks import hubs_check
from clm_dagster.domains.identity.facts import identity_facts, shared_facts
from clm_dagster.domains.identity.proposals import proposal_tables
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the proposals, and the metadata and the check of tables that SQL makes."""
    return Domain(
        name="identity",
        tables=proposal_tables(shop.project, shop.settings),
        facts={"core.customer_identities": identity_facts, "core.shared_identifiers": shared_facts},
        checks={"core.shared_identifiers": {"no_hubs": hubs_check}},
    )
