"""What models read of the warehouse, as Parquet files: raw tables, seeds and the tables that Python writes.

Belongs here: choosing as_ofs, exporting inputs. Does not: the rows that the warehouse stores of models (`stored`),
building (`verifying`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clm_dagster.engines.duckdb_engine import opened
from clm_dagster.engines.duckdb_session import write_rows
from clm_dagster.errors import UserError
from clm_dagster.platform import quoting
from clm_dagster.platform.build_ledger.versions import EVENTS, Builds
from clm_dagster.platform.dbt_project.building import load_seed
from clm_dagster.platform.dbt_project.project import SNAPSHOT, Model, Node, Project, Seed
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


class NothingToVerifyError(UserError, LookupError):
    """The warehouse does not have what a verification needs. The message says what to do."""


@dataclass(frozen=True)
class Inputs:
    """Files of inputs by name of the node, the as_ofs to build, and the days that are loaded, in order."""

    files: Mapping[str, Path]
    as_ofs: tuple[datetime, ...]
    days: Sequence[str]


def export_inputs(
    connection: Connection,
    project: Project,
    settings: Settings,
    names: Sequence[str],
    as_ofs: Sequence[datetime],
    folder: Path,
) -> Inputs:
    """Write inputs to Parquet files in a folder.

    names: of nodes; models among them are left out. as_ofs: empty for the newest stored snapshot and the one half-way
    to it. Raise NothingToVerifyError.
    """
    builds = Builds.read(connection)
    days = builds.keys(EVENTS)
    if not days:
        raise NothingToVerifyError("the warehouse has no loaded day yet; run `clm run` first")
    chosen = tuple(sorted(set(as_ofs))) or _default_as_ofs(project, builds, settings)
    files = {}
    # Seeds are read from their files, which a read-only connection cannot load.
    with opened(None, settings, threads=1) as scratch:
        for name in names:
            node = project.nodes[name]
            path = folder / f"{node.relation}.parquet"
            if isinstance(node, Seed):
                load_seed(scratch, node, node.name)
                write_rows(scratch, f"select * from {node.name}", path)
            elif not isinstance(node, Model):
                _export(connection, node, path)
            else:
                continue
            files[name] = path
    return Inputs(files, chosen, days)


def _default_as_ofs(project: Project, builds: Builds, settings: Settings) -> tuple[datetime, ...]:
    """Return the newest as_of that all snapshot models store, and the one half-way between the first and it."""
    relations = [model.relation for model in project.models.values() if model.window == SNAPSHOT]
    keys = sorted(set.intersection(*(set(builds.keys(relation)) for relation in relations)))
    if not keys:
        raise NothingToVerifyError(
            "the warehouse has no snapshot that all models have; run `clm run` first, or give a date with --as-of"
        )
    half = keys[(len(keys) - 1) // 2]
    return tuple(as_of_of_key(key, settings.end_date) for key in sorted({half, keys[-1]}))


def _export(connection: Connection, node: Node, path: Path) -> None:
    """Write a table to a file; one that does not exist as an empty one."""
    is_stored = connection.relation_kind(node.relation) is not None
    stored = connection.columns(f"select * from {node.relation}") if is_stored else {}
    # A table of an older version may lack columns. The next build of a model adds them.
    missing = [
        f"cast(null as {kind}) as {quoting.name(name)}"
        for name, kind in node.types.items()
        if name not in stored
    ]
    listed = ", ".join([*map(quoting.name, stored), *missing])
    rows = node.relation if is_stored else "(select 1) where false"
    write_rows(connection, f"select {listed} from {rows}", path)
