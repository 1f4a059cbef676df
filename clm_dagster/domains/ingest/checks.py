"""Checks of the raw tables: no row is lost.

Belongs here: conditions on the tables after a load. Does not: conditions on single rows (the contract).
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.loading import Days
from clm_dagster.platform.warehouse import Connection

# A higher share of rejected rows indicates a problem in the adapter.
WARN_REJECTED_SHARE = 0.05


def raw_checks(asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the checks of a raw table that is loaded by day."""
    return [
        dg.AssetCheckSpec(
            "ledger_balances",
            asset=asset,
            blocking=True,
            description=(
                "Rows landed = delivered = accepted + rejected + duplicate, for each delivery and day. "
                "Accepted rows are in the table, rejected rows in raw.rejects."
            ),
        ),
        dg.AssetCheckSpec(
            "few_rejects",
            asset=asset,
            description=f"At most {WARN_REJECTED_SHARE:.0%} of the delivered rows are rejected.",
        ),
    ]


def ledger_result(
    connection: Connection,
    asset: dg.AssetKey,
    deliveries: Sequence[Delivery],
    contract: ContractTable,
    days: Days,
) -> dg.AssetCheckResult:
    """Compare the ledger of some days with the row counts of the landing area."""
    table = contract.name
    problems = ledger_problems(connection, contract, days)
    found = dict(
        connection.execute(
            "select delivery_id, sum(delivered)::bigint from raw.deliveries "
            f"where contract_table = '{table}' and {days.where('event_date')} group by 1"
        )
    )
    for delivery in deliveries:
        landed = sum(
            count
            for key, count in (delivery.tables[table].days if table in delivery.tables else {}).items()
            if days.contains(date.fromisoformat(key) if key else None)
        )
        if landed != found.get(delivery.delivery_id, 0):
            problems.append(
                f"delivery {delivery.delivery_id} has {landed:,} landed rows for these days, but the ledger "
                f"counts {found.get(delivery.delivery_id, 0):,}"
            )
    return dg.AssetCheckResult(
        check_name="ledger_balances",
        asset_key=asset,
        passed=not problems,
        description="; ".join(problems[:5]) or None,
    )


def ledger_problems(connection: Connection, contract: ContractTable, days: Days | None = None) -> list[str]:
    """Return problems where the ledger does not add up or differs from the stored rows. days: None for all days."""
    table = contract.name
    where = days.where("event_date") if days else "true"
    stored_where = days.where(contract.time) if days and contract.time else "true"
    # Compare each day: over several days, opposite errors would cancel out.
    rows = connection.execute(f"""
        with ledger as (
            select delivery_id, event_date, sum(delivered) as delivered, sum(accepted) as accepted,
                sum(rejected) as rejected, sum(duplicate) as duplicate, min(duplicate) as least
            from raw.deliveries where contract_table = '{table}' and {where} group by delivery_id, event_date
        ), kept as (
            select delivery_id, event_date, count(*) as n from raw.rejects
            where contract_table = '{table}' and {where} group by delivery_id, event_date
        )
        select ledger.delivery_id, ledger.event_date::varchar, delivered, accepted, rejected, duplicate,
            coalesce(kept.n, 0)
        from ledger
        left join kept on ledger.delivery_id = kept.delivery_id
            and ledger.event_date is not distinct from kept.event_date
        where delivered <> accepted + rejected + duplicate or least < 0 or rejected <> coalesce(kept.n, 0)
        order by all
    """)
    problems = [
        f"{table}: delivery {d}, {day or 'no day'}: {n} delivered, {a} accepted, {r} rejected ({k} kept), "
        f"{u} duplicate"
        for d, day, n, a, r, u, k in rows
    ]
    accepted, stored = connection.execute(
        f"select (select coalesce(sum(accepted), 0) from raw.deliveries where contract_table = '{table}' "
        f"and {where}), (select count(*) from {contract.relation} where {stored_where})"
    )[0]
    if accepted != stored:
        problems.append(f"{table}: the ledger counts {accepted} accepted rows, the table has {stored}")
    return problems


def share_result(connection: Connection, asset: dg.AssetKey, days: Days) -> dg.AssetCheckResult:
    """Warn if a large share of the delivered rows is rejected."""
    delivered, rejected = connection.execute(
        "select coalesce(sum(delivered), 0)::bigint, coalesce(sum(rejected), 0)::bigint from raw.deliveries "
        f"where contract_table = 'events' and {days.where('event_date')}"
    )[0]
    share = rejected / delivered if delivered else 0.0
    return dg.AssetCheckResult(
        check_name="few_rejects",
        asset_key=asset,
        passed=share <= WARN_REJECTED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rejected_share": float(share)},
    )
