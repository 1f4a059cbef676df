"""The published copy as a source of rows for other databases.

Belongs here: its partitions, versions, fingerprints, files of rows. Does not: what to send (`difference`), how a
database writes a value (`targets`).

The copy is one state of the warehouse that no run changes, and nothing is locked while rows travel.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from clm_dagster.domains.warehouses.difference import NO_DAY, WHOLE, Change, Part, Published, change_of
from clm_dagster.domains.warehouses.tables import Column, Table, choose, is_view, table_of, upstream
from clm_dagster.platform import quoting
from clm_dagster.platform.build_ledger.versions import WHOLE as UNPARTITIONED
from clm_dagster.platform.build_ledger.versions import Builds
from clm_dagster.platform.dbt_project.project import SNAPSHOT, Model, Node, Project, Seed, Source
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.publish.reading import connect_published
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings

_VIEW = "published_view"
# What stands for a null in a file.
NULL = "\\N"
# Ids of guests hold the hash of an address, by which other companies know a person.
_GUEST = "guest:"


@dataclass
class Copy:
    """The published copy, open. personal: whether personal data is published. _view: the view that is computed."""

    connection: Connection
    project: Project
    settings: Settings
    builds: Builds
    personal: bool
    _view: str = ""

    @classmethod
    @contextmanager
    def open(cls, project: Project, settings: Settings, personal: bool, scratch: Path) -> Iterator["Copy"]:
        """Open the copy for the duration of the block. scratch: folder for what does not fit into memory."""
        with connect_published(settings, "publication to a warehouse") as connection:
            connection.execute(f"set memory_limit = {quoting.text(settings.memory_limit)}")
            connection.execute(f"set temp_directory = {quoting.text(scratch / 'spill')}")
            if settings.threads:
                connection.execute(f"set threads = {settings.threads}")
            yield cls(connection, project, settings, Builds.read(connection), personal)

    def tables(self, text: str) -> dict[Table, Node]:
        """Return the tables of a selection with their nodes; without columns those that were not built."""
        found = {}
        for node in choose(self.project, text).values():
            exists = self.connection.relation_kind(node.relation) is not None
            kinds = self.connection.columns(f"select * from {node.relation}") if exists else {}
            found[table_of(node, kinds, self.personal)] = node
        return found

    def change(self, table: Table, node: Node, before: Published | None, shop: str) -> Change:
        """Return what has to be done so that a destination has this table. before: what it has."""
        if not table.columns and before is not None:
            # Not built, or not any more: the table stays, with its grants, and is empty.
            columns = tuple(Column(name, kind) for name, kind in before.columns.items())
            return change_of(replace(table, columns=columns), shop, "", before, {})
        is_same = before is not None and dict(before.columns) == {c.name: c.kind for c in table.columns}
        gate = self._gate(node) if is_view(node) else ""
        if before is not None and is_same and gate and gate == before.gate:
            return change_of(table, shop, gate, before, before.parts)
        known = before.parts if before is not None and is_same else {}
        stated = self._stated(node, table)
        parts: dict[str, Part] | None = None
        if stated is not None:
            parts = self._by_versions(table, stated, known)
        if parts is None:
            parts = self._fingerprints(table, node, None)
        return change_of(table, shop, gate, before, parts)

    def write(self, change: Change, path: Path, expression: Callable[[Column], str], suffix: str) -> None:
        """Write the rows to send to a file.

        expression: how the destination reads a column, in DuckDB's SQL. suffix: the format.
        """
        table = change.table
        listed = ", ".join(f"{expression(c)} as {quoting.name(c.name)}" for c in table.columns)
        where = _where(table, None if len(change.send) == len(change.parts) else change.send)
        quoted = [quoting.name(c.name) for c in table.columns if is_text(c)]
        force = f", force_quote ({', '.join(quoted)})" if quoted else ""
        compression = "gzip" if suffix.endswith(".gz") else "none"
        written = (
            "format json"
            if suffix.startswith(".json")
            else f"format csv, header false, quote '\"', escape '\"', nullstr {quoting.text(NULL)}{force}"
        )
        rows = f"select {self._values(table)} from {self._relation(table)} where {where}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection.execute(
            f"copy (select {listed} from ({rows})) to {quoting.text(path)} ({written}, compression {compression})"
        )

    def _by_versions(
        self, table: Table, stated: Mapping[str, str], known: Mapping[str, Part]
    ) -> dict[str, Part] | None:
        """Return the partitions of a table with versions, of which only the changed ones are read.

        Return None if the table has rows in other partitions: somebody has changed it past the ledger.
        """
        same = {
            key: known[key]
            for key, version in stated.items()
            if key in known and known[key].version == version
        }
        changed = stated.keys() - same.keys()
        read = self._fingerprints(table, None, changed) if changed else {}
        # A day without rows is no partition.
        parts = same | {key: Part(stated[key], part.fingerprint, part.rows) for key, part in read.items()}
        total = self.connection.scalar(f"select count(*) from {table.relation}")
        return parts if sum(part.rows for part in parts.values()) == total else None

    def _fingerprints(self, table: Table, node: Node | None, keys: Collection[str] | None) -> dict[str, Part]:
        """Return the partitions of a table by their rows. keys: those to read, None for all."""
        if node is not None and is_view(node):
            self._compute(table)
        day = (
            f"coalesce(strftime({quoting.name(table.partition)}, '%Y-%m-%d'), '{NO_DAY}')"
            if table.partition
            else f"'{WHOLE}'"
        )
        names = ", ".join(quoting.name(column.name) for column in table.columns)
        found = self.connection.execute(
            f"select {day} as key, count(*), coalesce(sum(hash({names})::hugeint), 0)::varchar "
            f"from (select {self._values(table)} from {self._relation(table)} where {_where(table, keys)}) group by 1"
            if table.columns
            else "select null, 0, '' where false"
        )
        parts = {str(key): Part("", fingerprint, count) for key, count, fingerprint in found}
        if not table.partition and not parts and table.columns:
            parts = {WHOLE: Part("", "0", 0)}
        return parts

    def _compute(self, table: Table) -> None:
        """Compute a view once, for its fingerprints and its file."""
        self.connection.execute(
            f"create or replace temporary table {_VIEW} as select {self._values(table)} from {table.relation}"
        )
        self._view = table.relation

    def _relation(self, table: Table) -> str:
        return _VIEW if self._view == table.relation else table.relation

    def _values(self, table: Table) -> str:
        """Return the columns as they are published."""
        listed = []
        for column in table.columns:
            name = quoting.name(column.name)
            is_hidden = column.is_id and self._view != table.relation
            guest = f"if(starts_with({name}, '{_GUEST}'), '{_GUEST}' || left(sha256({name}), 32), {name}) as {name}"
            listed.append(guest if is_hidden else name)
        return ", ".join(listed)

    def _stated(self, node: Node, table: Table) -> dict[str, str] | None:
        """Return the versions of the build ledger by partition; None where it has none that say all."""
        stored = {
            key: version.hash
            for key in self.builds.keys(node.relation)
            if (version := self.builds.stored(node.relation, key))
        }
        is_snapshot = isinstance(node, Model) and node.window == SNAPSHOT
        is_snapshot |= isinstance(node, Source) and node.partitions == SNAPSHOT and node.schema != "models"
        if not stored or is_view(node) or not table.columns:
            return None
        if is_snapshot and table.partition:
            end = self.settings.end_date
            return {f"{as_of_of_key(key, end):%Y-%m-%d}": hash_ for key, hash_ in stored.items()}
        days = {key: version for key, version in stored.items() if key != UNPARTITIONED}
        if isinstance(node, Model) and days and table.partition:
            return days
        if isinstance(node, Model | Seed) and not days and not table.partition:
            return {WHOLE: stored[UNPARTITIONED]}
        return None

    def _gate(self, node: Node) -> str:
        """Return the version of everything that a view reads; empty if something of it has none."""
        digest = hashlib.sha256()
        for found in sorted(upstream(self.project, node), key=lambda each: each.relation):
            keys = self.builds.keys(found.relation)
            if not keys:
                return ""
            for key in keys:
                stored = self.builds.stored(found.relation, key)
                digest.update(f"{found.relation} {key} {stored.hash if stored else ''}\n".encode())
        return digest.hexdigest()[:32]


def is_text(column: Column) -> bool:
    """Whether the values of a column are written as text: quoted, so that a null differs from every text."""
    return (
        column.kind == "VARCHAR"
        or column.kind.startswith("ENUM")
        or is_nested(column)
        or column.kind == "JSON"
    )


def is_nested(column: Column) -> bool:
    """Whether a column holds lists, structures or maps."""
    return column.kind.endswith("]") or column.kind.startswith(("STRUCT", "MAP", "UNION"))


def _where(table: Table, keys: Collection[str] | None) -> str:
    """Return the condition for the rows of some partitions, in DuckDB's SQL."""
    if keys is None or table.partition is None:
        return "true" if keys is None or keys else "false"
    name = quoting.name(table.partition)
    days = sorted(key for key in keys if key != NO_DAY)
    parts = [f"{name} is null"] if NO_DAY in keys else []
    if days:
        # The first condition lets the scan skip older rows.
        listed = ", ".join(f"date '{day}'" for day in days)
        parts.append(
            f"({name} >= date '{days[0]}' and {name} < date '{days[-1]}' + interval 1 day "
            f"and cast({name} as date) in ({listed}))"
        )
    return " or ".join(parts) or "false"
