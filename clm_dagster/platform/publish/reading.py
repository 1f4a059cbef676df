"""Reading the published copy.

Belongs here: opening it. Does not: what is read, writing the copy (`copying`).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from clm_dagster.platform.duckdb_files import open_when_free
from clm_dagster.platform.lake.warehouse import lake_of
from clm_dagster.platform.publish.publishing import last_published
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, SettingsError


@contextmanager
def connect_published(settings: Settings, purpose: str) -> Iterator[Connection]:
    """Open the published copy read-only for the duration of the block.

    purpose: what reads, for messages. Raise SettingsError if nothing was published, WarehouseBusyError if it is locked.
    """
    if settings.has_lake:
        with _connect_lake(settings, purpose) as connection:
            yield connection
        return
    path = settings.published_path
    if not path.exists():
        raise SettingsError(f"{path} does not exist: nothing has been published yet; run `clm run` first")
    with closing(open_when_free(str(path), purpose, settings.lock_timeout, read_only=True)) as raw:
        yield Connection(raw)


@contextmanager
def _connect_lake(settings: Settings, purpose: str) -> Iterator[Connection]:
    """Open the lake at the state that was published last. Steps that write it meanwhile do not change it."""
    published = last_published(settings)
    lake = lake_of(settings)
    if published is None:
        raise SettingsError(f"nothing has been published in {lake.database} yet; run `clm run` first")
    with lake.at_snapshot(published.stamp, purpose) as connection:
        yield connection
