"""Loading some days of a table in one transaction, also beside processes that load other days.

Belongs here: the transaction of a load and what follows it. Does not: the load itself (`loading`), Dagster (`assets`).

Two processes of a lake may load two days at once that share a key, for example an event that was moved from one day to
the other (`chains`). Neither sees the rows of the other. Whoever commits last looks for such keys, and loads its days
again, which then finds the rows of the other one.
"""

from collections.abc import Sequence

from clm_dagster.domains.ingest import chains
from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.loading import EVERYTHING, Days, create_tables, load, load_absent
from clm_dagster.domains.ingest.source import EXCHANGE_RATES, UNDATED, ShopSource, landed_relation
from clm_dagster.platform.assets.node_assets import batch_of
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.lake.publication import current_snapshot
from clm_dagster.platform.partitions import parse_day
from clm_dagster.platform.warehouse import Connection


def prepare_tables(connection: Connection, source: ShopSource) -> None:
    """Create the raw tables and ledgers that are missing."""
    connection.run_transaction(lambda: create_tables(connection, source.contract.values()))


def load_in_transaction(
    connection: Connection,
    source: ShopSource,
    deliveries: Sequence[Delivery],
    table: str,
    ranges: Sequence[Sequence[str]],
    run_id: str,
) -> None:
    """Load ranges of keys (consecutive days, or `undated`) of a table again, all of them or none."""

    def load_ranges() -> int:
        before = current_snapshot(connection) if connection.is_lake else 0
        for keys in ranges:
            load_days(connection, source, deliveries, table, keys, run_id)
        return before

    contract = source.contract[table]
    claimed = [key for keys in ranges for key in keys]
    before = connection.run_transaction(load_ranges, contract.relation, claimed)
    days = [key for keys in ranges for key in keys if key != UNDATED]
    while connection.is_lake and days and contract.moves:
        # Its own commit is the next number if nobody else has committed since it began.
        if current_snapshot(connection) <= before + 1:
            break
        if not connection.run_reading(lambda: _has_undecided_keys(connection, contract, days)):
            break
        before = connection.run_transaction(load_ranges, contract.relation, claimed)


def _has_undecided_keys(connection: Connection, contract: ContractTable, days: Sequence[str]) -> bool:
    return chains.has_undecided(connection, contract, [parse_day(key) for key in days])


def load_days(
    connection: Connection,
    source: ShopSource,
    deliveries: Sequence[Delivery],
    table: str,
    keys: Sequence[str],
    run_id: str,
) -> None:
    """Load some keys (consecutive days, or `undated`) of a table again. Call this inside a transaction.

    The exchange rates of the same days are loaded before events, which are converted with them.
    """
    if table == "events" and EXCHANGE_RATES in source.adapter.tables:
        load_days(connection, source, deliveries, EXCHANGE_RATES, keys, run_id)
    expected = source.input_versions(deliveries, table)
    contract = source.contract[table]
    if list(keys) != [UNDATED]:
        batch = batch_of(keys)
        days = Days(batch.start, batch.end)
    else:
        days = source.outside(deliveries) if contract.time else EVERYTHING
    if table in source.adapter.tables:
        load(
            connection,
            source.adapter,
            source.landing,
            deliveries,
            table,
            days,
            source.dates,
            run_id,
            source.settings.currency,
        )
        if contract.time and days.undated:
            # Days that were loaded before the shop's start or end date changed, and are now outside.
            for relation in (contract.relation, landed_relation(table)):
                versions.forget(connection, relation, days.start.isoformat(), days.end.isoformat())
    else:
        load_absent(connection, contract, run_id)
    rows = [(key, expected[key], 0) for key in keys if key in expected]
    versions.record(connection, landed_relation(table), rows, run_id)
