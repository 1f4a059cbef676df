"""The rows that a warehouse stores of models, where a new build must give the same ones.

Belongs here: which stored rows can be compared, and whether the build ledger says that they are current. Does not:
comparing (`comparing`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clm_dagster.engines.duckdb_session import write_rows
from clm_dagster.engines.inputs import Inputs
from clm_dagster.platform.build_ledger.versions import WHOLE, Builds
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Project
from clm_dagster.platform.partitions import as_of_of_key, key_of_as_of
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings


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
    settings: Settings,
    names: Sequence[str],
    needed: Sequence[str],
    inputs: Inputs,
    folder: Path,
) -> dict[str, Stored]:
    """Write the stored rows that a new build over the inputs must give to Parquet files in a folder.

    names: of models. needed: of all nodes that they read, and of themselves, in topological order.
    """
    builds = Builds.read(connection)
    calendar = _calendar(inputs.as_ofs, settings)
    keys = {
        name: _keys(project.models[name], builds, calendar, inputs)
        for name in needed
        if name in project.models
    }
    stale = _stale(project, builds, keys)
    found = {}
    for name in names:
        model = project.models[name]
        why = _why_not(connection, project, model, builds, keys[name], set(calendar.values()))
        if why:
            found[name] = Stored(why=why, is_stale=name in stale)
            continue
        where = ""
        if model.window == SNAPSHOT:
            listed = ", ".join(f"timestamp '{as_of}'" for as_of, key in calendar.items() if key in keys[name])
            where = f"as_of in ({listed})"
        path = folder / f"{model.relation}.parquet"
        write_rows(connection, f"select * from {model.relation}{f' where {where}' if where else ''}", path)
        found[name] = Stored(path, where=where, is_stale=name in stale)
    return found


def _calendar(as_ofs: Sequence[datetime], settings: Settings) -> dict[datetime, str]:
    """Return the snapshot keys of the as_ofs that are those of a snapshot; any other instant can be built as well."""
    keys = {as_of: key_of_as_of(as_of) for as_of in as_ofs}
    return {as_of: key for as_of, key in keys.items() if as_of_of_key(key, settings.end_date) == as_of}


def _keys(model: Model, builds: Builds, calendar: Mapping[datetime, str], inputs: Inputs) -> list[str]:
    """Return the partitions of a model that a new build gives as well."""
    if model.window == DAILY:
        return list(inputs.days)
    if model.window == SNAPSHOT:
        return [key for key in calendar.values() if builds.stored(model.relation, key) is not None]
    return [WHOLE]


def _stale(project: Project, builds: Builds, keys: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the models that other code or inputs built, or that read such a model. A view has code alone.

    A view or table over Python tables is made when these are, so that only other code makes it stale. keys: the
    partitions of models, in topological order.
    """
    found, behind = set[str](), set[str]()
    for name in keys:
        model = project.models[name]
        is_late = model.materialized == "view" or name in project.python_dependents
        is_own = (
            _has_other_code(model, builds) if is_late else not _is_current(project, model, builds, keys[name])
        )
        if is_own or (behind.intersection(model.refs) and not is_late):
            found.add(name)
        if name in found or behind.intersection(model.refs):
            behind.add(name)
    return found


def _has_other_code(model: Model, builds: Builds) -> bool:
    version = builds.stored(model.relation)
    return version is not None and version.code[:16] != model.code_version[:16]


def _is_current(project: Project, model: Model, builds: Builds, keys: Sequence[str]) -> bool:
    expected = builds.expected(project, model.name, keys)
    stored = {key: builds.stored(model.relation, key) for key in keys}
    return all(version is not None and version.hash == expected[key].hash for key, version in stored.items())


def _why_not(
    connection: Connection,
    project: Project,
    model: Model,
    builds: Builds,
    keys: Sequence[str],
    built: set[str],
) -> str:
    """Return why the stored rows of a model cannot be compared with those of a new build; empty if they can.

    keys: the partitions that both have. built: the snapshots that are built.
    """
    if model.materialized == "view":
        return "a view has no rows of its own"
    if connection.relation_kind(model.relation) != "BASE TABLE":
        return "not stored"
    if not keys:
        return "these as_ofs are not stored"
    if model.window is not None or not project.depends_on_snapshots(model.name):
        return ""
    if not _is_current(project, model, builds, keys):
        return "built from earlier inputs"
    others = any(not set(builds.keys(relation)) <= built for relation in _snapshots_read(project, model))
    return "it reads all stored as_ofs" if others else ""


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
