"""`clm publish` as Dagster runs, one for each destination.

Belongs here: the run, and what it sent, in words. Does not: the publication (`publishing`), options (`commands`).
"""

from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from rich.table import Table

from clm_dagster.domains.warehouses.assets import (
    destination_definitions,
    destination_job_name,
    destination_key,
)
from clm_dagster.domains.warehouses.destinations import Destination, chosen, split_destinations
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.publishing import Publication, Result, TableResult
from clm_dagster.domains.warehouses.settings import WarehouseSettings
from clm_dagster.platform.runs import Begin, close_dead_runs, execute, open_instance
from clm_dagster.settings import Settings


def destinations_of(settings: Settings, name: str | None) -> list[Destination]:
    """Return the destination of a name, all without one. Raise PublishError."""
    return chosen(split_destinations(settings.of(WarehouseSettings).publish_to), name)


def preview(settings: Settings, name: str | None, full: bool) -> Iterator[Result]:
    """Yield what would be published to each destination, without a run. Raise PublishError."""
    for each in destinations_of(settings, name):
        yield Publication(settings, each, lambda _: None, full).preview()


def publish(settings: Settings, name: str | None, full: bool, begin: Begin) -> list[Result]:
    """Publish to each destination as one Dagster run. Raise PublishError, RunFailedError, StoppedError."""
    found, results = destinations_of(settings, name), []
    with open_instance(settings) as instance:
        close_dead_runs(instance)
        for each in found:
            done = execute(
                destination_definitions(settings, each),
                instance,
                destination_job_name(settings, each),
                None,
                begin(f"Publishing to {each.name}", 1),
                config={"__".join(destination_key(settings, each).path): {"full": full, "strict": True}},
            )
            results.append(_result(settings, instance, each, done.run_id))
    return results


def _result(
    settings: Settings, instance: dg.DagsterInstance, destination: Destination, run_id: str
) -> Result:
    """Return what a run sent, from the metadata of its materialization."""
    event = instance.get_latest_materialization_event(destination_key(settings, destination))
    if event is None or event.run_id != run_id or event.asset_materialization is None:
        raise PublishError(f"the run {run_id} left no record of what it sent; look at it in the Dagster UI")
    found = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    changes = cast(list[dict[str, Any]], found["changes"])
    tables = [TableResult(**each) for each in changes]
    return Result(destination.name, str(found["destination"]), tables, cast(int, found["tables_unchanged"]))


def in_words(result: Result, is_dry: bool) -> str:
    """Return the headline of what a publication did, or would do."""
    where = f"{result.destination} ({result.title})"
    if not result.tables:
        return f"Nothing to publish to {where}: it has all {result.unchanged} tables already"
    lead = "Would publish" if is_dry else "Published"
    count = f"{len(result.tables)} tables, {result.rows:,} rows; {result.unchanged} unchanged"
    return f"{lead} to {where}: {count}"


def as_table(result: Result) -> Table:
    """Return the tables of a publication."""
    table = Table("table", "what", "partitions", "rows", box=None, header_style="bold", pad_edge=False)
    for each in result.tables:
        table.add_row(each.name, each.what, f"{each.partitions:,}", f"{each.rows:,}")
    return table
