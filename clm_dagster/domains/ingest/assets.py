"""The landing area and the raw tables as assets.

Belongs here: the Dagster assets of ingestion. Does not: reading files (`reading`), merging rows (`merging`).
"""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from clm_dagster.domains.ingest.checks import (
    ledger_problems,
    ledger_result,
    raw_checks,
    share_result,
    stop_check,
    stop_result,
)
from clm_dagster.domains.ingest.day_loads import load_in_transaction, prepare_tables
from clm_dagster.domains.ingest.descriptions import deliveries_table, files_table, rules_text, skips_text
from clm_dagster.domains.ingest.inbox import IGNORED, file_rows, write_files
from clm_dagster.domains.ingest.loading import Days
from clm_dagster.domains.ingest.source import UNDATED, ShopSource, consecutive
from clm_dagster.domains.ingest.stopping import reason_to_stop
from clm_dagster.platform.assets.node_assets import (
    batch_of,
    check_specs,
    count_by_day,
    freshness_of,
    keys_of_run,
    ordered_metadata,
    run_checks,
    table_schema,
)
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import DAILY, Project
from clm_dagster.platform.executors import warehouse_pool
from clm_dagster.platform.job_names import DAILY as DAILY_JOB
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.naming import LANDING, asset_key, name_of, with_prefix
from clm_dagster.platform.partitions import daily_partitions
from clm_dagster.platform.resources import run_warehouse, warehouse_key
from clm_dagster.platform.step_costs import StepCosts

# Keys of a shop without a prefix, see `platform.naming`.
EVENTS = dg.AssetKey(["raw", "events"])
REJECTS = dg.AssetKey(["raw", "rejects"])
DELIVERIES = dg.AssetKey(["raw", "deliveries"])
GROUP, OWNERS = "ingest", ["team:data"]
# Metadata key under which the landing asset reports the days in its new files.
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


# ------------------------------------------------------------------------------------- assets


