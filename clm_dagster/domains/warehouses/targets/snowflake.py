"""Snowflake.

Belongs here: types, loading, the transaction. Does not: what is the same in all databases (`target`).

Rows are put into a temporary stage and copied to a temporary table. Then one transaction deletes, inserts and records.
Snowflake commits before each statement that defines something, so a new table is recorded before it is made, and a
table whose columns change is replaced by one statement, with its grants.
"""

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clm_dagster.domains.warehouses.difference import Change, Published, comments_of
from clm_dagster.domains.warehouses.errors import PublishError
from clm_dagster.domains.warehouses.source import is_nested, is_text
from clm_dagster.domains.warehouses.tables import Column
from clm_dagster.domains.warehouses.targets.target import Rows, Sent, Target, run_all
from clm_dagster.platform import quoting

if TYPE_CHECKING:
    import sqlalchemy as sa

_TYPES = {
    "BOOLEAN": "BOOLEAN",
    "FLOAT": "FLOAT",
    "DOUBLE": "FLOAT",
    "VARCHAR": "VARCHAR",
    "UUID": "VARCHAR",
    "DATE": "DATE",
    "TIME": "TIME(6)",
    "INTERVAL": "VARCHAR",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_TZ(6)",
    "BLOB": "BINARY",
}
_STAGE, _FILES = "CLM_STAGE", "CLM_FILES"
_FORMAT = (
    "type = csv compression = gzip field_optionally_enclosed_by = '\"' null_if = ('\\\\N') empty_field_as_null = false "
    "escape_unenclosed_field = none"
)


