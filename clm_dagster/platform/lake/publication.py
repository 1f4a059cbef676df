"""Publishing a lake: the number of the state that users read.

Belongs here: recording the number, and finding the newest one. Does not: reading tables (`publish.reading`).

A commit of the lake is a numbered state that never changes. So nothing is copied: publishing records the number of the
newest state, and readers attach the lake at that number. `clm vacuum` keeps it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from clm_dagster.platform.lake.catalogue import ALIAS
from clm_dagster.platform.warehouse import Connection

SCHEMA = "published"
TABLE = "published.snapshots"
# Messages of commits that change no table that users read.
# What compaction records as changes of a commit; it changes no row.
_KEEPING_ROWS = ("flushed_inlined", "merge_adjacent", "rewrite_delete")
PUBLICATION, MAINTENANCE = "clm publication", "clm maintenance"


@dataclass(frozen=True)
class Publication:
    """A published state. at: when it was published, in UTC."""

    snapshot: int
    at: datetime


def current_snapshot(connection: Connection) -> int:
    """Return the number of the state that a connection reads."""
    return int(connection.scalar(f"select id from ducklake_current_snapshot('{ALIAS}')"))


def newest_publication(connection: Connection) -> Publication | None:
    """Return what was published last."""
    if connection.relation_kind(TABLE) is None:
        return None
    rows = connection.execute(
        f"select snapshot_id, published_at from {TABLE} order by snapshot_id desc, published_at desc limit 1"
    )
    return Publication(int(rows[0][0]), rows[0][1].replace(tzinfo=UTC)) if rows else None


def publish_lake(connection: Connection) -> Publication:
    """Record the newest state as the published one."""
    now = datetime.now(UTC).replace(tzinfo=None)

    def record() -> int:
        snapshot = current_snapshot(connection)
        mark_commit(connection, PUBLICATION)
        connection.execute(f"create schema if not exists {SCHEMA}")
        connection.execute(f"create table if not exists {TABLE} (snapshot_id bigint, published_at timestamp)")
        connection.execute(f"insert into {TABLE} values (?, ?)", [snapshot, now])
        return snapshot

    return Publication(connection.run_transaction(record), now.replace(tzinfo=UTC))


def is_lake_published(connection: Connection) -> bool:
    """Whether no table has changed since the last publication."""
    last = newest_publication(connection)
    if last is None:
        return False
    changes: int = connection.scalar(
        f"select count(*) from ducklake_snapshots('{ALIAS}') where snapshot_id > ? "
        "and coalesce(commit_message, '') not in (?, ?) "
        f"and len(list_filter(map_keys(changes), lambda name: name not in {_KEEPING_ROWS})) > 0",
        [last.snapshot, PUBLICATION, MAINTENANCE],
    )
    return changes == 0


def mark_commit(connection: Connection, message: str) -> None:
    """Give the commit of the open transaction a message."""
    connection.execute(f"call {ALIAS}.set_commit_message('clm_dagster', '{message}')")