def _landing_asset(source: ShopSource) -> dg.AssetsDefinition:
    settings = source.settings

    @dg.asset(
        key=with_prefix(settings, LANDING),
        group_name=name_of(settings, GROUP),
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
        costs = StepCosts()
        # The only use of the current time: the known_at of rows that have none of their own.
        now = datetime.now(settings.zone).replace(tzinfo=None, microsecond=0)
        landed = source.landing.land(settings.input, source.adapter, now)
        rows = file_rows(source.landing)
        for row in rows:
            for remark in row.remarks:
                context.log.warning("%s: %s", row.source_file, remark)
        days = sorted({k for d in landed.new for t in d.tables.values() for k in t.days if k})
        return dg.MaterializeResult(
            metadata={
                "new_deliveries": len(landed.new),
                "known_deliveries": landed.known,
                "new_rows": sum(d.rows for d in landed.new),
                "not_read": [f"{r.source_file}: {r.reason}" for r in rows if r.status == IGNORED],
                "files": dg.MetadataValue.md(files_table(rows)),
                "deliveries": dg.MetadataValue.md(deliveries_table(landed.new)),
                TOUCHED: days,
                **costs.metadata(),
            }
        )

    return files


def _events_asset(source: ShopSource, project: Project) -> dg.AssetsDefinition:
    node = project.sources["raw.events"]
    key = with_prefix(source.settings, EVENTS)

    @dg.asset(
        key=key,
        deps=[with_prefix(source.settings, LANDING)],
        group_name=name_of(source.settings, GROUP),
        owners=OWNERS,
        kinds={"duckdb", "sql"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=f"{node.description}\n\n{rules_text(source, 'events')}",
        partitions_def=daily_partitions(source.settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=freshness_of(DAILY, source.settings),
        code_version=source.adapter.code_version("events"),
        check_specs=check_specs(node, key) + raw_checks(key),
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": node.relation},
        required_resource_keys={warehouse_key(source.settings)},
        pool=warehouse_pool(source.settings),
    )
    def events(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        costs = StepCosts()
        keys = keys_of_run(context)
        deliveries = source.landing.deliveries()
        batch = batch_of(keys)
        with run_warehouse(context, source.settings).connect(node.relation) as connection:
            prepare_tables(connection, source)
            # The rows outside all partitions too: whether the run stops depends on all rows of a delivery.
            builds = Builds.read(connection)
            outside = [UNDATED] if UNDATED in source.pending(builds, deliveries, "events") else []
            ranges = [some for some in (keys, outside) if some]
            load_in_transaction(connection, source, deliveries, "events", ranges, context.run.run_id)
            by_day = {day: batch_of([day]).where("event_at") for day in keys}
            results = run_checks(connection, project, node, key, batch.where("event_at"), by_day)
            days = Days(batch.start, batch.end)
            feeds = [feed.name for feed in source.adapter.tables["events"]]
            results.append(ledger_result(connection, key, deliveries, source.contract["events"], days, feeds))
            results.append(share_result(connection, key, days))
            results.append(stop_result(key, reason_to_stop(connection, source, deliveries, "events")))
            counts = count_by_day(connection, node.relation, "event_at", batch)
            ledger = connection.execute(
                "select coalesce(sum(delivered), 0)::bigint, coalesce(sum(accepted), 0)::bigint, "
                "coalesce(sum(rejected), 0)::bigint, coalesce(sum(duplicate), 0)::bigint, "
                "coalesce(sum(skipped), 0)::bigint "
                f"from raw.deliveries where contract_table = 'events' and {days.where('event_date')}"
            )[0]
            guests = connection.execute(
                "select customer_id, sum(row_count)::bigint from raw.no_customers where contract_table = 'events' "
                f"and {days.where('event_date')} group by 1 order by 2 desc, 1"
            )
            rows = connection.scalar("select count(*) from raw.events")
        ordered_metadata(context, key, counts, {}, {}, {})
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                **dict(
                    zip(("delivered", "accepted", "rejected", "duplicate", "skipped"), ledger, strict=True)
                ),
                "read_as_no_customer": dict(guests[:20]),
                **costs.metadata(),
            },
            check_results=results,
        )

    return events


def _table_asset(source: ShopSource, project: Project, table: str) -> dg.AssetsDefinition:
    node = project.sources[f"raw.{table}"]
    key = asset_key(source.settings, node.relation)
    has = table in source.adapter.tables

    @dg.asset(
        key=key,
        deps=[with_prefix(source.settings, LANDING)],
        group_name=name_of(source.settings, GROUP),
        owners=OWNERS,
        kinds={"duckdb", "sql"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=f"{node.description}\n\n{rules_text(source, table)}",
        code_version=source.adapter.code_version(table) if has else None,
        check_specs=[
            *check_specs(node, key),
            stop_check(key),
            dg.AssetCheckSpec(
                "source_has_table", asset=key, description="Whether the source provides this table."
            ),
        ],
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": node.relation},
        required_resource_keys={warehouse_key(source.settings)},
        pool=warehouse_pool(source.settings, node.relation),
    )
    def raw_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        costs = StepCosts()
        deliveries = source.landing.deliveries()
        with run_warehouse(context, source.settings).connect(node.relation) as connection:
            prepare_tables(connection, source)
            pending = source.pending(Builds.read(connection), deliveries, table)
            ranges = list(consecutive(pending))
            load_in_transaction(connection, source, deliveries, table, ranges, context.run.run_id)
            results = run_checks(connection, project, node, key, None)
            stop = reason_to_stop(connection, source, deliveries, table) if has else None
            rows = connection.scalar(f"select count(*) from {node.relation}")
        results.append(stop_result(key, stop))
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
                **costs.metadata(),
            },
            check_results=results,
        )

    return raw_table


def _rejects_asset(source: ShopSource) -> dg.AssetsDefinition:
    @dg.asset(
        key=with_prefix(source.settings, REJECTS),
        deps=[with_prefix(source.settings, EVENTS)],
        group_name=name_of(source.settings, GROUP),
        owners=OWNERS,
        kinds={"duckdb", "sql"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=(
            "Rows that violate the contract, with all their columns, the reason, the file and the row number. Rejects "
            "are written with raw/events. This asset adds those outside all partitions (without a readable date, or "
            "outside the shop's start and end date) where they are missing, and counts the reasons."
        ),
        metadata={"dagster/table_name": "raw.rejects"},
        required_resource_keys={warehouse_key(source.settings)},
        pool=warehouse_pool(source.settings),
    )
    def rejects(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        deliveries = source.landing.deliveries()
        with run_warehouse(context, source.settings).connect("raw.rejects") as connection:
            prepare_tables(connection, source)
            run_id = context.run.run_id
            load_in_transaction(connection, source, deliveries, "events", [[UNDATED]], run_id)
            reasons = connection.execute(
                "select contract_table, reason, count(*) from raw.rejects group by all order by 1, 3 desc"
            )
        described = {
            (name, reason): text
            for name in source.adapter.tables
            for reason, text in source.adapter.reasons(name).items()
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
    key = with_prefix(source.settings, DELIVERIES)

    @dg.asset(
        key=key,
        deps=[asset_key(source.settings, f"raw.{name}") for name in ("events", "rejects", *others)],
        group_name=name_of(source.settings, GROUP),
        owners=OWNERS,
        kinds={"duckdb"},
        tags={"layer": "raw", "job": DAILY_JOB},
        description=(
            "The ledger of deliveries: one row per delivery, contract table, feed and day (null for rows without a "
            "readable date), with delivered = accepted + rejected + duplicate + skipped. The reasons of skipped rows "
            "are in raw.skips. Its rows are written in the transaction that loads the data. This asset checks the "
            "whole ledger, and writes raw.files: one row per file of the input, read or not, with its encoding, "
            "delimiter, styles of dates and numbers, and renamed columns."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "ledger_balances",
                asset=key,
                blocking=True,
                description="Every loaded row is accepted, rejected, skipped or a duplicate.",
            )
        ],
        metadata={"dagster/table_name": "raw.deliveries"},
        required_resource_keys={warehouse_key(source.settings)},
        pool=warehouse_pool(source.settings, "raw.files"),
    )
    def ledger(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        with run_warehouse(context, source.settings).connect("raw.deliveries") as connection:
            rows_of_files = file_rows(source.landing)
            connection.run_transaction(lambda: write_files(connection, rows_of_files), "raw.files")
            problems = [p for t in source.contract.values() for p in ledger_problems(connection, t)]
            rows = connection.scalar("select count(*) from raw.deliveries")
            totals = connection.execute(
                "select contract_table, feed, count(distinct delivery_id), sum(delivered)::bigint, "
                "sum(accepted)::bigint, sum(rejected)::bigint, sum(duplicate)::bigint, sum(skipped)::bigint "
                "from raw.deliveries group by all order by 1, 2"
            )
            skips = connection.execute(
                "select contract_table, feed, reason, sum(row_count)::bigint from raw.skips group by all "
                "order by 1, 2, 4 desc, 3"
            )
        columns = ("table", "feed", "deliveries", "delivered", "accepted", "rejected", "duplicate", "skipped")
        lines = [[f"{v:,}" if isinstance(v, int) else v for v in row] for row in totals]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "totals": dg.MetadataValue.md(markdown_table(columns, lines)),
                "skipped": dg.MetadataValue.md(skips_text(source, skips)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="ledger_balances",
                    passed=not problems,
                    description="; ".join(problems) or None,
                )
            ],
        )

    return ledger
