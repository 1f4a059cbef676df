"""`marts.campaign_plans`: plans of campaigns, one Dagster partition for each plan.

Belongs here: the asset and its job. Does not: which customers a plan has (`plan`), the command (`campaign_commands`).
"""

from dataclasses import replace
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from clm_dagster.domains.actions.campaigns import CampaignError, plays_of
from clm_dagster.domains.actions.names import CAMPAIGN_PLANS
from clm_dagster.platform.assets.node_assets import check_specs, run_checks, table_schema
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.building import literal
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.jobs import asset_job
from clm_dagster.platform.late_functions import late_functions
from clm_dagster.platform.naming import asset_key, name_of
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.python_tables.computing import partition_of
from clm_dagster.platform.python_tables.partition import PartitionContext, Reading
from clm_dagster.platform.python_tables.shards import Sharding
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.platform.python_tables.tables import AnyTable, calendar_of
from clm_dagster.platform.resources import run_warehouse, warehouse_key
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.domains.actions.plan import PlanSource, planned_rows, read_plan
    from clm_dagster.platform.jobs import AssetJob
else:
    planned_rows, read_plan = late_functions("clm_dagster.domains.actions.plan", "planned_rows", "read_plan")

CAMPAIGNS_JOB = "campaigns"


class CampaignConfig(dg.Config):
    """Configuration of a plan. budget: money for the campaign; none for what the setting CLM_ACTIONS_BUDGET allows."""

    budget: float | None = None


def campaign_partitions(settings: Settings) -> dg.DynamicPartitionsDefinition:
    """Return the partitions: one for each campaign and snapshot."""
    return dg.DynamicPartitionsDefinition(name=name_of(settings, "campaigns"))


def campaign_key(campaign: str, as_of: date) -> str:
    """Return the partition of a campaign at an as_of: `win_back_2024-06-03`."""
    return f"{campaign}_{as_of}"


def parse_campaign_key(key: str) -> tuple[str, datetime]:
    """Return campaign and as_of of a partition. Raise CampaignError."""
    campaign, _, day = key.rpartition("_")
    try:
        as_of = date.fromisoformat(day)
    except ValueError as error:
        raise CampaignError(
            f"{key!r} is not a campaign and an as_of; expected a text such as win_back_2024-06-03"
        ) from error
    if not campaign:
        raise CampaignError(f"{key!r} names no campaign; expected a text such as win_back_2024-06-03")
    return campaign, datetime.combine(as_of, time.min)


def campaign_asset(project: Project, settings: Settings, plans: AnyTable) -> dg.AssetsDefinition:
    """Return the asset. plans: the table of next best actions, whose inputs and limits a campaign shares."""
    node = project.nodes[CAMPAIGN_PLANS]
    key = asset_key(settings, CAMPAIGN_PLANS)

    @dg.asset(
        key=key,
        deps=[_dependency(project, settings, name) for name in plans.reads],
        description=node.description,
        group_name=name_of(settings, node.dagster["group"]),
        owners=node.dagster["owners"],
        kinds={"duckdb", "python"},
        tags={"layer": node.schema, "materialized": "campaign", "job": CAMPAIGNS_JOB},
        code_version=plans.code_version,
        check_specs=check_specs(node, key),
        partitions_def=campaign_partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/column_schema": table_schema(node), "dagster/table_name": CAMPAIGN_PLANS},
        required_resource_keys={warehouse_key(settings)},
    )
    def campaign_plans(context: dg.AssetExecutionContext, config: CampaignConfig) -> dg.MaterializeResult:
        warehouse = run_warehouse(context, settings)
        limits = plans.settings if config.budget is None else replace(plans.settings, budget=config.budget)
        rows_of_run, metadata, windows = 0, dict[str, Any](), dict[str, str]()
        for partition_key in context.partition_keys:
            campaign, as_of = parse_campaign_key(partition_key)
            with TemporaryDirectory(
                prefix=".rows-", suffix=".tmp", dir=settings.data_dir.resolve()
            ) as folder:
                with warehouse.connect(CAMPAIGN_PLANS) as connection:
                    read = partial(_read, connection, project, settings, plans, limits, as_of, Path(folder))
                    partition, source = connection.run_reading(read)
                shelf = Shelf(Path(folder) if len(source.customers.shards) > 1 else None)
                plays = plays_of(campaign, source.plays)
                rows, metadata = planned_rows(source, plays, limits, partition.version, shelf)
            stamped = rows.assign(campaign=campaign, as_of=as_of)[list(node.types)]
            windows[partition_key] = f"campaign = {literal(campaign)} and {partition.where}"
            with warehouse.connect(CAMPAIGN_PLANS) as connection:
                where = windows[partition_key]
                connection.run_transaction(
                    partial(connection.replace_with_frame, CAMPAIGN_PLANS, stamped, node.types, where),
                    CAMPAIGN_PLANS,
                    [partition_key],
                )
            rows_of_run += len(stamped)
        with warehouse.connect(CAMPAIGN_PLANS) as connection:
            where = " or ".join(f"({window})" for window in windows.values())
            results = run_checks(connection, project, node, key, where, windows)
        return dg.MaterializeResult(
            metadata={"rows_of_this_run": rows_of_run, **metadata}, check_results=results
        )

    return campaign_plans


def _read(
    connection: Connection,
    project: Project,
    settings: Settings,
    plans: AnyTable,
    limits: Any,
    as_of: datetime,
    folder: Path,
) -> "tuple[PartitionContext, PlanSource]":
    builds = Builds.read(connection)
    partition = partition_of(project, settings, plans, builds, key_of_as_of(as_of))
    sharding = Sharding(settings.shard_customers, folder)
    return partition, read_plan(Reading(connection, partition, limits, project, sharding))


def _dependency(project: Project, settings: Settings, name: str) -> dg.AssetDep:
    """Return a table that a plan reads: one snapshot of it, which the partition names in its own way."""
    node = project.nodes[name]
    mapping = dg.AllPartitionMapping() if calendar_of(node) or getattr(node, "partitions", None) else None
    return dg.AssetDep(asset_key(settings, node.relation), partition_mapping=mapping)


def campaigns_job(settings: Settings) -> "AssetJob":
    """Return the job that plans campaigns."""
    return asset_job(
        settings,
        CAMPAIGNS_JOB,
        dg.AssetSelection.assets(asset_key(settings, CAMPAIGN_PLANS)),
        "Plan a campaign at a snapshot; `clm campaign plan` starts it.",
    )
