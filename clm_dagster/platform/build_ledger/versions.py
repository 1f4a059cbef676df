"""The ledger of builds: which version of its inputs and code every stored partition was made from.

Belongs here: `raw.builds` and the arithmetic of versions. Does not: deciding what to run (see
`planning`).

A partition's version is a hash of its code and of the versions of everything it read; the version
of a day of a raw table is a hash of its rows. So a partition is up to date exactly if the version
stored with it equals the one computed from its inputs as they stand now. The row is written in
the transaction that writes the partition: a killed process leaves both or neither.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Node, Project, Source
from clm_dagster.platform.partitions import as_of_of_key
from clm_dagster.platform.warehouse import Connection

WHOLE = ""  # the key of what is built as a whole


@dataclass(frozen=True)
class Version:
    """What a partition was made from, and the latest known_at in it."""

    hash: str
    known_at: datetime | None = None

    @property
    def code(self) -> str:
        """What of the hash stands for the code alone."""
        return self.hash.split("-")[0]


ABSENT = Version("absent")


class Builds:
    """All versions that are stored, read once, in the order in which they were written."""

    def __init__(self, rows: Iterable[tuple[str, str, str, datetime | None]] = ()) -> None:
        self._stored: dict[str, dict[str, Version]] = {}
        self._written: dict[str, dict[str, int]] = {}
        self._chains: dict[str, tuple[list[str], list[Version]]] = {}
        self._clock = 0
        for relation, key, version, known_at in rows:
            self.assume(relation, key, Version(version, known_at))

    @classmethod
    def read(cls, connection: Connection) -> "Builds":
        """Read the ledger; nothing is stored where there is none yet."""
        if connection.relation_kind("raw.builds") is None:
            return cls()
        return cls(
            connection.execute(
                "select relation, partition_key, version, known_at from raw.builds order by rowid"
            )
        )

    def assume(self, relation: str, key: str, version: Version) -> None:
        """Go on as if a partition had been built at this version just now. The warehouse is not changed."""
        written = self._written.setdefault(relation, {})
        self._stored.setdefault(relation, {})[key] = version
        self._clock += 1
        written[key] = self._clock
        self._chains.pop(relation, None)

    def written(self, relation: str, key: str = WHOLE) -> int:
        """When a partition was built, as a place in the order of all; 0 where it was not."""
        return self._written.get(relation, {}).get(key, 0)

    def stored(self, relation: str, key: str = WHOLE) -> Version | None:
        """The version a partition was built at, None where it was not."""
        return self._stored.get(relation, {}).get(key)

    def keys(self, relation: str) -> list[str]:
        """Partitions of a relation that are stored, in order."""
        return sorted(self._stored.get(relation, {}))

    def expected(self, project: Project, name: str, keys: Sequence[str]) -> dict[str, Version]:
        """The version each partition of a model would have if it were built now."""
        return {key: self._expected(project, name, key) for key in keys}

    def _expected(self, project: Project, name: str, key: str) -> Version:
        model = project.models[name]
        parts = [Version(model.code_version)]
        parts += [self.input_version(project, ref, model.window, key) for ref in model.refs]
        return combine(parts)

    def input_version(self, project: Project, ref: str, window: str | None, key: str) -> Version:
        """The version of one input as a partition of a reader sees it."""
        node = project.nodes[ref]
        if ref in project.seeds:
            return Version(project.seeds[ref].code_version)
        if isinstance(node, Model) and node.materialized == "view":
            parts = [Version(node.code_version)]
            parts += [self.input_version(project, inner, window, key) for inner in node.refs]
            return combine(parts)
        kind = node.window if isinstance(node, Model) else self._kind(node)
        if kind == DAILY and window == DAILY:
            return self.stored(node.relation, key) or ABSENT
        if kind == DAILY:
            end = as_of_of_key(key).date().isoformat() if window == SNAPSHOT else "9999"
            return self._history(node.relation, end)
        if kind == SNAPSHOT and window == SNAPSHOT:
            return self.stored(node.relation, key) or ABSENT
        if kind == SNAPSHOT:
            return self._history(node.relation, "9999")
        return self.stored(node.relation) or ABSENT

    def newer_inputs(
        self, project: Project, refs: Iterable[str], window: str | None, key: str, than: int
    ) -> list[str]:
        """The relations among inputs that were built after a place in the order, as a partition of a reader sees them.

        A view is looked through: it has no rows of its own.
        """
        found: dict[str, None] = {}
        for ref in refs:
            node = project.nodes[ref]
            if isinstance(node, Model) and node.materialized == "view":
                stored = self.stored(node.relation)
                if stored is None or stored.hash != node.code_version:
                    found[node.relation] = None
                found |= dict.fromkeys(self.newer_inputs(project, node.refs, window, key, than))
            elif any(self.written(node.relation, k) > than for k in self._keys_read(node, window, key)):
                found[node.relation] = None
        return list(found)

    def _keys_read(self, node: Node, window: str | None, key: str) -> list[str]:
        kind = node.window if isinstance(node, Model) else self._kind(node)
        if kind is None:
            return [WHOLE]
        if kind == window:
            return [key]
        end = as_of_of_key(key).date().isoformat() if kind == DAILY and window == SNAPSHOT else "9999"
        keys = self.keys(node.relation)
        return keys[: bisect_left(keys, end)]

    def _kind(self, node: Node) -> str | None:
        """What Python writes says its calendar; raw tables are known by the keys they are stored under."""
        if isinstance(node, Source) and node.partitions:
            return node.partitions
        stored = self._stored.get(node.relation, {})
        return DAILY if stored and WHOLE not in stored else None

    def _history(self, relation: str, end: str) -> Version:
        """The version of everything before a day."""
        if relation not in self._chains:
            self._chains[relation] = self._chain(relation)
        keys, chain = self._chains[relation]
        return chain[bisect_left(keys, end)]

    def _chain(self, relation: str) -> tuple[list[str], list[Version]]:
        """Keys in order, and the version of everything before each and, last, of everything."""
        keys, chain = self.keys(relation), [ABSENT]
        for key in keys:
            chain.append(combine([chain[-1], Version(key), self._stored[relation][key]]))
        return keys, chain


def combine(parts: Sequence[Version]) -> Version:
    """The version of something made from all of these; the first is that of its code, which can be told from it."""
    digest = hashlib.sha256("\n".join(part.hash for part in parts).encode()).hexdigest()[:32]
    return Version(
        f"{parts[0].hash[:16]}-{digest}",
        max((part.known_at for part in parts if part.known_at), default=None),
    )


def create_ledger(connection: Connection) -> None:
    """Make the table if it is missing."""
    connection.execute(
        "create table if not exists raw.builds (relation varchar, partition_key varchar, "
        "version varchar, known_at timestamp, row_count bigint, run_id varchar)"
    )


def record(
    connection: Connection,
    relation: str,
    rows: Sequence[tuple[str, Version, int]],
    run_id: str,
) -> None:
    """Replace the ledger's rows of some partitions: key, version, number of rows."""
    create_ledger(connection)
    if not rows:
        return
    keys = [key for key, _, _ in rows]
    connection.execute(
        "delete from raw.builds where relation = ? and partition_key in (select unnest(?))",
        [relation, keys],
    )
    connection.execute(
        "insert into raw.builds select ?, unnest(?), unnest(?), unnest(?::timestamp[]), "
        "unnest(?::bigint[]), ?",
        [
            relation,
            keys,
            [version.hash for _, version, _ in rows],
            [version.known_at for _, version, _ in rows],
            [count for _, _, count in rows],
            run_id,
        ],
    )


def forget(connection: Connection, relation: str, start: str, end: str | None) -> None:
    """Drop the ledger's rows of a daily relation for all but the days of [start, end)."""
    create_ledger(connection)
    connection.execute(
        "delete from raw.builds where relation = ? and (partition_key < ? or partition_key >= ?)",
        [relation, start, end or "9999"],
    )
