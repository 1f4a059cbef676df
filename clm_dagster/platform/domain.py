"""What a domain is given, what it offers, and all of them put together.

Belongs here: the shape in which a domain hands over its parts, and their order. Does not: any domain. Each has a
`definitions.py` with one function, `build(shop: Shop) -> Domain`, and is found there.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeVar

import dagster as dg

from clm_dagster.discovery import domain_modules
from clm_dagster.platform.assets.extras import Extras
from clm_dagster.platform.assets.model_assets import Chart, Facts, ModelCheck
from clm_dagster.platform.assets.seed_assets import SeedCheck
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.platform.jobs import AssetJob


# Partition backfill policies and owners are beta in Dagster; it would say so once for each asset.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


@dataclass(frozen=True)
class Shop:
    """What a domain is given to build itself: the settings and the SQL project."""

    settings: Settings
    project: Project

    @classmethod
    def open(cls, settings: Settings) -> "Shop":
        """Read the SQL project of these settings. Raise ProjectError."""
        return cls(settings, load_sql(settings))


@dataclass(frozen=True)
class Domain:
    """What a domain offers.

    `tables` are those that its Python writes, `assets` any other that is no model and no seed. `charts`,
    `facts` and `checks` are those of SQL models, by relation (`marts.shop_daily`); `seed_checks` by the seed's name.
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


def build_domains(shop: Shop) -> list[Domain]:
    """Every domain that there is, in the order of names."""
    return [module.build(shop) for module in domain_modules("definitions").values()]


def tables_of(domains: Sequence[Domain], project: Project) -> list[AnyTable]:
    """Every table that Python writes; each comes after those it reads, directly or through SQL.

    Raise ProjectError for tables that read each other in a circle.
    """
    tables = {table.relation: table for domain in domains for table in domain.tables}
    graph = {relation: _upstream(table, project) & set(tables) for relation, table in tables.items()}
    try:
        return [tables[relation] for relation in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise ProjectError(
            f"tables that Python writes read each other in a circle: {' -> '.join(error.args[1])}"
        ) from error


def _upstream(table: AnyTable, project: Project) -> set[str]:
    """The relations that a table reads; not itself, whose earlier rows a trained table carries over."""
    found: set[str] = {table.model.relation} if table.model is not None else set()
    waiting = list(table.reads)
    while waiting:
        node = project.nodes[waiting.pop()]
        if node.relation not in found:
            found.add(node.relation)
            waiting += node.refs if isinstance(node, Model) else ()
    return found - {table.relation}


def extras_of(domains: Sequence[Domain], project: Project) -> Extras:
    """What all domains add to SQL models and seeds.

    Raise ProjectError where that names a model or a seed that is not there, or two domains mean the same.
    """
    models = {model.relation for model in project.models.values()}
    return Extras(
        charts=_together("a chart", {d.name: d.charts for d in domains}, models),
        facts=_together("facts", {d.name: d.facts for d in domains}, models),
        checks=_together("checks", {d.name: d.checks for d in domains}, models),
        seed_checks=_together("checks", {d.name: d.seed_checks for d in domains}, set(project.seeds)),
    )


T = TypeVar("T")


def _together(what: str, offered: Mapping[str, Mapping[str, T]], known: set[str]) -> dict[str, T]:
    owners: dict[str, str] = {}
    together: dict[str, T] = {}
    for domain, things in offered.items():
        for name, thing in things.items():
            if name not in known:
                raise ProjectError(
                    f"the domain {domain} has {what} of {name}, which is no model and no seed of the SQL project"
                )
            if name in owners:
                raise ProjectError(f"both domains {owners[name]} and {domain} have {what} of {name}")
            owners[name], together[name] = domain, thing
    return together
