"""Exchange rates for typing events, and the rule that two currencies are never added up.

Belongs here: the rates of events, the currencies of the stored events and their check. Does not: converting a row (the
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


def write_currencies(connection: Connection) -> None:
    """Count the accepted current rows by day and currency."""
    listed = ", ".join(f"'{name}'" for name in MONEY_EVENTS)
    connection.execute(f"""
        insert into raw.currencies by name
        select 'events' as contract_table, _event_date as event_date, currency, count(*) as row_count from _accepted
        where superseded_at is null and not deleted and currency is not null and event_type in ({listed})
        group by all order by all
    """)


def check_single_currency(connection: Connection, currency: str) -> None:
    """Raise InputError if the current events of all days have several currencies and the shop's is not set."""
    if currency:
        return
    found = connection.execute(
        "select currency, sum(row_count)::bigint from raw.currencies group by 1 order by 2 desc, 1"
    )
    if len(found) > 1:
        counts = ", ".join(f"{code} ({count:,} rows)" for code, count in found)
        raise InputError(
            f"raw.events has several currencies: {counts}. They cannot be added up. Set CLM_CURRENCY to the shop's "
            "currency, and deliver exchange_rates (day, currency, rate) for the others; a row without a rate is "
            "rejected as no_exchange_rate."
        )
