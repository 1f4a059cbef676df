"""Python tables as Dagster assets.

Belongs here: a computation inside a Dagster step, from the lock to the metadata. Does not: versions (`tables`), the
computation itself (the domains).
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg

from clm_dagster.platform.assets.node_assets import (
    as_ofs_of,
    check_specs,
    described,
    exposure_metadata,
    freshness_of,
    ordered_metadata,
    partitions_of,
    run_checks,
    table_schema,
)
from clm_dagster.platform.build_ledger.calendar import forget_snapshots
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.late_functions import import_late
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import WEEK, all_days_before, as_of_of_key, snapshot_label
from clm_dagster.platform.python_tables.check_results import join_results
from clm_dagster.platform.python_tables.output import TableOutput, write_output
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading, Work
from clm_dagster.platform.python_tables.tables import AnyTable, calendar_of
from clm_dagster.platform.resources import run_tracking, run_warehouse, tracking_key, warehouse_key
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


def python_asset(project: Project, settings: Settings, table: AnyTable) -> dg.AssetsDefinition:
    """Return the asset of a Python table with its documentation, columns and data tests.

    Several snapshots in one run are computed in the order of as_of.
    """
    node = table.node
    key = asset_key(settings, table.relation)

    @dg.asset(
        key=key,
        deps=_dependencies(project, settings, table),
        description=described(node.description, table.is_trained or node.dagster.get("chart", False), key),
        group_name=name_of(settings, node.dagster.get("group", node.schema)),
        owners=node.dagster.get("owners"),
        kinds={"duckdb", "python", *({"mlflow"} if table.is_trained else ())},
        tags={"layer": node.schema, "materialized": "python"},
        code_version=table.code_version,
        check_specs=[
            *check_specs(node, key),
            *(dg.AssetCheckSpec(name, asset=key, description=text) for name, text in table.checks.items()),
        ],
        partitions_def=partitions_of(SNAPSHOT, settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        freshness_policy=None if table.is_trained else freshness_of(SNAPSHOT, settings),
        metadata={
            "dagster/column_schema": table_schema(node),
            "dagster/table_name": table.relation,
            **exposure_metadata(project, table.relation),
        },
        required_resource_keys={warehouse_key(settings), tracking_key(settings)},
    )
    def run(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _run(context, project, settings, table)

    return run


def _dependencies(project: Project, settings: Settings, table: AnyTable) -> list[dg.AssetDep]:
    deps = []
    for name in table.reads:
        node = project.nodes[name]
        mapping: dg.PartitionMapping | None = None
        if isinstance(node, Model) and node.partitions == DAILY:
            mapping = all_days_before(settings)
        elif table.weeks_back and calendar_of(node) == SNAPSHOT:
            mapping = dg.TimeWindowPartitionMapping(start_offset=-max(table.weeks_back))
        deps.append(dg.AssetDep(asset_key(settings, node.relation), partition_mapping=mapping))
    if table.model is not None and not table.is_trained:
        weeks = all_days_before(settings).start_offset // WEEK.days
        earlier = dg.TimeWindowPartitionMapping(start_offset=weeks)
        deps.append(dg.AssetDep(asset_key(settings, table.model.relation), partition_mapping=earlier))
    return deps


def partition_of(
    project: Project, settings: Settings, table: AnyTable, builds: Builds, key: str
) -> PartitionContext:
    """Return the snapshot to compute. Raise dg.Failure if a table that is read does not have it."""
    label = snapshot_label(key, settings.end_date)
    for name in table.reads:
        node = project.nodes[name]
        if calendar_of(node) == SNAPSHOT and builds.stored(node.relation, key) is None:
            raise dg.Failure(
                f"{table.relation} {label}: {node.relation} does not have this snapshot yet; materialize "
                f"{asset_key(settings, node.relation).to_user_string()} for {key} first, or run `clm run`"
            )
    model_key = table.model_key(builds, key)
    newest = all(stored <= key for stored in builds.keys(table.relation))
    return PartitionContext(
        key=key,
        as_of=as_of_of_key(key, settings.end_date),
        model_as_of=as_of_of_key(model_key, settings.end_date) if model_key else None,
        version=table.expected(project, builds, key),
        is_newest=newest,
    )


def _run(
    context: dg.AssetExecutionContext, project: Project, settings: Settings, table: AnyTable
) -> dg.MaterializeResult:
    costs = StepCosts()
    import_late(table.code or (table.read, table.compute))  # before this step locks the warehouse
    warehouse, tracking = run_warehouse(context, settings), run_tracking(context, settings)
    node, asset = table.node, asset_key(settings, table.relation)
    counts: dict[str, int] = {}
    windows: dict[str, str] = {}
    own: dict[str, Sequence[dg.AssetCheckResult]] = {}
    metadata: Mapping[str, Any] = {}

    def forget(connection: Connection) -> None:
        for stored in (table.node, *([table.model] if table.model else [])):
            forget_snapshots(connection, stored.relation, "as_of", settings)

    def read(connection: Connection, key: str) -> tuple[PartitionContext, Any]:
        partition = partition_of(project, settings, table, Builds.read(connection), key)
        return partition, table.read(Reading(connection, partition, table.settings, project))

    with warehouse.connect(table.relation) as connection:
        connection.run_transaction(partial(forget, connection))
    for key in context.partition_keys:
        with warehouse.connect(f"{table.relation} {key}") as connection:
            partition, inputs = connection.run_reading(partial(read, connection, key))
        context.log.info(f"{table.relation} {partition.label}: computing")
        work = Work(
            partition=partition,
            settings=table.settings,
            node=node,
            code_version=table.code_version,
            tracking=tracking,
            log=context.log.info,
            threads=settings.threads,
            data_dir=settings.data_dir.resolve(),
            dagster_run_id=context.run.root_run_id or context.run.run_id,
            is_shown=key == context.partition_keys[-1],
        )
        output = table.compute(work, inputs)
        with warehouse.connect(f"{table.relation} {key}") as connection:
            write_output(connection, node, partition, output, context.run.run_id)
        if output.when_stored is not None:
            output.when_stored()
        if work.checkpoint_dir.exists():
            shutil.rmtree(work.checkpoint_dir)
        counts[key], windows[key] = len(output.rows), partition.where
        own[key], metadata = output.checks, output.metadata
        _report_sides(context, settings, key, output)
    with warehouse.connect(table.relation) as connection:
        where = " or ".join(windows.values())
        check = partial(run_checks, connection, project, node, asset, where, windows)
        results = connection.run_reading(check)
        rows = connection.scalar(f"select count(*) from {table.relation}")
    every = {"dagster/row_count": rows, "rows_of_this_run": sum(counts.values()), **costs.metadata()}
    as_ofs = as_ofs_of(SNAPSHOT, counts, settings)
    every_event = ordered_metadata(context, asset, counts, as_ofs, every, metadata)
    return dg.MaterializeResult(metadata=every_event, check_results=[*results, *join_results(own)])


def _report_sides(
    context: dg.AssetExecutionContext, settings: Settings, key: str, output: TableOutput
) -> None:
    """Report additional rows to Dagster, because their asset has no step of its own."""
    for side in output.sides:
        context.log_event(
            dg.AssetMaterialization(
                asset_key=asset_key(settings, side.node.relation),
                partition=key,
                metadata={
                    "as_of": str(as_of_of_key(key, settings.end_date).date()),
                    "model": side.owner,
                    "rows_of_this_model": len(side.rows),
                },
            )
        )
