"""PostgreSQL, and what speaks its protocol.

Belongs here: types, COPY, the transaction. Does not: what is the same in all databases (`target`).

Rows are copied to a temporary table first, so the transaction that others may wait for is short: it deletes, inserts,
and records. Until it commits, every reader sees the rows of before. A killed process leaves nothing: its temporary
table goes with its connection.
"""

import re
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clm_dagster.domains.warehouses.difference import Change, Published, comments_of
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.source import NULL, is_nested, is_text
from clm_dagster.domains.warehouses.tables import Column
from clm_dagster.domains.warehouses.targets.target import TABLES, Rows, Sent, Target, run_all
from clm_dagster.platform import quoting

if TYPE_CHECKING:
    import sqlalchemy as sa

_TYPES = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "UTINYINT": "smallint",
    "INTEGER": "integer",
    "USMALLINT": "integer",
    "BIGINT": "bigint",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(39,0)",
    "UHUGEINT": "numeric(39,0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "INTERVAL": "interval",
    "UUID": "uuid",
    "BLOB": "bytea",
    "JSON": "jsonb",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_STAGE = "clm_stage"


class PostgresTarget(Target):
    """A schema of a PostgreSQL database."""

    def __init__(self, url: "sa.URL", schema: str) -> None:
        import psycopg2  # type: ignore[import-untyped]

        self._schema = schema
        self.title = (
            f"PostgreSQL {url.database or url.username} at {url.host or 'localhost'}, schema {schema}"
        )
        options = {name: value for name, value in url.query.items() if isinstance(value, str)}
        self._connection = psycopg2.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            dbname=url.database or url.username,
            **{"application_name": "clm publish", "connect_timeout": "30"} | options,
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def query(self, sql: str) -> Rows:
        """Return the rows of a query."""
        with self._connection, closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def existing(self) -> set[str]:
        """Return the names of all tables and views of the schema."""
        schema = quoting.text(self._schema)
        rows = self.query(
            "select relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
            f"where nspname = {schema} and relkind in ('r', 'v', 'm', 'p', 'f')"
        )
        return {str(name).lower() for (name,) in rows}

    def create_schema(self) -> None:
        """Create the schema if it is missing: a user who may not create one can publish to an existing one."""
        if not self.query(f"select 1 from pg_namespace where nspname = {quoting.text(self._schema)}"):
            self._run([f"create schema {quoting.name(self._schema)}"])

    def text(self, value: object) -> str:
        """Return a text literal, in which a backslash is a backslash."""
        return quoting.text(value)

    def native(self, kind: str) -> str:
        """Return the type for one of DuckDB. Lists of plain values are arrays, other nested values are jsonb."""
        decimal = _DECIMAL.fullmatch(kind)
        if decimal:
            return f"numeric({decimal[1]},{decimal[2]})"
        if kind.endswith("]"):
            element = _element(kind)
            return f"{self.native(element)}[]" if element else "jsonb"
        if kind.startswith("TIMESTAMP") and "ZONE" not in kind:
            return "timestamp"
        return _TYPES.get(kind, "text" if kind.startswith("ENUM") else "jsonb")

    def expression(self, column: Column) -> str:
        """Return how a value is written. PostgreSQL has no text with a NUL character: it is left out."""
        name = quoting.name(column.name)
        element = _element(column.kind)
        if element:
            escaped = (
                r"""'"' || replace(replace(replace(v::varchar, chr(0), ''), '\', '\\'), '"', '\"') || '"'"""
            )
            value = escaped if is_text(Column("v", element)) else "v::varchar"
            return f"'{{' || array_to_string([coalesce({value}, 'NULL') for v in {name}], ',') || '}}'"
        if is_nested(column):
            return f"replace(to_json({name})::varchar, '\\u0000', '')"
        if column.kind == "BLOB":
            return f"'\\x' || hex({name})"
        return f"replace({name}::varchar, chr(0), '')" if is_text(column) else name

    def quoted(self, name: str) -> str:
        """Return the name of a column."""
        return quoting.name(name)

    def table(self, name: str) -> str:
        """Return a table with its schema."""
        return f"{quoting.name(self._schema)}.{quoting.name(name)}"

    def create(self, name: str, columns: Mapping[str, str]) -> None:
        """Create a table if it is missing."""
        if name not in self.existing():
            self._run([f"create table {self.table(name)} ({self.columns_sql(columns)})"])

    def replace(self, change: Change, sent: Sent | None, at: datetime) -> None:
        """Do a change in one transaction. Nobody reads a new table yet, so its rows are copied right into it."""
        is_new = change.before is None
        if sent and not is_new:
            with self._connection, closing(self._connection.cursor()) as cursor:
                run_all(cursor.execute, self._new_stage(sent))
                self._copy(cursor, f"pg_temp.{_STAGE}", change, sent)
        with self._connection, closing(self._connection.cursor()) as cursor:
            cursor.execute(f"lock table {self.table(TABLES)} in share row exclusive mode")
            if is_new:
                cursor.execute(
                    f"create table {self.table(change.table.name)} ({self.columns_sql(change.columns)})"
                )
                if sent:
                    self._copy(cursor, self.table(change.table.name), change, sent)
                run_all(cursor.execute, self._index(change))
            elif change.changes_rows:
                run_all(cursor.execute, self._replacement(change, sent))
            if change.before is None or change.before.comments != comments_of(change.table):
                run_all(cursor.execute, self._comments(change))
            run_all(cursor.execute, self.ledger_sql(change, at))

    def drop(self, published: Published) -> None:
        """Drop a table and forget it in one transaction. Views of users on it are not dropped: that is an error."""
        import psycopg2

        try:
            self._run([f"drop table if exists {self.table(published.name)}", *self.forget_sql(published)])
        except psycopg2.Error as error:
            raise PublishError(
                f"{self.title}: {published.name} is not selected any more and cannot be dropped: "
                f"{' '.join(str(error).split())}; drop what depends on it, and publish again"
            ) from None

    def _replacement(self, change: Change, sent: Sent | None) -> list[str]:
        """Return the statements that replace rows by those of the temporary table."""
        statements = [*self.deletes(change), *(self._alter(change) if change.is_rebuilt else [])]
        if sent:
            names = self.names_sql(sent.columns)
            statements.append(
                f"insert into {self.table(change.table.name)} ({names}) select {names} from pg_temp.{_STAGE}"
            )
        return statements

    def _new_stage(self, sent: Sent) -> list[str]:
        columns = self.columns_sql({column.name: column.kind for column in sent.columns})
        return [f"drop table if exists pg_temp.{_STAGE}", f"create temporary table {_STAGE} ({columns})"]

    def _copy(self, cursor: Any, table: str, change: Change, sent: Sent) -> None:
        with sent.path.open("rb") as file:
            cursor.copy_expert(
                f"copy {table} ({self.names_sql(sent.columns)}) from stdin with (format csv, "
                f"null {quoting.text(NULL)}, encoding 'UTF8')",
                file,
                size=1 << 20,
            )
        self.check_arrived(change, sent, cursor.rowcount)

    def _index(self, change: Change) -> list[str]:
        """Return the statement that lets partitions be found, after the rows are there."""
        partition = change.table.partition
        return (
            [f"create index on {self.table(change.table.name)} ({self.quoted(partition)})"]
            if partition
            else []
        )

    def _alter(self, change: Change) -> list[str]:
        """Return the statement that gives a table other columns. Its rows are deleted, so any type can follow."""
        assert change.before is not None
        before, now = change.before.columns, change.columns
        parts = [f"drop column if exists {self.quoted(name)}" for name in before if name not in now]
        parts += [
            f"add column if not exists {self.quoted(name)} {self.native(kind)}"
            for name, kind in now.items()
            if name not in before
        ]
        parts += [
            f"alter column {self.quoted(name)} type {self.native(kind)} using null::{self.native(kind)}"
            for name, kind in now.items()
            if name in before and self.native(before[name]) != self.native(kind)
        ]
        return [f"alter table {self.table(change.table.name)} {', '.join(parts)}"] if parts else []

    def _comments(self, change: Change) -> list[str]:
        table = self.table(change.table.name)
        statements = [f"comment on table {table} is {quoting.text(change.table.description)}"]
        for column in change.table.columns:
            text = quoting.text(column.description) if column.description else "null"
            statements.append(f"comment on column {table}.{self.quoted(column.name)} is {text}")
        return statements

    def _run(self, statements: list[str]) -> None:
        """Execute statements in one transaction."""
        with self._connection, closing(self._connection.cursor()) as cursor:
            run_all(cursor.execute, statements)


def _element(kind: str) -> str | None:
    """Return the type of the elements of a list of plain values; None for anything else."""
    found = re.fullmatch(r"(.+)\[\d*\]", kind)
    element = found[1] if found else ""
    if (
        not element
        or element.endswith("]")
        or element.startswith(("STRUCT", "MAP", "UNION"))
        or element == "JSON"
    ):
        return None
    return None if element in ("BLOB", "INTERVAL") else element
