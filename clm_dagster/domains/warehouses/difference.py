"""What a destination has, and what has to be sent so that it has the tables of now.

Belongs here: partitions, their versions and fingerprints, the comparison. Does not: reading the published copy
(`source`), the ledger of a destination in SQL (`targets`).

A partition is a day of a table, or the table as a whole. Its version is that of the build ledger: equal versions need
no look at the rows. Where versions differ, or a table has none, fingerprints of the rows decide: a model that was built
again with the same rows sends nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from clm_dagster.domains.warehouses.tables import Table

# The partition of a table that is replaced as a whole, and that of rows without a day.
WHOLE, NO_DAY = "", "none"


@dataclass(frozen=True)
class Part:
    """A partition. version: of the build ledger, empty if it has none. fingerprint: of its rows."""

    version: str
    fingerprint: str
    rows: int


@dataclass(frozen=True)
class Published:
    """A table at a destination, as its ledger has it. gate: version of all that a view reads. shop: whose it is.

    columns: types in DuckDB by name. comments: hash of the descriptions.
    """

    relation: str
    name: str
    shop: str
    columns: Mapping[str, str]
    comments: str
    gate: str
    parts: Mapping[str, Part] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What to do with a table. before: None for a new one.

    parts: all partitions afterwards. send: those whose rows are sent. gone: those to remove.
    """

    table: Table
    shop: str
    gate: str
    before: Published | None
    parts: Mapping[str, Part]
    send: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """The types of the columns by name."""
        return {column.name: column.kind for column in self.table.columns}

    @property
    def is_rebuilt(self) -> bool:
        """Whether columns change, so that all rows are sent."""
        return self.before is not None and dict(self.before.columns) != self.columns

    @property
    def rows(self) -> int:
        """The number of rows to send."""
        return sum(self.parts[key].rows for key in self.send)

    @property
    def changes_rows(self) -> bool:
        """Whether anything changes for readers."""
        return self.before is None or self.is_rebuilt or bool(self.send or self.gone)

    @property
    def changes_anything(self) -> bool:
        """Whether anything is written: rows, comments, or versions of equal rows."""
        before = self.before
        return (
            before is None
            or self.changes_rows
            or before.comments != comments_of(self.table)
            or before.gate != self.gate
            or dict(before.parts) != dict(self.parts)
        )


def comments_of(table: Table) -> str:
    """Return a hash of the descriptions of a table."""
    texts = [table.description, *(column.description for column in table.columns)]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def change_of(
    table: Table, shop: str, gate: str, before: Published | None, parts: Mapping[str, Part]
) -> Change:
    """Return what to do with a table whose partitions are these now."""
    columns = {column.name: column.kind for column in table.columns}
    known = before.parts if before is not None and dict(before.columns) == columns else {}
    send = [
        key
        for key, part in parts.items()
        if key not in known or (known[key].fingerprint, known[key].rows) != (part.fingerprint, part.rows)
    ]
    gone = [key for key in (before.parts if before else {}) if key not in parts]
    return Change(table, shop, gate, before, parts, tuple(sorted(send)), tuple(sorted(gone)))
