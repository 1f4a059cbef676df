"""Files of a data folder that nothing needs: landed parts that were superseded, and what killed processes left.

Belongs here: finding and deleting them. Does not: files of the MLflow store (`models`) or of Dagster (`run_history`).
"""

import time
from collections.abc import Iterator
from pathlib import Path

from clm_dagster.domains.ingest.landing import Landing
from clm_dagster.settings import Settings
from clm_dagster.upkeep.freed import Freed, delete, size_of
from clm_dagster.upkeep.snapshots import scratch_of

# A file that a process writes right now is younger.
_SECONDS = 3_600
# Folders in which files are written under a temporary name first.
_FOLDERS = ("landing", "dagster", "published", "connect", "cache", "reports", "exports")


def free_landed(settings: Settings, dry_run: bool) -> Freed:
    """Delete landed parts that no delivery names. All rows of a delivery, accepted or rejected, are kept."""
    kind, landing = "landed files that were superseded", Landing(settings.landing_dir)
    if not settings.landing_dir.exists():
        return Freed(kind, 0, 0)
    with landing.locked():
        unused = landing.unused_parts()
        size = sum(map(size_of, unused))
        if not dry_run:
            delete(unused)
    count = len(landing.deliveries())
    rest = size_of(settings.landing_dir) - (size if dry_run else 0)
    kept = f"{count:,} deliveries, {rest / 1e6:,.1f} MB: nothing else has all their rows; tables are loaded from them"
    return Freed(kind, len(unused), size, kept)


def free_temporary(settings: Settings, dry_run: bool) -> Freed:
    """Delete what killed processes left behind: temporary files, and parts of publications."""
    found = [path for path in _temporary(settings) if path.exists()]
    size = sum(map(size_of, found))
    if not dry_run:
        delete(found)
    return Freed("temporary files", len(found), size)


def free_standby(settings: Settings, dry_run: bool) -> Freed:
    """Delete the second published copy, which only saves the next publication from writing all blocks."""
    published = settings.published_path
    found = [p for p in published.parent.glob(f".{published.name}.*") if p.suffix in (".standby", ".retired")]
    size = sum(map(size_of, found))
    if not dry_run:
        delete(found)
    return Freed(
        "unused published copies", len(found), size, "the published copy" if published.exists() else ""
    )


def _temporary(settings: Settings) -> Iterator[Path]:
    home, warehouse = settings.data_dir.resolve(), settings.warehouse_path
    yield Path(f"{warehouse}.tmp")  # DuckDB's, which it makes anew
    scratch = scratch_of(warehouse)
    yield from (scratch, Path(f"{scratch}.wal"))
    latest = time.time() - _SECONDS
    for folder in (home, *(home / name for name in _FOLDERS)):
        pattern = ".*.tmp" if folder == home else "**/.*.tmp"
        yield from (path for path in folder.glob(pattern) if path.stat().st_mtime < latest)
