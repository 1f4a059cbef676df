"""Publishing the warehouse, and what was published.

Belongs here: what publication means for a DuckDB file and for a lake. Does not: copying the file (`copying`), the
numbers of a lake's states (`lake.publication`), reading tables (`reading`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from clm_dagster.platform.lake.publication import is_lake_published, newest_publication, publish_lake
from clm_dagster.platform.publish.copying import looks_equal, publish
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Warehouse
from clm_dagster.settings import Settings


@dataclass(frozen=True)
class Published:
    """What was published last. place: where people find it. stamp: changes with every publication."""

    place: str
    at: datetime
    stamp: int


def publish_warehouse(settings: Settings, warehouse: Warehouse) -> dict[str, float]:
    """Publish the warehouse; return figures for the UI: the size, or the number of a lake's state."""
    if warehouse.is_lake:
        with warehouse.connect("publication") as connection:
            return {"snapshot": publish_lake(connection).snapshot}
    with warehouse.locked_file("publication") as path:
        copied = publish(path, settings.published_path)
    return {"size_mb": round(copied.size / 1e6, 2), "written_mb": round(copied.written / 1e6, 2)}


def is_published(settings: Settings) -> bool:
    """Whether what is published is as new as the warehouse, and whole. True where there is no warehouse yet."""
    if settings.has_lake:
        with warehouse_of(settings).connect_read_only("publication") as connection:
            return connection is None or is_lake_published(connection)
    source, target = settings.warehouse_path, settings.published_path
    if not source.exists():
        return True
    is_newer = target.exists() and target.stat().st_mtime_ns >= source.stat().st_mtime_ns
    return is_newer and looks_equal(source, target)


def last_published(settings: Settings) -> Published | None:
    """Return what was published last; None before a first publication."""
    if settings.has_lake:
        warehouse = warehouse_of(settings)
        with warehouse.connect_read_only("publication") as connection:
            found = newest_publication(connection) if connection else None
        if found is None:
            return None
        return Published(
            f"snapshot {found.snapshot} of the lake {warehouse.database}", found.at, found.snapshot
        )
    path = settings.published_path
    if not path.exists():
        return None
    state = path.stat()
    return Published(str(path), datetime.fromtimestamp(state.st_mtime, UTC), state.st_mtime_ns)


def published_place(settings: Settings) -> str:
    """Return where people find what is published, for messages."""
    if settings.has_lake:
        return f"the lake {warehouse_of(settings).database}"
    return str(settings.published_path)
