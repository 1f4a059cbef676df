"""The platform's jobs.

Belongs here: which assets each job selects, by tags. Does not: what an asset does, when a job runs (`schedules`), the
jobs of a single domain (its `definitions`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.platform.executors import executor_of
from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS
from clm_dagster.platform.naming import name_of, run_tags
from clm_dagster.settings import Settings

if TYPE_CHECKING:  # the return type of `dg.define_asset_job`, which Dagster does not export
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    AssetJob = UnresolvedAssetJobDefinition


def build_jobs(settings: Settings, assets: Iterable[dg.AssetsDefinition]) -> list["AssetJob"]:
    """Return the jobs that select assets of many domains.

    assets: those of this shop; a deployment may have other assets with the same tags.

    `daily` loads and aggregates days, `snapshots` builds customer snapshots, `models` trains models, `scores` applies
    them, `publish` copies the warehouse. The tag `job` of an asset names its job. Seeds and staging views also belong
    to `snapshots`. Python tables belong to `models` if they are in the layer `models`, else to `scores`.
    """
    own = dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys))
    tag = dg.AssetSelection.tag
    published = tag("layer", "published")
    python, trained = tag("materialized", "python"), tag("layer", "models")
    return [
        asset_job(
            settings,
            DAILY,
            own & (tag("job", DAILY) | published),
            "Land new files, load events, build daily tables, publish. One run per range of days.",
        ),
        asset_job(
            settings,
            SNAPSHOTS,
            own & (tag("job", SNAPSHOTS) | tag("layer", "seed") | tag("layer", "staging") | published),
            "Build weekly customer snapshots, publish. One run per range of snapshots.",
        ),
        asset_job(
            settings,
            MODELS,
            own & python & trained,
            "Train the models at a snapshot. Each training is a run in MLflow.",
        ),
        asset_job(
            settings,
            SCORES,
            own & (tag("job", SCORES) | (python - trained) | published),
            "Score snapshots with the models, check past scores, publish. One run per range of snapshots.",
        ),
        asset_job(settings, PUBLISH, own & published, "Update the published copy of the warehouse."),
    ]


def asset_job(settings: Settings, name: str, selection: dg.AssetSelection, description: str) -> "AssetJob":
    """Return a job of this shop, with the executor of its settings, also where other jobs have another one."""
    return dg.define_asset_job(
        name_of(settings, name),
        selection,
        description=description,
        tags=run_tags(settings),
        executor_def=executor_of(settings),
    )