class SnowflakeTarget(Target):
    """A schema of a Snowflake database. Names are those that people write without quotes."""

    suffix = ".csv.gz"

    def __init__(self, url: "sa.URL", schema: str) -> None:
        import snowflake.connector

        self._schema = schema.upper()
        self._database = (url.database or "").split("/")[0]
        self.title = f"Snowflake {self._database} at {url.host}, schema {self._schema}"
        if not self._database:
            raise PublishError(
                "the address of Snowflake names no database: snowflake://user:password@account/database"
            )
        options: dict[str, Any] = {"account": url.host, "user": url.username, "database": self._database}
        options |= {"password": url.password} if url.password else {}
        options |= {name: value for name, value in url.query.items() if isinstance(value, str)}
        if "port" in options:
            options["port"] = int(options["port"])
        self._connection = snowflake.connector.connect(application="clm_publish", **options)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def query(self, sql: str) -> Rows:
        """Return the rows of a query."""
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def existing(self) -> set[str]:
        """Return the names of all tables and views of the schema."""
        rows = self.query(
            f"select table_name from {quoting.name(self._database)}.information_schema.tables "
            f"where table_schema = {self.text(self._schema)}"
        )
        return {str(name).lower() for (name,) in rows}

    def create_schema(self) -> None:
        """Create the schema if it is missing, and use it."""
        place = f"{quoting.name(self._database)}.{quoting.name(self._schema)}"
        run_all(self.query, [f"create schema if not exists {place}", f"use schema {place}"])

    def native(self, kind: str) -> str:
        """Return the type for one of DuckDB. Nested values are variants."""
        if kind.startswith("DECIMAL"):
            return kind.replace("DECIMAL", "NUMBER")
        if kind.endswith(("INT", "INTEGER")):
            return "NUMBER(38,0)"
        if kind.startswith("TIMESTAMP") and "ZONE" not in kind:
            return "TIMESTAMP_NTZ(6)"
        return _TYPES.get(kind, "VARCHAR" if kind.startswith("ENUM") else "VARIANT")

    def expression(self, column: Column) -> str:
        """Return how a value is written."""
        name = quoting.name(column.name)
        if is_nested(column):
            return f"to_json({name})::varchar"
        if column.kind == "BLOB":
            return f"hex({name})"
        return f"{name}::varchar" if is_text(column) else name

    def text(self, value: object) -> str:
        """Return a text literal, in which a backslash escapes."""
        return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"

    def quoted(self, name: str) -> str:
        """Return the name of a column as people write it without quotes."""
        return quoting.name(name.upper())

    def table(self, name: str) -> str:
        """Return a table with its schema."""
        return ".".join(map(quoting.name, (self._database, self._schema, name.upper())))

    def day_after(self, day: str) -> str:
        """Return the end of a day."""
        return f"dateadd(day, 1, date '{day}')"

    def create(self, name: str, columns: Mapping[str, str]) -> None:
        """Create a table if it is missing."""
        self.query(f"create table if not exists {self.table(name)} ({self.columns_sql(columns)})")

    def replace(self, change: Change, sent: Sent | None, at: datetime) -> None:
        """Do a change: define what is new, then replace rows and record them in one transaction."""
        name = change.table.name
        if sent:
            self._load(change, sent)
        if change.before is None:
            self._transaction(self.ledger_sql(replace(change, parts={}, gate="", send=(), gone=()), at))
            self.create(name, change.columns)
        if change.is_rebuilt:
            rows = self._rows(sent) if sent else f"select {self._nulls(change)} where false"
            self.query(
                f"create or replace table {self.table(name)} ({self.columns_sql(change.columns)}) copy grants as {rows}"
            )
            statements = []
        else:
            statements = self.deletes(change) if change.changes_rows else []
            if sent:
                names = self.names_sql(sent.columns)
                statements.append(f"insert into {self.table(name)} ({names}) {self._rows(sent)}")
        self._transaction([*statements, *self.ledger_sql(change, at)])
        if change.before is None or change.is_rebuilt or change.before.comments != comments_of(change.table):
            run_all(self.query, self._comments(change))

    def drop(self, published: Published) -> None:
        """Drop a table, then forget it."""
        self.query(f"drop table if exists {self.table(published.name)}")
        self._transaction(self.forget_sql(published))

    def _load(self, change: Change, sent: Sent) -> None:
        """Load the rows into a temporary table, nested values as text."""
        kinds = ", ".join(f"{self.quoted(c.name)} {self._stage_type(c)}" for c in sent.columns)
        place = str(sent.path).replace("\\", "/").replace("'", "\\'")
        run_all(
            self.query,
            [
                f"create or replace temporary table {_STAGE} ({kinds})",
                f"create or replace temporary stage {_FILES}",
                f"put 'file://{place}' @{_FILES} auto_compress = false overwrite = true",
                f"copy into {_STAGE} from @{_FILES} file_format = ({_FORMAT}) purge = true",
            ],
        )
        self.check_arrived(change, sent, self.query(f"select count(*) from {_STAGE}")[0][0])

    def _stage_type(self, column: Column) -> str:
        native = self.native(column.kind)
        return "VARCHAR" if native == "VARIANT" else native

    def _rows(self, sent: Sent) -> str:
        """Return the query for the loaded rows."""
        listed = ", ".join(
            f"parse_json({self.quoted(c.name)}) as {self.quoted(c.name)}"
            if self.native(c.kind) == "VARIANT"
            else self.quoted(c.name)
            for c in sent.columns
        )
        return f"select {listed} from {_STAGE}"

    def _nulls(self, change: Change) -> str:
        return ", ".join(
            f"cast(null as {self.native(kind)}) as {self.quoted(name)}"
            for name, kind in change.columns.items()
        )

    def _comments(self, change: Change) -> list[str]:
        table = self.table(change.table.name)
        statements = [f"comment on table {table} is {self._prose(change.table.description)}"]
        statements += [
            f"alter table {table} alter column {self.quoted(column.name)} comment {self._prose(column.description)}"
            for column in change.table.columns
        ]
        return statements

    def _prose(self, text: str) -> str:
        """Return a description as a literal, with typographic apostrophes."""
        return self.text(re.sub("'", "\u2019", text))

    def _transaction(self, statements: list[str]) -> None:
        self.query("begin")
        try:
            run_all(self.query, statements)
        except BaseException:
            self.query("rollback")
            raise
        self.query("commit")
