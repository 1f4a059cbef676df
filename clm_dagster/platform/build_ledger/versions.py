"""The build ledger: from which versions of inputs and code each stored partition was built.

Belongs here: computing versions, and recording them. Does not: how they are stored (`entries`), deciding what to run
(`planning`).

The version of a partition is a hash of its code and of the versions of all its inputs. The version of a day of a raw
table is a hash of its rows. So is the version of a day of a dated model (a `table` with an `event_time`), which is
built as a whole: a daily model that reads it depends on that day's rows only. A partition is up to date if and only if
its stored version equals the version computed from its current inputs. The ledger is written in the same transaction as
the partition: a killed process leaves both or neither.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from clm_dagster.platform.build_ledger.entries import (
    create_ledger,
    forget_entries,
    insert_entries,
    order_of_builds,
)
from clm_dagster.platform.dbt_project.project import DAILY, SNAPSHOT, Model, Node, Project, Source
from clm_dagster.platform.partitions import end_of_week, parse_day
from clm_dagster.platform.warehouse import Connection

EVENTS = "raw.events"
WHOLE = ""  # the key of a relation without partitions


@dataclass(frozen=True)
class Version:
    """Version of a partition, and the latest known_at in it."""

    hash: str
    known_at: datetime | None = None

    @property
    def code(self) -> str:
        """The part of the hash that depends only on the code."""
        return self.hash.split("-")[0]


ABSENT = Version("absent")


class Builds:
    """All stored versions, read once, in the order in which they were written."""

    def __init__(self, rows: Iterable[tuple[str, str, str, datetime | None]] = ()) -> None:
        self._stored: dict[str, dict[str, Version]] = {}
        self._written: dict[str, dict[str, int]] = {}
        self._chains: dict[str, tuple[list[str], list[Version]]] = {}
        self._clock = 0
        for relation, key, version, known_at in rows:
            self.assume(relation, key, Version(version, known_at))

    @classmethod
    def read(cls, connection: Connection) -> "Builds":
        """Read the ledger; return an empty one if it does not exist yet."""
        if connection.relation_kind("raw.builds") is None:
            return cls()
        return cls(
            connection.execute(
                "select relation, partition_key, version, known_at from raw.builds "
                f"order by {order_of_builds(connection)}"
            )
        )

    def copy(self) -> "Builds":
        """Return these versions as they are now; what one assumes, the other does not."""
        other = Builds()
        other._stored = {relation: dict(stored) for relation, stored in self._stored.items()}
        other._written = {relation: dict(written) for relation, written in self._written.items()}
        other._clock = self._clock
        return other

    def assume(self, relation: str, key: str, version: Version) -> None:
        """Assume that a partition has just been built at this version. The warehouse is not changed."""
        written = self._written.setdefault(relation, {})
        self._stored.setdefault(relation, {})[key] = version
        self._clock += 1
        written[key] = self._clock
        self._chains.pop(relation, None)

    def forget(self, relation: str, key: str) -> None:
        """Assume that a partition was never built. The warehouse is not changed."""
        self._stored.get(relation, {}).pop(key, None)
        self._written.get(relation, {}).pop(key, None)
        self._chains.pop(relation, None)

    def written(self, relation: str, key: str = WHOLE) -> int:
        """Return the position of a partition in the order of all builds; 0 if it was not built."""
        return self._written.get(relation, {}).get(key, 0)

    def stored(self, relation: str, key: str = WHOLE) -> Version | None:
        """Return the stored version of a partition; None if it was not built."""
        return self._stored.get(relation, {}).get(key)

    def keys(self, relation: str) -> list[str]:
        """Return the stored partitions of a relation, in order."""
        return sorted(self._stored.get(relation, {}))

    def expected(self, project: Project, name: str, keys: Sequence[str]) -> dict[str, Version]:
        """Return the version that each partition of a model would have if it were built now."""
        return {key: self._expected(project, name, key) for key in keys}

    def _expected(self, project: Project, name: str, key: str) -> Version:
        model = project.models[name]
        parts = [Version(model.code_version)]
        parts += [self.input_version(project, ref, model.window, key) for ref in model.refs]
        return combine(parts)

    def expected_days(self, project: Project, name: str) -> dict[str, Version]:
        """Return the version that each day of a state would have if it were built now. Days come from its inputs."""
        model = project.models[name]
        days = sorted(set().union(*(self._days_read(project, ref) for ref in model.refs)))
        return {
            day: combine(
                [
                    Version(model.code_version),
                    *(self.input_version(project, ref, DAILY, day) for ref in model.refs),
                ]
            )
            for day in days
        }

    def _days_read(self, project: Project, ref: str) -> set[str]:
        """Return the stored days of a node; for a view, of its inputs."""
        node = project.nodes[ref]
        if isinstance(node, Model) and node.materialized == "view":
            return set().union(*(self._days_read(project, inner) for inner in node.refs))
        return set(self._partitions(node.relation)) if self._kind(node) == DAILY else set()

    def input_version(self, project: Project, ref: str, window: str | None, key: str) -> Version:
        """Return the version of one input as a partition of a downstream relation reads it."""
        node = project.nodes[ref]
        if ref in project.seeds:
            return Version(project.seeds[ref].code_version)
        if isinstance(node, Model) and node.materialized == "view":
            parts = [Version(node.code_version)]
            parts += [self.input_version(project, inner, window, key) for inner in node.refs]
            return combine(parts)
        kind = self._kind(node)
        if kind == DAILY and window == DAILY:
            return self.stored(node.relation, key) or ABSENT
        if kind == DAILY:
            end = end_of_week(key).isoformat() if window == SNAPSHOT else "9999"
            return self._history(node.relation, end)
        if kind == SNAPSHOT and window == SNAPSHOT:
            return self.stored(node.relation, key) or ABSENT
        if kind == SNAPSHOT:
            return self._history(node.relation, "9999")
        return self.stored(node.relation) or ABSENT

    def newer_inputs(
        self, project: Project, refs: Iterable[str], window: str | None, key: str, than: int
    ) -> list[str]:
        """Return the inputs of a partition that were built after the position `than` in the order of builds.

        A view has no rows of its own, so it is replaced by its inputs.
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
        kind = self._kind(node)
        if kind is None:
            return [WHOLE]
        if kind == window:
            return [key]
        end = end_of_week(key).isoformat() if kind == DAILY and window == SNAPSHOT else "9999"
        keys = self._partitions(node.relation)
        return keys[: bisect_left(keys, end)]

    def _kind(self, node: Node) -> str | None:
        """Return the calendar of a node's versions.

        That of a source is the documented one for Python tables, else derived from the stored keys.
        """
        if isinstance(node, Model):
            return DAILY if node.is_dated else node.window
        if isinstance(node, Source) and node.partitions:
            return node.partitions
        stored = self._stored.get(node.relation, {})
        return DAILY if stored and WHOLE not in stored else None

    def _history(self, relation: str, end: str) -> Version:
        """Return the version of all partitions before a day."""
        if relation not in self._chains:
            self._chains[relation] = self._chain(relation)
        keys, chain = self._chains[relation]
        return chain[bisect_left(keys, end)]

    def _chain(self, relation: str) -> tuple[list[str], list[Version]]:
        """Return the keys in order, and the version of everything before each key and, last, of everything."""
        keys, chain = self._partitions(relation), [ABSENT]
        for key in keys:
            chain.append(combine([chain[-1], Version(key), self._stored[relation][key]]))
        return keys, chain

    def _partitions(self, relation: str) -> list[str]:
        return [key for key in self.keys(relation) if key != WHOLE]


