"""Python tables as Dagster assets.

Belongs here: the asset, and its single step. Does not: what a step does (`computing`), an asset with a step for each
shard (`shard_steps`), versions (`tables`).
"""

import dagster as dg

from clm_dagster.platform.assets.node_assets import (
    check_specs,
    described,
    exposure_metadata,
    freshness_of,
    partitions_of,
    table_schema,
)
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import WEEK, all_days_before
from clm_dagster.platform.python_tables.computing import TableStep
from clm_dagster.platform.python_tables.shard_steps import sharded_asset
from clm_dagster.platform.python_tables.tables import AnyTable, calendar_of
from clm_dagster.platform.resources import tracking_key, warehouse_key
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.settings import Settings


def python_asset(project: Project, settings: Settings, table: AnyTable) -> dg.AssetsDefinition:
    """Return the asset of a Python table with its documentation, columns and data tests.

    Several snapshots in one run are computed in the order of as_of.
    """
    node = table.node
    key = asset_key(settings, table.relation)

    spec = dg.AssetSpec(
        key,
        deps=_dependencies(project, settings, table),
        description=described(node.description, table.is_trained or node.dagster.get("chart", False), key),
        group_name=name_of(settings, node.dagster.get("group", node.schema)),
        owners=node.dagster.get("owners"),
        kinds={"duckdb", "python", *({"mlflow"} if table.is_trained else ())},
        tags={"layer": node.schema, "materialized": "python"},
        code_version=table.code_version,
        partitions_def=partitions_of(SNAPSHOT, settings),
        freshness_policy=None if table.is_trained else freshness_of(SNAPSHOT, settings),
        metadata={
            "dagster/column_schema": table_schema(node),
            "dagster/table_name": table.relation,
            **exposure_metadata(project, table.relation),
        },
    )
    checks = [
        *check_specs(node, key),
        *(dg.AssetCheckSpec(name, asset=key, description=text) for name, text in table.checks.items()),
    ]
    if table.in_shards and settings.shards_as_steps:
        return sharded_asset(project, settings, table, spec, checks)

    @dg.multi_asset(
        name=key.to_python_identifier(),
        specs=[spec],
        check_specs=checks,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={warehouse_key(settings), tracking_key(settings)},
    )
    def run(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _run(TableStep(context, project, settings, table))

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


def _run(step: TableStep) -> dg.MaterializeResult:
    costs = StepCosts()
    step.begin()
    stored = {key: step.compute(key) for key in step.context.partition_keys}
    return step.result(stored, costs)
