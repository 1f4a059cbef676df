"""The rows that a warehouse stores of models, where a new build must give the same ones.

Belongs here: which stored rows can be compared, and whether the build ledger says that they are current. Does not:
comparing (`comparing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clm_dagster.engines.duckdb_session import write_rows
from clm_dagster.platform.build_ledger.versions import WHOLE, Builds
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.partitions import key_of_as_of
from clm_dagster.platform.warehouse import Connection


@dataclass(frozen=True)
class Stored:
    """What a warehouse stores of a model.

    path: the rows to compare; None if they cannot be compared. why: the reason. where: the rows of a new build that
    they must equal, as SQL; empty for all. is_stale: whether other code or inputs built them, by the build ledger.
    """

    path: Path | None = None
    why: str = ""
    where: str = ""
    is_stale: bool = False


def export_stored(
    connection: Connection,
    project: Project,
    model: Model,
    as_ofs: Sequence[datetime],
    days: Sequence[str],
    folder: Path,
) -> Stored:
    """Write the stored rows of a model to a Parquet file in a folder, if a new build at some as_ofs must have them.

    days: those that are loaded.
    """
    builds = Builds.read(connection)
    if model.materialized == "view":
        version = builds.stored(model.relation)
        is_stale = version is not None and version.hash != model.code_version
        return Stored(why="a view has no rows of its own", is_stale=is_stale)
    if connection.relation_kind(model.relation) != "BASE TABLE":
        return Stored(why="not stored", is_stale=model.name not in project.python_dependents)
    why, is_stale = _not_comparable(project, model, builds, as_ofs)
    if why:
        return Stored(why=why, is_stale=is_stale)
    keys, where = [WHOLE], ""
    if model.window == DAILY:
        keys = list(days)
    if model.window == SNAPSHOT:
        kept = {as_of: key for as_of in as_ofs if builds.stored(model.relation, key := key_of_as_of(as_of))}
        keys = list(kept.values())
        listed = ", ".join(f"timestamp '{as_of}'" for as_of in kept)
        where = f"as_of in ({listed})"
    path = folder / f"{model.relation}.parquet"
    write_rows(connection, f"select * from {model.relation}{f' where {where}' if where else ''}", path)
    return Stored(path, where=where, is_stale=not _are_current(project, model, builds, keys))


def _not_comparable(
    project: Project, model: Model, builds: Builds, as_ofs: Sequence[datetime]
) -> tuple[str, bool]:
    """Return why stored rows cannot equal those of a new build, and whether they are stale; empty if they can."""
    built = {key_of_as_of(as_of) for as_of in as_ofs}
    if model.window == SNAPSHOT and not any(builds.stored(model.relation, key) for key in built):
        return "these as_ofs are not stored", False
    if model.window is not None or not project.depends_on_snapshots(model.name):
        return "", False
    # A table over Python tables is renewed when these are, so newer inputs do not make it stale.
    if not _are_current(project, model, builds, [WHOLE]):
        version = builds.stored(model.relation)
        is_other_code = version is None or version.code != model.code_version[:16]
        return "older inputs", is_other_code or model.name not in project.python_dependents
    if any(not set(builds.keys(relation)) <= built for relation in _snapshots_read(project, model)):
        return "it reads all stored as_ofs", False
    return "", False


def _are_current(project: Project, model: Model, builds: Builds, keys: Sequence[str]) -> bool:
    expected = builds.expected(project, model.name, keys)
    stored = {key: builds.stored(model.relation, key) for key in keys}
    return all(version is not None and version.hash == expected[key].hash for key, version in stored.items())


def _snapshots_read(project: Project, model: Model) -> set[str]:
    """Return the relations of the snapshot models that a model reads, directly or indirectly."""
    found: set[str] = set()
    waiting = list(model.refs)
    while waiting:
        node = project.nodes[waiting.pop()]
        if isinstance(node, Model):
            waiting += node.refs
            if node.window == SNAPSHOT:
                found.add(node.relation)
    return found
