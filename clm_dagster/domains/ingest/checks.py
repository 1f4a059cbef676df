"""Checks of the raw tables: no row is lost.

Belongs here: conditions on the tables after a load. Does not: conditions on single rows (the contract).
"""

from collections.abc import Collection, Sequence
from datetime import date

import dagster as dg

from clm_dagster.domains.ingest.contract import ContractTable
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.loading import Days
from clm_dagster.platform.alerts.headlines import Headline
from clm_dagster.platform.warehouse import Connection

HEADLINES = {
    "few_rejects": Headline(
        "Rejected share: many delivered rows were rejected",
        "look at the reasons in raw.rejects; correct the shop's export or the adapter.",
    ),
    "rejected_share": Headline(
        "Rejected share: a delivery was mostly rejected, and nothing was built on it",
        "correct the files, the adapter or the shop's dates, and run again.",
    ),
    "ledger_balances": Headline(
        "Rows are missing: what was delivered is not what was loaded",
        "run again; if it stays, restore the landed files from a backup or land them anew.",
    ),
}
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
                "Rows landed = delivered = accepted + rejected + duplicate + skipped, for each delivery, feed and "
                "day. Accepted rows are in the table, rejected rows in raw.rejects, the reasons of skipped rows in "
                "raw.skips."
            ),
        ),
        dg.AssetCheckSpec(
            "few_rejects",
            asset=asset,
            description=f"At most {WARN_REJECTED_SHARE:.0%} of the delivered rows are rejected.",
        ),
        stop_check(asset),
    ]


def stop_check(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that keeps everything else from being built of a raw table that is mostly rejected."""
    return dg.AssetCheckSpec(
        "rejected_share",
        asset=asset,
        blocking=True,
        description="No delivery has more rejected rows than CLM_MAX_REJECTED_SHARE, and some rows are accepted.",
    )


def stop_result(asset: dg.AssetKey, reason: str | None) -> dg.AssetCheckResult:
    """Return the result of that check. reason: why to stop, see `stopping.reason_to_stop`."""
    return dg.AssetCheckResult(
        check_name="rejected_share", asset_key=asset, passed=reason is None, description=reason
    )


def ledger_result(
    connection: Connection,
    asset: dg.AssetKey,
    deliveries: Sequence[Delivery],
    contract: ContractTable,
    days: Days,
    feeds: Collection[str] | None = None,
) -> dg.AssetCheckResult:
    """Compare the ledger of some days with the row counts of the landing area.

    feeds: the feeds of the adapter; None for all that are landed.
    """
    table = contract.name
    problems = ledger_problems(connection, contract, days)
    found = {
        (delivery_id, feed): count
        for delivery_id, feed, count in connection.execute(
            "select delivery_id, feed, sum(delivered)::bigint from raw.deliveries "
            f"where contract_table = '{table}' and {days.where('event_date')} group by all"
        )
    }
    for delivery in deliveries:
        for feed, landed in delivery.of_table(table).items():
            if feeds is not None and feed not in feeds:
                continue
            rows = sum(
                count
                for key, count in landed.days.items()
                if days.contains(date.fromisoformat(key) if key else None)
            )
            counted = found.pop((delivery.delivery_id, feed), 0)
            if rows != counted:
                problems.append(
                    f"delivery {delivery.delivery_id}, feed {feed} has {rows:,} landed rows for these days, but the "
                    f"ledger counts {counted:,}"
                )
    problems += [
        f"the ledger counts {n:,} rows of delivery {name}, feed {feed}, which is not landed"
        for (name, feed), n in found.items()
        if n
    ]
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
            select delivery_id, feed, event_date, sum(delivered) as delivered, sum(accepted) as accepted,
                sum(rejected) as rejected, sum(duplicate) as duplicate, sum(skipped) as skipped,
                min(duplicate) as least
            from raw.deliveries where contract_table = '{table}' and {where}
            group by delivery_id, feed, event_date
        ), kept as (
            select delivery_id, feed, event_date, count(*) as n from raw.rejects
            where contract_table = '{table}' and {where} group by delivery_id, feed, event_date
        ), reasons as (
            select delivery_id, feed, event_date, sum(row_count) as n from raw.skips
            where contract_table = '{table}' and {where} group by delivery_id, feed, event_date
        )
        select ledger.delivery_id, ledger.feed, ledger.event_date::varchar, delivered, accepted, rejected, duplicate,
            skipped, coalesce(kept.n, 0), coalesce(reasons.n, 0)
        from ledger
        left join kept on ledger.delivery_id = kept.delivery_id and ledger.feed = kept.feed
            and ledger.event_date is not distinct from kept.event_date
        left join reasons on ledger.delivery_id = reasons.delivery_id and ledger.feed = reasons.feed
            and ledger.event_date is not distinct from reasons.event_date
        where delivered <> accepted + rejected + duplicate + skipped or least < 0
            or rejected <> coalesce(kept.n, 0) or skipped <> coalesce(reasons.n, 0)
        order by all
    """)
    problems = [
        f"{table}: delivery {d}{'' if f == table else f', feed {f}'}, {day or 'no day'}: {n} delivered, {a} accepted, "
        f"{r} rejected ({k} kept), {u} duplicate, {s} skipped ({x} with a reason)"
        for d, f, day, n, a, r, u, s, k, x in rows
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
        "select coalesce(sum(delivered - skipped), 0)::bigint, coalesce(sum(rejected), 0)::bigint from raw.deliveries "
        f"where contract_table = 'events' and {days.where('event_date')}"
    )[0]
    share = rejected / delivered if delivered else 0.0
    return dg.AssetCheckResult(
        check_name="few_rejects",
        asset_key=asset,
        passed=share <= WARN_REJECTED_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rejected:,} of {delivered:,} rows are rejected ({share:.1%}); "
        f"expected at most {WARN_REJECTED_SHARE:.0%}",
        metadata={"rejected_share": float(share)},
    )
