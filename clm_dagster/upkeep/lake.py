"""`clm vacuum` of a lake: what is freed of its catalogue and its files.

Belongs here: the order of the parts, and their names for people. Does not: the maintenance itself
(`platform.lake.maintenance`).
"""

from datetime import timedelta

from clm_dagster.platform.lake.maintenance import FILE_AGE, compact, delete_files, expire
from clm_dagster.platform.publish.publishing import is_published, last_published, publish_warehouse
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.settings import Settings
from clm_dagster.upkeep.freed import Freed


def free_lake(settings: Settings, dry_run: bool, was_published: bool) -> list[Freed]:
    """Merge small files, forget states that the setting does not keep, and delete files that nothing needs.

    was_published: whether the newest state was the published one; it is published again, if rows were thinned.
    """
    warehouse = warehouse_of(settings)
    keep = timedelta(days=settings.lake_keep_days)
    with warehouse.connect_read_only("clm vacuum") as found:
        if found is None:
            return []
    with warehouse.connect("clm vacuum") as connection:
        entries, flushed, merged = compact(connection, dry_run)
    if not dry_run and was_published and not is_published(settings):
        publish_warehouse(settings, warehouse)
    with warehouse.connect("clm vacuum") as connection:
        expired, left = expire(connection, keep, dry_run)
        files, orphans = delete_files(connection, is_dry=dry_run)
    published = last_published(settings)
    shown = f"; {published.place} is published" if published else ""
    days = f"{settings.lake_keep_days:g}"
    age = f"younger than {FILE_AGE.days} day: a process may still use them"
    return [
        Freed("replaced rows of the build ledger", entries, 0),
        Freed("rows of small writes, moved to files", flushed, 0),
        Freed("small files merged", merged, 0, "all rows, and all earlier states"),
        Freed(f"states of the lake older than {days} days", expired, 0, f"{left} states{shown}"),
        Freed("files of expired states", files, 0, age),
        Freed("files that no commit names", orphans, 0, age),
    ]
