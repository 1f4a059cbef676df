"""The interface between the platform and the domains: what a domain receives and what it provides.

Belongs here: the interface, and combining what all domains provide. Does not: any domain. Each domain has a
`definitions.py` with one function, `build(shop: Shop) -> Domain`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeVar

import dagster as dg

from clm_dagster.discovery import domain_modules
from clm_dagster.platform.alerts.headlines import Headline
from clm_dagster.platform.assets.extras import Extras
from clm_dagster.platform.assets.model_assets import Chart, Facts, ModelCheck
from clm_dagster.platform.assets.seed_assets import SeedCheck
from clm_dagster.platform.build_ledger.staleness import Landed
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.platform.jobs import AssetJob


# Backfill policies and owners are beta in Dagster, which would warn once per asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


@dataclass(frozen=True)
class Shop:
    """Input of a domain's `build`: the settings and the SQL project."""

    settings: Settings
    project: Project

    @classmethod
    def open(cls, settings: Settings) -> "Shop":
        """Read the SQL project of these settings. Raise ProjectError."""
        return cls(settings, load_sql(settings))


@dataclass(frozen=True)
class Domain:
    """Everything a domain provides.

    tables: the tables that its Python writes. assets: other assets that are neither SQL models nor seeds. charts,
    facts, checks: additions to SQL models, by relation (`marts.shop_daily`). seed_checks: checks by name of the seed.
    upstream: assets of this domain that an asset of another one reads outside of Dagster, such as files in a folder.
    landed: reads what has landed; of the domain that lands the shop's files. headlines: what a failed check means, in
    plain words for alerts, by the name of the check.
    """

    name: str
    tables: Sequence[AnyTable] = ()
    assets: Sequence[dg.AssetsDefinition] = ()
    charts: Mapping[str, Chart] = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, ModelCheck]] = field(default_factory=dict)
    seed_checks: Mapping[str, Mapping[str, SeedCheck]] = field(default_factory=dict)
    jobs: Sequence["AssetJob"] = ()
    schedules: Sequence[dg.ScheduleDefinition] = ()
    sensors: Sequence[dg.SensorDefinition] = ()
    upstream: Mapping[dg.AssetKey, Sequence[dg.AssetKey]] = field(default_factory=dict)
    landed: Callable[[], Landed] | None = None
    headlines: Mapping[str, Headline] = field(default_factory=dict)


def build_domains(shop: Shop) -> list[Domain]:
    """Build all domains, sorted by name."""
    return [module.build(shop) for module in domain_modules("definitions").values()]


def assets_of(domains: Sequence[Domain]) -> list[dg.AssetsDefinition]:
    """Return the assets of all domains that are neither SQL models nor seeds, with what they read of other domains."""
    added: dict[dg.AssetKey, list[dg.AssetKey]] = {}
    for domain in domains:
        for key, upstream in domain.upstream.items():
            added.setdefault(key, []).extend(upstream)
    assets = [asset for domain in domains for asset in domain.assets]
    if not added:
        return assets
    mapped = dg.map_asset_specs(
        lambda spec: spec.merge_attributes(deps=added[spec.key]) if spec.key in added else spec, assets
    )
    return list(mapped)


def landed_of(domains: Sequence[Domain]) -> Callable[[], Landed]:
    """Return what reads the landed files. Raise ProjectError unless exactly one domain lands files."""
    found = {domain.name: domain.landed for domain in domains if domain.landed is not None}
    if len(found) != 1:
        raise ProjectError(
            f"expected one domain that lands the shop's files, found {', '.join(found) or 'none'}"
        )
    (landed,) = found.values()
    return landed


def tables_of(domains: Sequence[Domain], project: Project) -> list[AnyTable]:
    """Return all Python tables in topological order: each comes after those it reads, directly or through SQL.

    Raise ProjectError for cyclic dependencies.
    """
    tables = {table.relation: table for domain in domains for table in domain.tables}
    graph = {relation: upstream_of(table, project) & set(tables) for relation, table in tables.items()}
    try:
        return [tables[relation] for relation in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise ProjectError(
            f"the Python tables have a cyclic dependency: {' -> '.join(error.args[1])}"
        ) from error


def upstream_of(table: AnyTable, project: Project) -> set[str]:
    """Return the relations that a table reads, without itself: a trained table may read its own earlier rows."""
    found: set[str] = {table.model.relation} if table.model is not None else set()
    waiting = list(table.reads)
    while waiting:
        node = project.nodes[waiting.pop()]
        if node.relation not in found:
            found.add(node.relation)
            waiting += node.refs if isinstance(node, Model) else ()
    return found - {table.relation}


def extras_of(domains: Sequence[Domain], project: Project) -> Extras:
    """Return what all domains add to SQL models and seeds.

    Raise ProjectError for an unknown model or seed, or if two domains add to the same one.
    """
    models = {model.relation for model in project.models.values()}
    return Extras(
        charts=_merge("a chart", {d.name: d.charts for d in domains}, models),
        facts=_merge("facts", {d.name: d.facts for d in domains}, models),
        checks=_merge("checks", {d.name: d.checks for d in domains}, models),
        seed_checks=_merge("checks", {d.name: d.seed_checks for d in domains}, set(project.seeds)),
    )


T = TypeVar("T")


def _merge(what: str, by_domain: Mapping[str, Mapping[str, T]], known: set[str]) -> dict[str, T]:
    owners: dict[str, str] = {}
    merged: dict[str, T] = {}
    for domain, additions in by_domain.items():
        for name, addition in additions.items():
            if name not in known:
                raise ProjectError(
                    f"the domain {domain} has {what} for {name}, which is not a model or seed of the SQL project"
                )
            if name in owners:
                raise ProjectError(f"the domains {owners[name]} and {domain} both have {what} for {name}")
            owners[name], merged[name] = domain, addition
    return merged
