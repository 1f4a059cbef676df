"""The dependencies of SQL models in Dagster, with the partitions of each.

Belongs here: which assets a model depends on. Does not: the asset itself (`model_assets`).
"""

import dagster as dg

from clm_dagster.platform.build_ledger.versions import EVENTS
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.naming import asset_key
from clm_dagster.platform.partitions import all_days_before
from clm_dagster.settings import Settings


def dependencies_of(project: Project, model: Model, settings: Settings) -> list[dg.AssetDep]:
    """Return the assets that a model depends on."""
    names = (*model.needs, *_behind_views(project, model))
    return [_dependency(project, model, name, settings) for name in names]


def _dependency(project: Project, model: Model, name: str, settings: Settings) -> dg.AssetDep:
    upstream = project.nodes[name]
    key = asset_key(settings, upstream.relation)
    if _is_daily(project, name) and model.partitions == SNAPSHOT:
        return dg.AssetDep(key, partition_mapping=all_days_before(settings))
    return dg.AssetDep(key)


def _behind_views(project: Project, model: Model) -> list[str]:
    """Return the daily nodes that a daily model reads through nodes without partitions.

    A backfill of Dagster goes from one selected asset to the next along direct dependencies. Without these, it would
    leave out, without a message, the model if the node is selected with it.
    """
    if model.partitions != DAILY:
        return []
    found: list[str] = []
    waiting = [name for name in model.refs if not _is_daily(project, name)]
    while waiting:
        node = project.nodes[waiting.pop()]
        for name in node.refs if isinstance(node, Model) and node.partitions is None else ():
            if not _is_daily(project, name):
                waiting.append(name)
            elif name not in found and name not in model.needs:
                found.append(name)
    return found


def _is_daily(project: Project, name: str) -> bool:
    node = project.nodes[name]
    return name == EVENTS or (isinstance(node, Model) and node.partitions == DAILY)
