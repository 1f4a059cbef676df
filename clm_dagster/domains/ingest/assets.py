"""The landing area and the raw tables as assets.

Belongs here: the Dagster assets of ingestion. Does not: reading files (`reading`), merging rows (`merging`).
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from clm_dagster.domains.ingest.checks import ledger_problems, ledger_result, raw_checks, share_result
from clm_dagster.domains.ingest.landing import Delivery
from clm_dagster.domains.ingest.loading import EVERYTHING, Days, create_tables, load, load_absent
from clm_dagster.domains.ingest.source import UNDATED, ShopSource, landed_relation
from clm_dagster.platform.assets.node_assets import (
    add_partition_metadata,
    asset_key,
    batch_of,
    check_specs,
    count_by_day,
    freshness_of,
    keys_of_run,
    run_checks,
    table_schema,
)
from clm_dagster.platform.build_ledger import versions
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import DAILY, Project
from clm_dagster.platform.job_names import DAILY as DAILY_JOB
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.partitions import daily_partitions, parse_day
from clm_dagster.platform.warehouse import Connection, Warehouse

LANDING = dg.AssetKey(["landing", "files"])
EVENTS = dg.AssetKey(["raw", "events"])
REJECTS = dg.AssetKey(["raw", "rejects"])
DELIVERIES = dg.AssetKey(["raw", "deliveries"])
GROUP, OWNERS = "ingest", ["team:data"]
# Metadata key under which the landing asset reports the days in its new files to the sensor.
TOUCHED = "touched_days"


def ingest_assets(source: ShopSource, project: Project) -> list[dg.AssetsDefinition]:
    """Return the assets: landing, raw.events by day, the other raw tables, the rejects, the ledger of deliveries."""
    others = [t for t in source.contract if t != "events"]
    return [
        _landing_asset(source),
        _events_asset(source, project),
        *(_table_asset(source, project, table) for table in others),
        _rejects_asset(source),
        _deliveries_asset(source, others),
    ]


def load_days(
    connection: Connection,
    source: ShopSource,
    deliveries: Sequence[Delivery],
    table: str,
    keys: Sequence[str],
    run_id: str,
) -> None:
    """Load some keys (consecutive days, or `undated`) of a table again. Call this inside a transaction."""
    expected = source.input_versions(deliveries, table)
    contract = source.contract[table]
    if keys != [UNDATED]:
        batch = batch_of(keys)
        days = Days(batch.start, batch.end)
    else:
        days = source.outside(deliveries) if contract.time else EVERYTHING
    if table in source.adapter.tables:
        load(connection, source.adapter, source.landing, deliveries, table, days, source.dates, run_id)
        if contract.time and days.undated:
            # Days that were loaded before the shop's start or end date changed, and are now outside.
            for relation in (contract.relation, landed_relation(table)):
                versions.forget(connection, relation, days.start.isoformat(), days.end.isoformat())
    else:
        load_absent(connection, contract, run_id)
    rows = [(key, expected[key], 0) for key in keys if key in expected]
    versions.record(connection, landed_relation(table), rows, run_id)


# ------------------------------------------------------------------------------------- assets


def _landing_asset(source: ShopSource) -> dg.AssetsDefinition:
    settings = source.settings

    @dg.asset(
        key=LANDING,
        group_name=GROUP,
        owners=OWNERS,
        kinds={"file", "parquet"},
        tags={"layer": "landing", "job": DAILY_JOB},
        description=(
            f"The shop's files at `{settings.input}`, parsed once, as text, into day-partitioned Parquet. "
            f"Files whose content is already landed are skipped.\n\n{source.adapter.description}"
        ),
        freshness_policy=freshness_of(DAILY, settings),
        metadata={"dagster/uri": str(settings.landing_dir)},
    )
    def files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        start = time.perf_counter()
        # The only use of the current time: the known_at of rows that have none of their own.
        now = datetime.now(settings.zone).replace(tzinfo=None, microsecond=0)
        landed = source.landing.land(settings.input, source.adapter, now)
        for name in landed.ignored:
            context.log.warning("%s matches no table of the source %s and is not read", name, settings.source)
        days = sorted({k for d in landed.new for t in d.tables.values() for k in t.days if k})
        table = [(d.path, d.delivery_id, f"{d.rows:,}", ", ".join(d.tables)) for d in landed.new[:100]]
        return dg.MaterializeResult(
            metadata={
                "new_deliveries": len(landed.new),
                "known_deliveries": landed.known,
                "new_rows": sum(d.rows for d in landed.new),
                "not_read": landed.ignored,
                "deliveries": dg.MetadataValue.md(
                    markdown_table(("file", "delivery", "rows", "tables"), table)
                ),
                TOUCHED: days,
                "seconds": round(time.perf_counter() - start, 3),
            }
        )

    return files


def _events_asset(source: ShopSource, project: Project) -> dg.AssetsDefinition:
    node = project.sources["raw.events"]

    @dg.asset(
        key=EVENTS,
        deps=[LANDING],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"duckdb", "sql"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=f"{node.description}\n\n{_rules(source, 'events')}",
        partitions_def=daily_partitions(source.settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=freshness_of(DAILY, source.settings),
        code_version=source.adapter.code_version("events"),
        check_specs=check_specs(node) + raw_checks(EVENTS),
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": node.relation},
    )
    def events(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        start = time.perf_counter()
        keys = keys_of_run(context)
        deliveries = source.landing.deliveries()
        batch = batch_of(keys)
        with warehouse.connect(node.relation) as connection:
            create_tables(connection, source.contract.values())
            with connection.transaction():
                load_days(connection, source, deliveries, "events", keys, context.run.run_id)
            by_day = {key: batch_of([key]).where("event_at") for key in keys}
            results = run_checks(connection, project, node, batch.where("event_at"), by_day)
            days = Days(batch.start, batch.end)
            results.append(ledger_result(connection, EVENTS, deliveries, source.contract["events"], days))
            results.append(share_result(connection, EVENTS, days))
            counts = count_by_day(connection, node.relation, "event_at", batch)
            ledger = connection.execute(
                "select coalesce(sum(delivered), 0)::bigint, coalesce(sum(accepted), 0)::bigint, "
                "coalesce(sum(rejected), 0)::bigint, coalesce(sum(duplicate), 0)::bigint "
                f"from raw.deliveries where contract_table = 'events' and {days.where('event_date')}"
            )[0]
            rows = connection.scalar("select count(*) from raw.events")
        add_partition_metadata(context, EVENTS, counts, {})
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                **dict(zip(("delivered", "accepted", "rejected", "duplicate"), ledger, strict=True)),
                "seconds": round(time.perf_counter() - start, 3),
            },
            check_results=results,
        )

    return events


def _table_asset(source: ShopSource, project: Project, table: str) -> dg.AssetsDefinition:
    node = project.sources[f"raw.{table}"]
    key = asset_key(node)
    has = table in source.adapter.tables

    @dg.asset(
        key=key,
        deps=[LANDING],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"duckdb", "sql"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=f"{node.description}\n\n{_rules(source, table)}",
        code_version=source.adapter.code_version(table) if has else None,
        check_specs=[
            *check_specs(node),
            dg.AssetCheckSpec(
                "source_has_table", asset=key, description="Whether the source provides this table."
            ),
        ],
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": node.relation},
    )
    def raw_table(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        start = time.perf_counter()
        deliveries = source.landing.deliveries()
        with warehouse.connect(node.relation) as connection:
            create_tables(connection, source.contract.values())
            pending = source.pending(Builds.read(connection), deliveries, table)
            with connection.transaction():
                for keys in _ranges(pending):
                    load_days(connection, source, deliveries, table, keys, context.run.run_id)
            results = run_checks(connection, project, node, None)
            rows = connection.scalar(f"select count(*) from {node.relation}")
        results.append(
            dg.AssetCheckResult(
                check_name="source_has_table",
                asset_key=key,
                passed=has,
                severity=dg.AssetCheckSeverity.WARN,
                description=None
                if has
                else f"The source {source.adapter.name} does not provide {table}. This table is empty, and so are "
                "the results derived from it.",
            )
        )
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "loaded_keys": len(pending),
                "seconds": round(time.perf_counter() - start, 3),
            },
            check_results=results,
        )

    return raw_table


def _rejects_asset(source: ShopSource) -> dg.AssetsDefinition:
    @dg.asset(
        key=REJECTS,
        deps=[LANDING],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"duckdb", "sql"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=(
            "Rows that violate the contract, with all their columns, the reason, the file and the row number. Rejects "
            "of a daily partition are written with raw/events. This asset adds the rejects outside all partitions: "
            "without a readable date, or outside the shop's start and end date."
        ),
        metadata={"dagster/table_name": "raw.rejects"},
    )
    def rejects(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        deliveries = source.landing.deliveries()
        with warehouse.connect("raw.rejects") as connection:
            create_tables(connection, source.contract.values())
            with connection.transaction():
                load_days(connection, source, deliveries, "events", [UNDATED], context.run.run_id)
            reasons = connection.execute(
                "select contract_table, reason, count(*) from raw.rejects group by all order by 1, 3 desc"
            )
        described = {
            (name, reason): text
            for name, table in source.adapter.tables.items()
            for reason, text in table.reasons.items()
        }
        lines = [(t, r, f"{n:,}", described.get((t, r), "")) for t, r, n in reasons]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(n for _, _, n in reasons),
                "by_reason": dg.MetadataValue.md(
                    markdown_table(("table", "reason", "rows", "meaning"), lines)
                ),
            }
        )

    return rejects


def _deliveries_asset(source: ShopSource, others: Sequence[str]) -> dg.AssetsDefinition:
    @dg.asset(
        key=DELIVERIES,
        deps=[EVENTS, REJECTS, *(dg.AssetKey(["raw", table]) for table in others)],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"duckdb"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=(
            "The ledger of deliveries: one row per delivery, contract table and day (null for rows without a readable "
            "date), with delivered = accepted + rejected + duplicate. Its rows are written in the transaction that "
            "loads the data. This asset checks the whole ledger."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "ledger_balances",
                asset=DELIVERIES,
                blocking=True,
                description="Every loaded row is accepted, rejected or a duplicate.",
            )
        ],
        metadata={"dagster/table_name": "raw.deliveries"},
    )
    def ledger(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        with warehouse.connect("raw.deliveries") as connection:
            problems = [p for t in source.contract.values() for p in ledger_problems(connection, t)]
            rows = connection.scalar("select count(*) from raw.deliveries")
            totals = connection.execute(
                "select contract_table, count(distinct delivery_id), sum(delivered)::bigint, "
                "sum(accepted)::bigint, sum(rejected)::bigint, sum(duplicate)::bigint "
                "from raw.deliveries group by 1 order by 1"
            )
        columns = ("table", "deliveries", "delivered", "accepted", "rejected", "duplicate")
        lines = [[f"{v:,}" if isinstance(v, int) else v for v in row] for row in totals]
        metadata: dict[str, Any] = {
            "dagster/row_count": rows,
            "totals": dg.MetadataValue.md(markdown_table(columns, lines)),
        }
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name="ledger_balances",
                    passed=not problems,
                    description="; ".join(problems) or None,
                )
            ],
        )

    return ledger


def _rules(source: ShopSource, table: str) -> str:
    """Return the adapter's rules and the reject reasons as markdown for the UI."""
    if table not in source.adapter.tables:
        return f"The source `{source.adapter.name}` does not provide {table}."
    spec = source.adapter.tables[table]
    lines = [f"**Rules of the source `{source.adapter.name}`**", ""]
    lines += [f"- {rule}" for rule in spec.rules]
    lines += ["", "**Reasons for rejection; rejected rows are in raw.rejects**", ""]
    lines += [f"- `{reason}`: {text}" for reason, text in spec.reasons.items()]
    return "\n".join(lines)


def _ranges(keys: Sequence[str]) -> list[list[str]]:
    """Group consecutive days; `undated` is a group of its own."""
    ranges: list[list[str]] = []
    for key in keys:
        if key != UNDATED and ranges and ranges[-1] != [UNDATED]:
            gap = parse_day(key) - parse_day(ranges[-1][-1])
            if gap.days == 1:
                ranges[-1].append(key)
                continue
        ranges.append([key])
    return ranges
