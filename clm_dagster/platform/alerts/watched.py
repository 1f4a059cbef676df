"""What belongs to a shop, among everything in its deployment.

Belongs here: its assets, checks and runs. Does not: their state (`collecting`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from clm_dagster.platform.alerts.headlines import PLATFORM, Headline
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.domain import Domain, Shop
from clm_dagster.platform.naming import SHOP_TAG, is_own_run
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.settings import Settings


@dataclass(frozen=True)
class Watched:
    """A shop as alerts see it. headlines: words for failed checks, by the name of the check."""

    settings: Settings
    project: Project
    tables: Sequence[AnyTable]
    assets: frozenset[dg.AssetKey]
    checks: tuple[dg.AssetCheckKey, ...]
    headlines: Mapping[str, Headline]

    @classmethod
    def of(
        cls,
        shop: Shop,
        tables: Sequence[AnyTable],
        domains: Sequence[Domain],
        assets: Iterable[dg.AssetsDefinition],
    ) -> "Watched":
        """Return what belongs to a shop. assets: all of its own."""
        own = list(assets)
        headlines = {name: line for domain in domains for name, line in domain.headlines.items()}
        return cls(
            shop.settings,
            shop.project,
            tables,
            frozenset(key for asset in own for key in asset.keys),
            tuple(key for asset in own for key in asset.check_keys),
            {**PLATFORM, **headlines},
        )

    @property
    def name(self) -> str:
        """The name of the shop in messages."""
        return self.settings.asset_prefix or self.settings.source

    def owns(self, run: dg.DagsterRun) -> bool:
        """Whether a run is of this shop. One without a prefix leaves those of its neighbours alone."""
        if self.settings.asset_prefix:
            return is_own_run(self.settings, run)
        selected = run.asset_selection
        return SHOP_TAG not in run.tags and (not selected or not self.assets.isdisjoint(selected))