def combine(parts: Sequence[Version]) -> Version:
    """Return the version of something built from these parts. The first part is its code and stays recognizable."""
    digest = hashlib.sha256("\n".join(part.hash for part in parts).encode()).hexdigest()[:32]
    return Version(
        f"{parts[0].hash[:16]}-{digest}",
        max((part.known_at for part in parts if part.known_at), default=None),
    )


def record(
    connection: Connection,
    relation: str,
    rows: Sequence[tuple[str, Version, int | None]],
    run_id: str,
) -> None:
    """Replace the ledger's rows of some partitions. rows: key, version, number of rows (None for a view)."""
    create_ledger(connection)
    if not rows:
        return
    entries = [(key, version.hash, version.known_at, count) for key, version, count in rows]
    insert_entries(connection, relation, entries, run_id)


def loaded_end(connection: Connection) -> date | None:
    """Return the exclusive end of the days whose events are loaded; None where none are.

    A day without rows at the end counts as not loaded: nothing tells whether its file is late.
    """
    if connection.relation_kind("raw.builds") is None:
        return None
    newest = connection.scalar(
        "select max(partition_key) from raw.builds where relation = ? and row_count > 0", [EVENTS]
    )
    return parse_day(newest) + timedelta(days=1) if newest else None


def record_days(connection: Connection, relation: str, column: str, run_id: str) -> None:
    """Record the version of each day of a relation, a hash of its rows. column: the time of a row.

    A day whose rows have not changed keeps its entry; a day without rows has none.
    """
    create_ledger(connection)
    stored = dict(
        connection.execute(
            "select partition_key, version from raw.builds where relation = ? and partition_key <> ?",
            [relation, WHOLE],
        )
    )
    found = connection.execute(
        f"select cast(cast({column} as date) as varchar), "
        f"cast(bit_xor(hash(t)) as varchar) || ':' || count(*), count(*) from {relation} as t group by 1"
    )
    changed = [(day, Version(version), count) for day, version, count in found if stored.get(day) != version]
    gone = sorted(set(stored) - {day for day, _, _ in found})
    forget_entries(
        connection, "relation = ? and partition_key in (select unnest(?::varchar[]))", [relation, gone]
    )
    record(connection, relation, changed, run_id)


def forget(connection: Connection, relation: str, start: str, end: str | None) -> None:
    """Delete the ledger's rows of a daily relation for all days outside [start, end)."""
    create_ledger(connection)
    forget_entries(
        connection,
        "relation = ? and (partition_key < ? or partition_key >= ?)",
        [relation, start, end or "9999"],
    )
