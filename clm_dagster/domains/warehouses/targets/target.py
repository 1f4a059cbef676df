"""What all databases share: the ledger of what is published, and the statements that replace partitions.

Belongs here: SQL that is the same everywhere. Does not: connections, types, transactions (`postgres`, `snowflake`,
`bigquery`), what to send (`difference`).

The ledger is two tables beside the published ones, written in the same transaction as their rows. So it says what the
destination really has, whoever was killed when, and whichever machine publishes next.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from clm_dagster.domains.warehouses.difference import NO_DAY, WHOLE, Change, Part, Published, comments_of
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.tables import LEDGER_NAMES, Column

PARTS, TABLES = LEDGER_NAMES
LEDGER: Mapping[str, Mapping[str, str]] = {
    PARTS: {
        "relation": "VARCHAR",
        "partition_key": "VARCHAR",
        "version": "VARCHAR",
        "fingerprint": "VARCHAR",
        "row_count": "BIGINT",
        "published_at": "TIMESTAMP",
    },
    TABLES: {
        "relation": "VARCHAR",
        "table_name": "VARCHAR",
        "shop": "VARCHAR",
        "column_types": "VARCHAR",
        "comments": "VARCHAR",
        "gate": "VARCHAR",
        "published_at": "TIMESTAMP",
    },
}
# Rows of one statement: databases limit its length.
_MOST_VALUES = 500
# More days than these are found by one scan.
_MOST_RANGES = 50
Rows = Sequence[Sequence[object]]


@dataclass(frozen=True)
class Sent:
    """A file of rows. columns: in its order."""

    path: Path
    columns: tuple[Column, ...]
    rows: int


class Target(ABC):
    """A schema of a database. title: for messages, without secrets. suffix: of the files that it reads."""

    title: str
    suffix: str = ".csv"

    # ------------------------------------------------------------------- what a database decides

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    @abstractmethod
    def query(self, sql: str) -> Rows:
        """Return the rows of a query."""

    @abstractmethod
    def existing(self) -> set[str]:
        """Return the names of all tables and views of the schema, in small letters; none without the schema."""

    @abstractmethod
    def create_schema(self) -> None:
        """Create the schema if it is missing."""

    @abstractmethod
    def native(self, kind: str) -> str:
        """Return the type of the database for one of DuckDB."""

    @abstractmethod
    def expression(self, column: Column) -> str:
        """Return how a value of a column is written to a file, in DuckDB's SQL."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """Return the name of a column in SQL."""

    @abstractmethod
    def table(self, name: str) -> str:
        """Return a table in SQL, with its schema."""

    @abstractmethod
    def create(self, name: str, columns: Mapping[str, str]) -> None:
        """Create a table if it is missing. columns: types in DuckDB."""

    @abstractmethod
    def replace(self, change: Change, sent: Sent | None, at: datetime) -> None:
        """Do a change, for readers in one step. at: the time, for the ledger. Raise PublishError."""

    @abstractmethod
    def drop(self, published: Published) -> None:
        """Drop a table, and forget it. Raise PublishError."""

    # ------------------------------------------------------------------- the same everywhere

    def prepare(self) -> None:
        """Create the schema and the ledger where they are missing."""
        self.create_schema()
        for name, columns in LEDGER.items():
            self.create(name, columns)

    def published(self, existing: Collection[str]) -> dict[str, Published]:
        """Return what is published, by relation. existing: the names of the schema."""
        if not set(LEDGER_NAMES) <= set(existing):
            return {}
        parts: dict[str, dict[str, Part]] = {}
        for relation, key, version, fingerprint, count in self.query(
            f"select relation, partition_key, version, fingerprint, row_count from {self.table(PARTS)}"
        ):
            parts.setdefault(str(relation), {})[str(key)] = Part(
                str(version), str(fingerprint), int(str(count))
            )
        found = {}
        for relation, table, shop, types, comments, gate in self.query(
            f"select relation, table_name, shop, column_types, comments, gate from {self.table(TABLES)}"
        ):
            found[str(relation)] = Published(
                str(relation),
                str(table),
                str(shop),
                json.loads(str(types)),
                str(comments),
                str(gate),
                parts.get(str(relation), {}),
            )
        return found

    def columns_sql(self, columns: Mapping[str, str]) -> str:
        """Return the columns of a table with their types."""
        return ", ".join(f"{self.quoted(name)} {self.native(kind)}" for name, kind in columns.items())

    def names_sql(self, columns: Sequence[Column]) -> str:
        """Return the names of columns as a list."""
        return ", ".join(self.quoted(column.name) for column in columns)

    def deletes(self, change: Change) -> list[str]:
        """Return the statement that deletes what a change replaces or removes; none for a new table."""
        if change.before is None:
            return []
        table, keys = self.table(change.table.name), [*change.send, *change.gone]
        if change.is_rebuilt or not set(change.before.parts) - set(keys):
            return [f"delete from {table} where true"]
        keys = [key for key in keys if key in change.before.parts]
        if not keys:
            return []
        assert change.table.partition is not None  # else there is one partition, and all are replaced
        return [f"delete from {table} where {self._days(change.table.partition, keys)}"]

    def ledger_sql(self, change: Change, at: datetime) -> list[str]:
        """Return the statements that record a change."""
        relation, before = change.table.relation, change.before
        known = before.parts if before else {}
        written = {key: part for key, part in change.parts.items() if known.get(key) != part}
        gone = [key for key in known if key in written or key not in change.parts]
        where = f"relation = {self.text(relation)}"
        # Of a table that somebody dropped, the record is still there.
        statements = [f"delete from {self.table(PARTS)} where {where}"] if before is None else []
        for some in _pieces(gone):
            listed = ", ".join(map(self.text, some))
            statements.append(
                f"delete from {self.table(PARTS)} where {where} and partition_key in ({listed})"
            )
        stamp = f"timestamp '{at:%Y-%m-%d %H:%M:%S}'"
        names = ", ".join(map(self.quoted, LEDGER[PARTS]))
        for some in _pieces(sorted(written)):
            values = ", ".join(
                f"({self.text(relation)}, {self.text(key)}, {self.text(written[key].version)}, "
                f"{self.text(written[key].fingerprint)}, {written[key].rows}, {self.stamp(stamp)})"
                for key in some
            )
            statements.append(f"insert into {self.table(PARTS)} ({names}) values {values}")
        row = (
            relation,
            change.table.name,
            change.shop,
            json.dumps(change.columns),
            comments_of(change.table),
            change.gate,
        )
        names = ", ".join(map(self.quoted, LEDGER[TABLES]))
        return [
            *statements,
            f"delete from {self.table(TABLES)} where {where}",
            f"insert into {self.table(TABLES)} ({names}) values "
            f"({', '.join(map(self.text, row))}, {self.stamp(stamp)})",
        ]

    def forget_sql(self, published: Published) -> list[str]:
        """Return the statements that forget a table."""
        where = f"relation = {self.text(published.relation)}"
        return [f"delete from {self.table(name)} where {where}" for name in (PARTS, TABLES)]

    def text(self, value: object) -> str:
        """Return a text literal, in which a backslash escapes."""
        return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"

    def stamp(self, literal: str) -> str:
        """Return a literal for a time without a zone."""
        return literal

    def check_arrived(self, change: Change, sent: Sent, found: object) -> None:
        """Raise PublishError if another number of rows arrived than was sent."""
        if int(str(found)) != sent.rows:
            raise PublishError(
                f"{self.title}: of {sent.rows} rows of {change.table.relation}, {found} arrived; nothing was replaced. "
                "Run `clm publish` again"
            )

    def _days(self, column: str, keys: Sequence[str]) -> str:
        """Return the condition for the rows of some days."""
        name, days = self.quoted(column), [key for key in keys if key not in (NO_DAY, WHOLE)]
        parts = [f"{name} is null"] if NO_DAY in keys else []
        if len(days) <= _MOST_RANGES:
            parts += [f"({name} >= {self.day(day)} and {name} < {self.day_after(day)})" for day in days]
        else:
            listed = ", ".join(f"date '{day}'" for day in days)
            parts.append(f"cast({name} as date) in ({listed})")
        return " or ".join(parts)

    def day(self, day: str) -> str:
        """Return the start of a day, to compare with a date or a time without a zone."""
        return f"date '{day}'"

    def day_after(self, day: str) -> str:
        """Return the end of a day, to compare with a date or a time without a zone."""
        return f"date '{day}' + interval '1' day"


def run_all(execute: Callable[[str], object], statements: Sequence[str]) -> None:
    """Execute statements in order."""
    for statement in statements:
        execute(statement)


def _pieces(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _MOST_VALUES):
        yield keys[start : start + _MOST_VALUES]
