"""Reading the published copy.

Belongs here: opening it. Does not: what is read, writing the copy (`copying`).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from clm_dagster.platform.duckdb_files import open_when_free
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings, SettingsError


@contextmanager
def connect_published(settings: Settings, purpose: str) -> Iterator[Connection]:
    """Open the published copy read-only for the duration of the block.

    purpose: what reads, for messages. Raise SettingsError if nothing was published, WarehouseBusyError if it is locked.
    """
    path = settings.published_path
    if not path.exists():
        raise SettingsError(f"{path} does not exist: nothing has been published yet; run `clm run` first")
    with closing(open_when_free(str(path), purpose, settings.lock_timeout, read_only=True)) as raw:
        yield Connection(raw)
