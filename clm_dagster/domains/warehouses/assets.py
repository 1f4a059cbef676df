"""Publishing to warehouses as Dagster assets, one for each destination.

Belongs here: assets, the check, their jobs. Does not: a publication (`publishing`).

A destination belongs to the publication, and so to each job that publishes. One that cannot be reached does not stop
the shop's runs: its check fails, nothing is materialized, and the next publication sends what is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from clm_dagster.domains.warehouses.destinations import Destination
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.publishing import Publication, Result
from clm_dagster.platform.job_names import PUBLISH
from clm_dagster.platform.jobs import asset_job
from clm_dagster.platform.markdown import markdown_table
from clm_dagster.platform.naming import name_of, with_prefix
from clm_dagster.platform.publish.assets import KEY as PUBLISHED
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from clm_dagster.platform.jobs import AssetJob

CHECK = "is_published"
_ICONS = {"postgresql": "postgres"}


class PublishConfig(dg.Config):
    """Options of `clm publish`. full: whether everything is sent again. strict: whether a failure is one of the run."""

    full: bool = False
    strict: bool = False


def destination_key(settings: Settings, destination: Destination) -> dg.AssetKey:
    """Return the key of a destination."""
    return with_prefix(settings, dg.AssetKey(["published", destination.name]))


def destination_job_name(settings: Settings, destination: Destination) -> str:
    """Return the name of the job that publishes to one destination."""
    return name_of(settings, _job(destination))


def destination_asset(settings: Settings, destination: Destination) -> dg.AssetsDefinition:
    """Return the asset of a destination, with its check."""
    key = destination_key(settings, destination)

    @dg.multi_asset(
        name="__".join(key.path),
        specs=[
            dg.AssetSpec(
                key,
                deps=[with_prefix(settings, PUBLISHED)],
                group_name=name_of(settings, "published"),
                owners=["team:data"],
                kinds={_ICONS.get(destination.kind, destination.kind)} if destination.kind else set(),
                tags={"layer": "published", "job": PUBLISH},
                skippable=True,
                description=(
                    f"The tables for users in the destination {destination.name} of CLM_PUBLISH_TO. Only changed "
                    "partitions are sent. `clm publish` shows and does the same."
                ),
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset=key, description="The destination has the tables of the published copy."
            )
        ],
        pool=destination_job_name(settings, destination),
    )
    def published(
        context: dg.AssetExecutionContext, config: PublishConfig
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        try:
            result = Publication(settings, destination, context.log.info, config.full).run()
        except PublishError as error:
            if config.strict:
                raise
            yield dg.AssetCheckResult(asset_key=key, check_name=CHECK, passed=False, description=str(error))
            return
        yield dg.MaterializeResult(asset_key=key, metadata=metadata_of(result))
        count = len(result.tables) + result.unchanged
        yield dg.AssetCheckResult(
            asset_key=key, check_name=CHECK, passed=True, description=f"{result.title} has all {count} tables"
        )

    return published


def destination_jobs(settings: Settings, destinations: Sequence[Destination]) -> list["AssetJob"]:
    """Return one job for each destination."""
    return [
        asset_job(
            settings,
            _job(each),
            dg.AssetSelection.assets(destination_key(settings, each)),
            f"Publish to {each.name} what has changed in the published copy.",
        )
        for each in destinations
    ]


def destination_definitions(settings: Settings, destination: Destination) -> dg.Definitions:
    """Return what one publication needs; the whole code location takes seconds to make."""
    return dg.Definitions(
        assets=[destination_asset(settings, destination)],
        jobs=destination_jobs(settings, [destination]),
        executor=dg.in_process_executor,
    )


def _job(destination: Destination) -> str:
    return f"{PUBLISH}_{destination.name}"


def metadata_of(result: Result) -> dict[str, Any]:
    """Return the metadata of a publication: counts and names of tables, and nothing of a customer."""
    rows = [(table.name, table.what, table.partitions, table.rows) for table in result.tables]
    shown: dict[str, Any] = {
        "destination": result.title,
        "rows_sent": result.rows,
        "tables_changed": len(result.tables),
        "tables_unchanged": result.unchanged,
        "changes": dg.MetadataValue.json([asdict(table) for table in result.tables]),
    }
    if rows:
        listed = markdown_table(["table", "what", "partitions", "rows"], rows)
        shown["tables"] = dg.MetadataValue.md(listed)
    return shown
