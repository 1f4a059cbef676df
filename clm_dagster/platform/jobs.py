"""Jobs: what runs together.

Belongs here: which assets each job of the platform holds, by their tags. Does not: what an asset does, when a job runs
(`schedules`), a job of one domain (its `definitions`).
"""

from typing import TYPE_CHECKING

import dagster as dg

from clm_dagster.platform.job_names import DAILY, MODELS, PUBLISH, SCORES, SNAPSHOTS

if TYPE_CHECKING:  # what `dg.define_asset_job` makes: Dagster does not export it
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )


def build_jobs() -> list["AssetJob"]:
    """The jobs that hold assets of many domains.

    `daily` loads and rolls up days, `snapshots` builds states of customers, `models` trains, `scores` says what the
    models say, `publish` copies. An asset is in the job of its tag `job`; rules that people edit and staging views are
    in `snapshots` too, and a table that Python writes is trained if it is in the layer `models`.
    """
    tag = dg.AssetSelection.tag
    published = tag("layer", "published")
    python, trained = tag("materialized", "python"), tag("layer", "models")
    return [
        dg.define_asset_job(
            DAILY,
            tag("job", DAILY) | published,
            description="Land new files, load days of events and roll them up, publish. One run for a range.",
        ),
        dg.define_asset_job(
            SNAPSHOTS,
            tag("job", SNAPSHOTS) | tag("layer", "seed") | tag("layer", "staging") | published,
            description="The state of every customer at the end of each week, publish. One run for a range.",
        ),
        dg.define_asset_job(
            MODELS,
            python & trained,
            description="Train models on the state of every customer at a snapshot; each is a run in MLflow.",
        ),
        dg.define_asset_job(
            SCORES,
            tag("job", SCORES) | (python - trained) | published,
            description="What the models say of every customer at a snapshot, grades, publish. One run for a range.",
        ),
        dg.define_asset_job(PUBLISH, published, description="Copy the warehouse to where people read it."),
    ]
