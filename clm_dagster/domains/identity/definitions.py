"""Dagster definitions of the identity domain.

Belongs here: the list of metadata and checks. Does not belong here: their implementation.
"""

from clm_dagster.domains.identity.checks import hubs_check
from clm_dagster.domains.identity.facts import identity_facts, shared_facts
from clm_dagster.platform.domain import Domain, Shop


def build(shop: Shop) -> Domain:
    """Return the metadata and the check of tables that SQL makes."""
    return Domain(
        name="identity",
        facts={"core.customer_identities": identity_facts, "core.shared_identifiers": shared_facts},
        checks={"core.shared_identifiers": {"no_hubs": hubs_check}},
    )
