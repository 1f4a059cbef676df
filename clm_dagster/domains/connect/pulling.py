"""One pull of one table, with dlt.

Belongs here: the dlt pipeline, its order with the delivery, locking. Does not: what is read (`sources`), the file in
the inbox (`delivering`), files that are copied as they are (`copying`), Dagster's assets (`assets`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from filelock import FileLock, Timeout

from clm_dagster.domains.connect.config import FILES, Connector, PulledTable
from clm_dagster.domains.connect.copying import copy_files
from clm_dagster.domains.connect.delivering import DATASET, Delivered, Place, deliver
from clm_dagster.domains.connect.errors import ConnectorError
from clm_dagster.domains.connect.secrets import Guarded
from clm_dagster.domains.connect.sources import open_source
from clm_dagster.platform.secrets import secrets_in
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from dlt import Pipeline

# What a table's materialization shows of dlt's own account of a load.
_SHOWN = ("started_at", "finished_at", "dagster/column_schema")


def place_of(settings: Settings, table: PulledTable) -> Place:
    """Return the folder of a table."""
    return Place(settings.data_dir.resolve() / "connect" / table.connector / table.name)


def pull(
    context: dg.AssetExecutionContext, settings: Settings, connector: Connector, table: PulledTable
) -> Mapping[str, Any]:
    """Pull what is new or changed of a table into the inbox. Return the metadata of its materialization.

    After an error, the next pull goes on after the last row that was delivered. Raise ConnectorError, without secrets.
    """
    place, inbox = place_of(settings, table), Path(settings.input).expanduser().resolve()
    title = f"the pull of {table.title} failed, nothing of it was delivered; `clm pull` tries again"
    with _lock(place.folder, settings, table), Guarded(title, secrets_in(connector.entry)):
        # The only use of the current time: names of files, and the bound of what a pull can have seen.
        start = datetime.now(UTC)
        if connector.kind == FILES:
            copied = copy_files(connector, table, place, inbox)
            return {"files": copied.files, "not_read": copied.hidden, "bytes": copied.size}
        loaded, key = _load(context, connector, table, place, start)
        delivered = deliver(place, table, key, inbox, start, settings.memory_limit)
    return _metadata(delivered) | {name: loaded[name] for name in _SHOWN if name in loaded}


def _metadata(delivered: Delivered) -> dict[str, Any]:
    shown: dict[str, Any] = {"rows": delivered.rows}
    if delivered.file:
        shown["file"] = delivered.file.name
    return shown


def _load(
    context: dg.AssetExecutionContext,
    connector: Connector,
    table: PulledTable,
    place: Place,
    start: datetime,
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Let dlt load what is new into the outbox. Return dagster-dlt's metadata, and the key of the table."""
    from dagster_dlt import DagsterDltResource, DagsterDltTranslator

    place.remove_incomplete()
    pipeline = _pipeline(table, place)
    opened = open_source(connector, table, start)
    # dagster-dlt drops dlt's local state first, so the cursor is always the one in the outbox.
    results = list(
        DagsterDltResource().run(
            context,
            dlt_source=opened.source,
            dlt_pipeline=pipeline,
            dagster_dlt_translator=DagsterDltTranslator(),
            loader_file_format="parquet",
        )
    )
    (result,) = results
    return dict(result.metadata or {}), opened.key


def _pipeline(table: PulledTable, place: Place) -> "Pipeline":
    import dlt

    # Nothing is sent to dlt's makers. Columns keep their names.
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["schema.naming"] = "direct"
    # The rows are in the outbox then, once.
    dlt.config["load.delete_completed_jobs"] = True
    place.outbox.mkdir(parents=True, exist_ok=True)
    return dlt.pipeline(
        f"{table.connector}__{table.name}",
        pipelines_dir=str(place.pipelines),
        destination=dlt.destinations.filesystem(str(place.outbox), warn_unsafe_layout_separators=False),
        dataset_name=DATASET,
    )


@contextmanager
def _lock(folder: Path, settings: Settings, table: PulledTable) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=settings.lock_timeout):
            yield
    except Timeout:
        raise ConnectorError(
            f"another process has been pulling {table.title} for {settings.lock_timeout:g} s (setting "
            "CLM_LOCK_TIMEOUT); try again when it has ended"
        ) from None
