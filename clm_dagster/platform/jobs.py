"""The platform's jobs.

Belongs here: which assets each job selects, by tags. Does not: what an asset does, when a job runs (`schedules`), the
jobs of a single domain (its `definitions`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS

if TYPE_CHECKING:  # the return type of `dg.define_asset_job`, which Dagster does not export
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    AssetJob = UnresolvedAssetJobDefinition


def build_jobs() -> list["AssetJob"]:
    """Return the jobs that select assets of many domains.

    `daily` loads and aggregates days, `snapshots` builds customer snapshots, `models` trains models, `scores` applies
    them, `publish` copies the warehouse. The tag `job` of an asset names its job. Seeds and staging views also belong
    to `snapshots`. Python tables belong to `models` if they are in the layer `models`, else to `scores`.
    """
    tag = dg.AssetSelection.tag
    published = tag("layer", "published")
    python, trained = tag("materialized", "python"), tag("layer", "models")
    return [
        dg.define_asset_job(
            DAILY,
            tag("job", DAILY) | published,
            description="Land new files, load events, build daily tables, publish. One run per range of days.",
        ),
        dg.define_asset_job(
            SNAPSHOTS,
            tag("job", SNAPSHOTS) | tag("layer", "seed") | tag("layer", "staging") | published,
            description="Build weekly customer snapshots, publish. One run per range of snapshots.",
        ),
        dg.define_asset_job(
            MODELS,
            python & trained,
            description="Train the models at a snapshot. Each training is a run in MLflow.",
        ),
        dg.define_asset_job(
            SCORES,
            tag("job", SCORES) | (python - trained) | published,
            description="Score snapshots with the models, check past scores, publish. One run per range of snapshots.",
        ),
        dg.define_asset_job(PUBLISH, published, description="Update the published copy of the warehouse."),
    ]
