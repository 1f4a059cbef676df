"""The check of exports: nobody held out or without consent is in one.

Belongs here: the check, computed from the plan and from consents, not from the view that exports read. Does not: that
view.
"""

from datetime import datetime

from clm_dagster.domains.actions.exports.errors import NotAllowedError
from clm_dagster.domains.actions.exports.ledger import NOW, PLAN
from clm_dagster.domains.actions.names import NOTHING, TREATED
from clm_dagster.platform.warehouse import Connection

CHECK = "nobody_held_out_or_without_consent"
CHECK_DESCRIPTION = (
    "Computed anew from the plan and from consents: everybody in the export is planned to be contacted, and neither "
    "they nor another account of theirs refuses. Nothing is sent otherwise."
)


def check_allowed(connection: Connection, as_of: datetime, needs_consent: bool) -> int:
    """Return the number of customers who may be sent. Raise NotAllowedError if one of them must not be.

    needs_consent: whether consent has to be stated; otherwise it is enough that nobody refuses.
    """
    count, held_out, refusing, silent = connection.execute(
        f"""
        with accounts as (
            select customer_id as person_id, customer_id, true as is_current from {NOW}
            union all
            select person_id, customer_id, as_of = timestamp '{as_of}' from core.customer_identities
        ),

        consents as (
            select
                accounts.person_id,
                bool_or(customers.consent_marketing = false) as refuses,
                bool_or(customers.consent_marketing) filter (where accounts.is_current) as consents
            from accounts
            inner join staging.stg_customers as customers on accounts.customer_id = customers.customer_id
            group by accounts.person_id
        )

        select
            count(*),
            count(*) filter (where plans.customer_id is null),
            count(*) filter (where consents.refuses),
            count(*) filter (where not coalesce(consents.refuses, false) and not coalesce(consents.consents, false))
        from {NOW} as now
        left join consents on now.customer_id = consents.person_id
        left join {PLAN} as plans
            on now.customer_id = plans.customer_id and plans.as_of = timestamp '{as_of}'
            and plans.arm = '{TREATED}' and plans.action <> '{NOTHING}'
        """
    )[0]
    wrong = [
        f"{number} {who}"
        for number, who in (
            (held_out, "held out, or not planned to be contacted"),
            (refusing, "who refuse to be contacted"),
            (silent if needs_consent else 0, "of whom no consent is known any more"),
        )
        if number
    ]
    if wrong:
        raise NotAllowedError(
            f"nothing was sent: of {count} customers to contact at {as_of:%Y-%m-%d}, there are {', '.join(wrong)}; "
            "run `clm run`, which plans anew, and export again",
            f"{as_of:%Y-%m-%d}: {', '.join(wrong)}",
        )
    return int(count)
