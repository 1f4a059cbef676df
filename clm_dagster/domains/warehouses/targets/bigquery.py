"""BigQuery.

Belongs here: types, load jobs, the transaction. Does not: what is the same in all databases (`target`).

A load job writes the rows to a table of its own, then one script deletes, inserts and records in a transaction. Tables
are defined outside of transactions, so a new one is recorded before it is made, and one whose columns change is
replaced by one statement.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clm_dagster.domains.warehouses.difference import Change, Published, comments_of
from clm_dagster.domains.warehouses.source import is_nested, is_text
from clm_dagster.domains.warehouses.tables import Column
from clm_dagster.domains.warehouses.targets.target import Rows, Sent, Target, run_all
from clm_dagster.platform import quoting

if TYPE_CHECKING:
    import sqlalchemy as sa

_TYPES = {
    "BOOLEAN": "BOOL",
    "UBIGINT": "NUMERIC",
    "HUGEINT": "BIGNUMERIC",
    "UHUGEINT": "BIGNUMERIC",
    "FLOAT": "FLOAT64",
    "DOUBLE": "FLOAT64",
    "VARCHAR": "STRING",
    "UUID": "STRING",
    "INTERVAL": "STRING",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "BLOB": "BYTES",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
# NUMERIC holds so many digits before and after the point; more are BIGNUMERIC.
_BEFORE, _AFTER = 29, 9
_STAGE = "clm_stage"


class BigQueryTarget(Target):
    """A dataset of BigQuery."""

    suffix = ".json.gz"

    def __init__(self, url: "sa.URL", schema: str) -> None:
        from google.cloud import bigquery

        options: dict[str, Any] = {"project": url.host} if url.host else {}
        query = dict(url.query)
        if "location" in query:
            options["location"] = query["location"]
        if "endpoint" in query:  # an emulator, which knows nobody
            from google.auth.credentials import AnonymousCredentials

            self.suffix = ".json"  # nor gzip
            options["client_options"] = {"api_endpoint": query["endpoint"]}
            options["credentials"] = AnonymousCredentials()  # type: ignore[no-untyped-call]
        if "credentials_path" in query:
            self._client = bigquery.Client.from_service_account_json(query["credentials_path"], **options)
        else:
            self._client = bigquery.Client(**options)
        self._dataset = f"{self._client.project}.{schema}"
        self.title = f"BigQuery {self._client.project}, dataset {schema}"

    def close(self) -> None:
        """Delete the table of loaded rows, and close the connection."""
        self._client.delete_table(f"{self._dataset}.{_STAGE}", not_found_ok=True)
        self._client.close()

    def query(self, sql: str) -> Rows:
        """Return the rows of a query."""
        return [tuple(row.values()) for row in self._client.query(sql).result()]

    def existing(self) -> set[str]:
        """Return the names of all tables and views of the dataset."""
        from google.api_core.exceptions import NotFound

        try:
            found = list(self._client.list_tables(self._dataset))
        except NotFound:
            return set()
        return {table.table_id.lower() for table in found} - {_STAGE}

    def create_schema(self) -> None:
        """Create the dataset if it is missing."""
        self._client.create_dataset(self._dataset, exists_ok=True)

    def native(self, kind: str) -> str:
        """Return the type for one of DuckDB. Nested values are JSON."""
        decimal = _DECIMAL.fullmatch(kind)
        if decimal:
            digits, scale = int(decimal[1]), int(decimal[2])
            is_numeric = scale <= _AFTER and digits - scale <= _BEFORE
            return f"{'NUMERIC' if is_numeric else 'BIGNUMERIC'}({digits}, {scale})"
        if kind not in _TYPES and kind.endswith(("INT", "INTEGER")):
            return "INT64"
        if kind.startswith("TIMESTAMP") and "ZONE" not in kind:
            return "DATETIME"
        return _TYPES.get(kind, "STRING" if kind.startswith("ENUM") else "JSON")

    def expression(self, column: Column) -> str:
        """Return how a value is written: as text, which loses nothing, or as JSON."""
        name = quoting.name(column.name)
        if is_nested(column) or column.kind == "JSON":
            return f"to_json({name})"
        if column.kind == "BLOB":
            return f"base64({name})"
        is_plain = is_text(column) or column.kind == "BOOLEAN" or self.native(column.kind) == "INT64"
        return name if is_plain else f"{name}::varchar"

    def quoted(self, name: str) -> str:
        """Return the name of a column."""
        return f"`{name}`"

    def table(self, name: str) -> str:
        """Return a table with its project and dataset."""
        return f"`{self._dataset}.{name}`"

    def stamp(self, literal: str) -> str:
        """Return a literal for a time without a zone."""
        return literal.replace("timestamp", "datetime", 1)

    def day(self, day: str) -> str:
        """Return the start of a day."""
        return f"date '{day}'"

    def day_after(self, day: str) -> str:
        """Return the end of a day."""
        return f"date_add(date '{day}', interval 1 day)"

    def create(self, name: str, columns: Mapping[str, str], partition: str | None = None) -> None:
        """Create a table if it is missing. partition: the column by whose days it is divided."""
        by = self._partition(columns, partition)
        self.query(f"create table if not exists {self.table(name)} ({self.columns_sql(columns)}){by}")

    def replace(self, change: Change, sent: Sent | None, at: datetime) -> None:
        """Do a change: define what is new, then replace rows and record them in one transaction."""
        table = change.table
        if sent:
            self._load(change, sent)
        if change.before is None:
            self._transaction(self.ledger_sql(replace(change, parts={}, gate="", send=(), gone=()), at))
            self.create(table.name, change.columns, table.partition)
        statements: list[str] = []
        names = self.names_sql(table.columns)
        if change.is_rebuilt:
            by = self._partition(change.columns, table.partition)
            rows = f" as select {names} from {self.table(_STAGE)}" if sent else ""
            self.query(
                f"create or replace table {self.table(table.name)} ({self.columns_sql(change.columns)}){by}{rows}"
            )
        else:
            statements = self.deletes(change) if change.changes_rows else []
            if sent:
                statements.append(
                    f"insert into {self.table(table.name)} ({names}) select {names} from {self.table(_STAGE)}"
                )
        self._transaction([*statements, *self.ledger_sql(change, at)])
        if change.before is None or change.is_rebuilt or change.before.comments != comments_of(table):
            self._describe(change)

    def drop(self, published: Published) -> None:
        """Drop a table, then forget it."""
        self.query(f"drop table if exists {self.table(published.name)}")
        self._transaction(self.forget_sql(published))

    def _load(self, change: Change, sent: Sent) -> None:
        from google.cloud import bigquery

        options = bigquery.LoadJobConfig(
            schema=[self._field(column) for column in sent.columns],
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        )
        self._client.delete_table(f"{self._dataset}.{_STAGE}", not_found_ok=True)
        with sent.path.open("rb") as file:
            job = self._client.load_table_from_file(file, f"{self._dataset}.{_STAGE}", job_config=options)
            self.check_arrived(change, sent, job.result().output_rows)

    def _field(self, column: Column) -> Any:
        from google.cloud import bigquery

        kind, _, rest = self.native(column.kind).partition("(")
        numbers = [int(number) for number in rest.rstrip(")").split(",")] if rest else [None, None]
        return bigquery.SchemaField(column.name, kind, precision=numbers[0], scale=numbers[1])

    def _describe(self, change: Change) -> None:
        """Set the descriptions of a table and its columns."""
        from google.cloud import bigquery

        table = self._client.get_table(f"{self._dataset}.{change.table.name}")
        texts = {column.name: column.description for column in change.table.columns}
        fields = []
        for field in table.schema:
            described = field.to_api_repr() | {"description": texts.get(field.name) or None}
            fields.append(bigquery.SchemaField.from_api_repr(described))
        table.description, table.schema = change.table.description, fields
        self._client.update_table(table, ["description", "schema"])

    def _partition(self, columns: Mapping[str, str], partition: str | None) -> str:
        if partition is None:
            return ""
        name = self.quoted(partition)
        by = name if columns[partition] == "DATE" else f"datetime_trunc({name}, day)"
        return f" partition by {by}"

    def _transaction(self, statements: list[str]) -> None:
        """Run statements as one script in one transaction."""
        run_all(self.query, ["; ".join(["begin transaction", *statements, "commit transaction"]) + ";"])
