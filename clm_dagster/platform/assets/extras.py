"""All assets of the SQL project, and what domains add to them.

Belongs here: the entry point for `definitions` and the domains. Does not: creating a single asset (`node_assets`,
`seed_assets`, `model_assets`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

from clm_dagster.platform.assets.model_assets import Additions, Chart, Facts, ModelCheck, model_asset
from clm_dagster.platform.assets.seed_assets import SeedCheck, seed_asset
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import Settings


@dataclass(frozen=True)
class Extras:
    """Additions of the domains to assets: charts, facts and checks of models by relation, checks of seeds by name."""

    charts: Mapping[str, Chart] = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, ModelCheck]] = field(default_factory=dict)
    seed_checks: Mapping[str, Mapping[str, SeedCheck]] = field(default_factory=dict)

    def of_model(self, relation: str) -> Additions:
        """Return the additions to one model."""
        return Additions(self.charts.get(relation), self.facts.get(relation), self.checks.get(relation, {}))


def sql_assets(project: Project, settings: Settings, extras: Extras) -> list[dg.AssetsDefinition]:
    """Return one asset for each model and each seed."""
    seeds = [
        seed_asset(project, seed, settings, extras.seed_checks.get(seed.name, {}))
        for seed in project.seeds.values()
    ]
    models = [
        model_asset(project, model, settings, extras.of_model(model.relation))
        for model in project.models.values()
    ]
    return seeds + models
