"""Exchange rates for typing events, and the rule that two currencies are never added up.

Belongs here: the rates of the days that are loaded, the check of the stored currencies. Does not: converting a row (the
contract of events), the table of rates (a table of the contract like any other).
"""

from clm_dagster.domains.ingest.errors import InputError
from clm_dagster.platform.warehouse import Connection

MONEY_EVENTS = (
    "purchase",
    "return",
    "gift",
    "charge",
    "charge_refund",
    "discount",
    "refund",
    "shipping",
    "tax",
)


def create_rates(connection: Connection) -> None:
    """Create `_rates`: the current rate of each day and currency."""
    connection.execute(
        "create or replace temp table _rates as select cast(day as date) as rate_day, currency as rate_currency, rate "
        "from raw.exchange_rates where superseded_at is null and not deleted"
    )


def check_single_currency(connection: Connection, currency: str) -> None:
    """Raise InputError if the current events have several currencies and the shop's currency is not set."""
    if currency:
        return
    listed = ", ".join(f"'{name}'" for name in MONEY_EVENTS)
    found = connection.execute(
        "select currency, count(*) from raw.events where superseded_at is null and not deleted "
        f"and currency is not null and event_type in ({listed}) group by 1 order by 2 desc, 1"
    )
    if len(found) > 1:
        counts = ", ".join(f"{code} ({count:,} rows)" for code, count in found)
        raise InputError(
            f"raw.events has several currencies: {counts}. They cannot be added up. Set CLM_CURRENCY to the shop's "
            "currency, and deliver exchange_rates (day, currency, rate) for the others; a row without a rate is "
            "rejected as no_exchange_rate."
        )
