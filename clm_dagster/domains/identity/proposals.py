"""Proposals of customers that may be one person: the rows of `core.identity_proposals`.

Belongs here: reading the records of a snapshot, and its table. Does not: the model (`linkage`), joining customers (SQL:
core.customer_identities). Nothing that joins customers reads this table.
"""

from dataclasses import dataclass

import pandas as pd

from clm_dagster.domains.identity.linkage import ID, TooFewPairsError, linkage_version, match_pairs
from clm_dagster.domains.identity.settings import IdentitySettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.output import TableOutput
from clm_dagster.platform.python_tables.partition import Reading, Work
from clm_dagster.platform.python_tables.tables import AnyTable, PythonTable
from clm_dagster.settings import Settings

PROPOSALS, NAME = "core.identity_proposals", "fellegi_sunter"
_READS = ("stg_customers", "stg_identities", "customer_identities")
# A device, address or number of more customers than the hub setting says nothing about a pair.
_NEVER_SHARED_BY_MANY = ("device_id", "phone_hash", "address_hash")


@dataclass(frozen=True)
class ProposalSettings:
    """The settings that determine the proposals."""

    hub: int
    probability: float


@dataclass(frozen=True)
class Records:
    """One row per account that exists at as_of, and the person of each joined one (columns customer_id, person_id)."""

    accounts: pd.DataFrame
    persons: pd.DataFrame


def proposal_tables(project: Project, settings: Settings) -> list[AnyTable]:
    """Return the table of proposals, if the setting is on."""
    own = settings.of(IdentitySettings)
    if not own.proposals:
        return []
    chosen = ProposalSettings(own.hub, own.proposal_probability)
    return [PythonTable.of(project, PROPOSALS, _READS, read_records, propose, chosen)]


def read_records(reading: Reading[ProposalSettings]) -> Records:
    """Read accounts, their newest hints, and persons."""
    accounts = reading.connection.frame(
        """
        with hints as (
            select customer_id, kind, arg_max(other_id, (known_since, other_id)) as other_id from (
                select * from staging.stg_identities
                where known_since < $as_of and kind in ('name_hash', 'address_hash')
                qualify row_number() over (partition by customer_id, kind, other_id order by known_since desc) = 1
            ) where not is_deleted group by customer_id, kind
        )
        select customers.customer_id, names.other_id as name_hash, addresses.other_id as address_hash,
            customers.device_id, customers.phone_hash, cast(customers.birth_year as varchar) as birth_year,
            lower(customers.gender) as gender, customers.country
        from staging.stg_customers as customers
        left join hints as names on customers.customer_id = names.customer_id and names.kind = 'name_hash'
        left join hints as addresses
            on customers.customer_id = addresses.customer_id and addresses.kind = 'address_hash'
        where customers.signed_up_at is null or customers.signed_up_at < $as_of
        order by customers.customer_id
        """,
        {"as_of": reading.as_of},
    )
    persons = reading.connection.frame(
        "select customer_id, person_id from core.customer_identities where as_of = ? order by customer_id",
        [reading.as_of],
    )
    return Records(accounts, persons)


def propose(work: Work[ProposalSettings], records: Records) -> TableOutput:
    """Return the pairs that may be one person and are not joined."""
    accounts = without_hubs(records.accounts, work.settings.hub)
    try:
        pairs = match_pairs(accounts, work.settings.probability, work.threads)
    except TooFewPairsError as error:
        return TableOutput(pd.DataFrame(columns=work.columns), {"no_proposals": str(error)})
    person = records.persons.set_index(ID)["person_id"].to_dict()
    left = pairs[ID].map(lambda customer: person.get(customer, customer))
    right = pairs["other_customer_id"].map(lambda customer: person.get(customer, customer))
    rows = pairs[left != right].assign(model_name=NAME, model_version=linkage_version())
    return TableOutput(
        rows[work.columns], {"proposals": len(rows), "joined_already": int((left == right).sum())}
    )


def without_hubs(accounts: pd.DataFrame, hub: int) -> pd.DataFrame:
    """Return the records with null for ids that more than `hub` of them share."""
    cleaned = accounts.copy()
    for name in _NEVER_SHARED_BY_MANY:
        holders = cleaned.groupby(name)[ID].transform("size")
        cleaned[name] = cleaned[name].where(holders <= hub, None)
    return cleaned
