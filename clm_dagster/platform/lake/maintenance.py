"""Maintenance of a lake: earlier states, small files, files that nothing needs.

Belongs here: what `clm vacuum` does with a lake. Does not: thinning rows, which is the same for a file (`upkeep`).

Every write of a lake adds files and keeps the old ones, for reading tables as they were. A killed process leaves files
that no commit names. Published states are kept as long as any other, and the last one for ever.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from clm_dagster.platform.build_ledger.entries import drop_replaced
from clm_dagster.platform.lake.catalogue import ALIAS
from clm_dagster.platform.lake.publication import (
    MAINTENANCE,
    current_snapshot,
    mark_commit,
    newest_publication,
)
from clm_dagster.platform.warehouse import Connection

# A table is written anew if so much of a file's rows is deleted.
_REWRITTEN_SHARE = 0.3
# A process may still write a file that is in no commit yet, or read one that a commit has replaced.
FILE_AGE = timedelta(days=1)


def compact(connection: Connection, is_dry: bool = False) -> tuple[int, int, int]:
    """Write small files into larger ones, and files with many deleted rows anew; keep all rows and all states.

    Return the numbers of ledger entries, of rows from the catalogue and of files.
    """
    if is_dry:
        return drop_replaced(connection, True), 0, _mergeable(connection)

    def drop() -> int:
        mark_commit(connection, MAINTENANCE)
        return drop_replaced(connection, False)

    entries = connection.run_transaction(drop)
    # Each of these is a commit of its own: DuckLake does not mix them.
    flushed = _call(connection, "ducklake_flush_inlined_data")
    merged = _call(connection, "ducklake_merge_adjacent_files")
    rewritten = _call(connection, "ducklake_rewrite_data_files", f"delete_threshold => {_REWRITTEN_SHARE}")
    return entries, sum(row[2] for row in flushed), sum(row[2] for row in (*merged, *rewritten))


def expire(connection: Connection, older_than: timedelta, is_dry: bool = False) -> tuple[int, int]:
    """Forget states that are older, but never the newest and the published one. Return how many, and what remains."""
    kept = {current_snapshot(connection)}
    published = newest_publication(connection)
    if published:
        kept.add(published.snapshot)
    before = datetime.now(UTC) - older_than
    rows = connection.execute(
        f"select snapshot_id, snapshot_time < ?::timestamptz from ducklake_snapshots('{ALIAS}')", [before]
    )
    old = [number for number, is_old in rows if is_old and number not in kept]
    if old and not is_dry:
        _call(connection, "ducklake_expire_snapshots", f"versions => {old}")
    return len(old), len(rows) - len(old)


def delete_files(
    connection: Connection, older_than: timedelta = FILE_AGE, is_dry: bool = False
) -> tuple[int, int]:
    """Delete files that no state needs. Return how many, and how many others that no commit names.

    older_than: since they are not needed, or since they were written.
    """
    options = f"older_than => now() - interval '{older_than.total_seconds():.0f} seconds'"
    if is_dry:
        options += ", dry_run => true"
    old = _call(connection, "ducklake_cleanup_old_files", options)
    orphans = _call(connection, "ducklake_delete_orphaned_files", options)
    return len(old), len(orphans)


def _mergeable(connection: Connection) -> int:
    """Return about how many files would be merged: all of the tables that have several small ones."""
    count: int = connection.scalar(
        "select coalesce(sum(file_count), 0)::bigint from ducklake_table_info('lake') "
        "where file_count > 1 and file_size_bytes < file_count * 16000000"
    )
    return count


def _call(connection: Connection, function: str, options: str = "") -> list[tuple[Any, ...]]:
    return connection.execute(f"call {function}('{ALIAS}'{', ' if options else ''}{options})")
