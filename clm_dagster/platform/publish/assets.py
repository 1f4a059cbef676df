"""The asset that publishes the warehouse.

Belongs here: the Dagster asset. Does not: copying the file (`copying`).
"""

from collections.abc import Sequence

import dagster as dg

from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.executors import warehouse_pool
from clm_dagster.platform.job_names import PUBLISH, SCORES, job_of
from clm_dagster.platform.naming import asset_key, name_of, with_prefix
from clm_dagster.platform.publish.publishing import publish_warehouse, published_place
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import run_warehouse, warehouse_key
from clm_dagster.platform.step_costs import StepCosts
from clm_dagster.settings import Settings

KEY = dg.AssetKey(["published", "warehouse"])


def publish_asset(settings: Settings, project: Project, tables: Sequence[AnyTable]) -> dg.AssetsDefinition:
    """Return the asset of the published copy. It runs after all tables that users read: SQL models and scores."""
    upstream = [asset_key(settings, relation) for relation in sorted(_last(project, tables))]

    @dg.asset(
        key=with_prefix(settings, KEY),
        deps=upstream,
        group_name=name_of(settings, "published"),
        owners=["team:data"],
        kinds={"duckdb", "file"},
        tags={"layer": "published", "job": PUBLISH},
        description=(
            "The state of the lake for users and dashboards: the number of a snapshot in `published.snapshots`. "
            "Readers attach the lake at that number."
            if settings.has_lake
            else "The published copy of the warehouse for users and dashboards: "
            f"`{settings.data_dir / 'published' / 'clm.duckdb'}`, replaced atomically. Open it read-only."
        ),
        metadata={"dagster/uri": published_place(settings)},
        required_resource_keys={warehouse_key(settings)},
        pool=warehouse_pool(settings, "published.snapshots"),
    )
    def warehouse_copy(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        costs = StepCosts()
        figures = publish_warehouse(settings, run_warehouse(context, settings))
        return dg.MaterializeResult(metadata={**figures, **costs.metadata()})

    return warehouse_copy


def _last(project: Project, tables: Sequence[AnyTable]) -> set[str]:
    """Return the tables that users read and that no other one of the same job reads.

    In every run of a job the others are built before these; without them, people can read the lineage.
    """
    nodes = project.nodes
    jobs: dict[str, str] = {}
    reads: dict[str, set[str]] = {}
    for model in project.models.values():
        if model.schema in ("core", "marts"):
            jobs[model.relation] = job_of(project, model)
            reads[model.relation] = {nodes[name].relation for name in model.refs}
    for table in tables:
        if not table.is_trained:
            jobs[table.relation] = SCORES
            reads[table.relation] = {nodes[name].relation for name in table.reads}
    return jobs.keys() - {
        read for reader, found in reads.items() for read in found if jobs.get(read) == jobs[reader]
    }
