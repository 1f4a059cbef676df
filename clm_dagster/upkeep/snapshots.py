"""Thinning of stored snapshots, and compaction of the warehouse.

Belongs here: deleting rows and the file of the warehouse. Does not: which snapshots are kept (`platform.retention`).
"""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import duckdb

from clm_dagster.platform import quoting
from clm_dagster.platform.build_ledger.entries import forget_entries
from clm_dagster.platform.dbt_project.building import time_column
from clm_dagster.platform.dbt_project.project import SNAPSHOT
from clm_dagster.platform.domain import Shop, build_domains, tables_of
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.resources import warehouse_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster.upkeep.freed import Freed

_BLOCK = 262_144
# A file is written anew if so much of it is free: the share, and the bytes.
_FREE_SHARE, _FREE_BYTES = 0.2, 4 << 20
_ALL = "CLM_KEEP_SNAPSHOTS is all"


def thin_snapshots(settings: Settings, keys: Sequence[str], dry_run: bool) -> Freed:
    """Delete these snapshots of all tables but those of trainings, in one transaction.

    keys: the stored snapshots that are not kept. The number is that of rows, the size an estimate.
    """
    kept = "" if settings.keep_snapshot_days is not None else _ALL
    if not keys:
        return Freed("rows of thinned snapshots", 0, 0, kept)
    as_ofs = [as_of_of_key(key, settings.end_date) for key in keys]
    columns = thinned_columns(Shop.open(settings))
    warehouse = warehouse_of(settings)
    if dry_run:
        with warehouse.connect_read_only("clm vacuum") as connection:
            return _measured(connection, columns, as_ofs, kept) if connection else Freed("", 0, 0)

    def thin(connection: Connection) -> Freed:
        freed = _measured(connection, columns, as_ofs, kept)
        for relation, column in columns.items():
            if connection.relation_kind(relation) == "BASE TABLE":
                connection.execute(f"delete from {relation} where {column} in (select unnest(?))", [as_ofs])
        forget_entries(
            connection,
            "relation in (select unnest(?)) and partition_key in (select unnest(?))",
            [list(columns), list(keys)],
        )
        return freed

    with warehouse.connect("clm vacuum") as connection:
        return connection.run_transaction(lambda: thin(connection))


def thinned_columns(shop: Shop) -> dict[str, str]:
    """Return the column of the as_of of each table of snapshots that is thinned.

    Trainings are few and say what served when. Records of decisions are the start of experiments.
    """
    project = shop.project
    found = {m.relation: time_column(m) for m in project.models.values() if m.window == SNAPSHOT}
    tables = tables_of(build_domains(shop), project)
    return found | {table.relation: "as_of" for table in tables if not (table.is_trained or table.is_record)}


def _measured(connection: Connection, columns: dict[str, str], as_ofs: Sequence[object], kept: str) -> Freed:
    rows = size = 0
    for relation, column in columns.items():
        if connection.relation_kind(relation) != "BASE TABLE":
            continue
        thinned, total = connection.execute(
            f"select count(*) filter (where {column} in (select unnest(?))), count(*) from {relation}",
            [as_ofs],
        )[0]
        if thinned:
            rows += thinned
            size += _size(connection, relation) * thinned // total
    return Freed("rows of thinned snapshots", rows, size, kept)


def _size(connection: Connection, relation: str) -> int:
    """Return about how many bytes a table takes; 0 in a lake, whose files stay until their state expires."""
    if connection.is_lake:
        return 0
    storage = f"pragma_storage_info({quoting.text(relation)})"
    blocks: int = connection.scalar(f"select count(distinct block_id) from {storage} where block_id >= 0")
    return blocks * _BLOCK


def compact(settings: Settings, dry_run: bool, expected: int = 0) -> Freed:
    """Write the warehouse to a new file without its free blocks, if many are free, and replace it atomically.

    expected: bytes that an earlier part of a dry run would have freed.
    """
    kind = "free blocks of the warehouse"
    path = settings.warehouse_path
    if not path.exists():
        return Freed(kind, 0, 0)
    scratch = scratch_of(path)
    before = path.stat().st_size
    warehouse = warehouse_of(settings)
    if dry_run:
        with warehouse.connect_read_only("clm vacuum") as connection:
            free = _free(connection, path, path.stem) + expected if connection else 0
        return Freed(
            kind, free // _BLOCK if _is_worth(free, before) else 0, free if _is_worth(free, before) else 0
        )
    with warehouse.locked_file("clm vacuum") as file:
        for stale in (scratch, Path(f"{scratch}.wal")):
            stale.unlink(missing_ok=True)
        with closing(duckdb.connect(config={"memory_limit": settings.memory_limit})) as raw:
            raw.execute(f"attach {quoting.text(file)} as old (read_only)")
            free = _free(Connection(raw), file, "old")
            if not _is_worth(free, before):
                return Freed(
                    kind,
                    0,
                    0,
                    f"{free / 1e6:,.1f} MB are free, too few to write the file anew" if free else "",
                )
            raw.execute(f"attach {quoting.text(scratch)} as new")
            raw.execute("copy from database old to new").fetchall()
            raw.execute("checkpoint new").fetchall()
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.chmod(0o600)
        scratch.replace(file)
    return Freed(kind, free // _BLOCK, max(before - path.stat().st_size, 0))


def scratch_of(warehouse: Path) -> Path:
    """Return where the new file is written."""
    return warehouse.with_name(f".{warehouse.name}.compacting")


def _is_worth(free: int, size: int) -> bool:
    return free >= max(_FREE_BYTES, _FREE_SHARE * size)


def _free(connection: Connection, path: Path, database: str) -> int:
    """Return the bytes of free blocks. DuckDB also counts those that it has cut off at the end of the file."""
    free, used = connection.execute(
        "select block_size * free_blocks, block_size * used_blocks from pragma_database_size() where database_name = ?",
        [database],
    )[0]
    return max(min(int(free), path.stat().st_size - int(used)), 0)
