"""A database that DuckDB reads and writes, as `clm verify` uses it: one file, or a lakehouse that DuckDB attaches.

Belongs here: loading, building and writing over a connection. Does not: opening a database (`duckdb_engine`), the
statements that build a model (`platform.dbt_project.building`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clm_dagster.errors import UserError
from clm_dagster.platform import quoting
from clm_dagster.platform.dbt_project.building import Slice, compile_model, materialize
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.warehouse import Connection


class UnwritableTypeError(UserError, TypeError):
    """A column has a type that a Parquet file does not keep. The message names the column, the type and the remedy."""


class DuckDBSession:
    """A session over an open connection, whose current database is empty."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def load(self, relation: str, path: Path) -> None:
        """Replace a table with the rows of a Parquet file."""
        with self.connection.transaction():
            self._make_schema(relation)
            self.connection.drop_unless(relation, "BASE TABLE")
            self.connection.execute(f"create or replace table {relation} as {_rows_of(path)}")

    def build(
        self, project: Project, model: Model, pieces: Sequence[Slice], variables: Mapping[str, Any]
    ) -> None:
        """Build a model in one transaction, one piece after the other. Raise ProjectError."""
        with self.connection.transaction():
            self._make_schema(model.relation)
            for number, piece in enumerate(pieces):
                sql = self.compiled(project, model, piece, variables)
                materialize(self.connection, model, model.relation, sql, piece, first=number == 0)

    def compiled(self, project: Project, model: Model, piece: Slice, variables: Mapping[str, Any]) -> str:
        """Return the SQL of a piece of a model, as this database takes it."""
        return compile_model(project, model, piece, variables=variables)

    def write(self, relation: str, path: Path) -> None:
        """Write all rows of a table or view to a Parquet file.

        Raise UnwritableTypeError for a column whose type the file would not keep.
        """
        query = f"select * from {relation}"
        write_rows(self.connection, query, path)
        types, kept = self.connection.columns(query), self.connection.columns(_rows_of(path))
        for column, kind in types.items():
            if kept[column] != kind:
                raise UnwritableTypeError(
                    f"{relation}.{column} has the type {kind}, which a Parquet file holds as {kept[column]}. Cast the "
                    "column in the model to a type that all engines have, such as BIGINT or DECIMAL"
                )

    def _make_schema(self, relation: str) -> None:
        self.connection.execute(f"create schema if not exists {relation.split('.')[0]}")


def write_rows(connection: Connection, query: str, path: Path) -> None:
    """Write the rows of a query to a new Parquet file."""
    connection.execute(f"copy ({query}) to {quoting.text(path)} (format parquet, compression zstd)")


def _rows_of(path: Path) -> str:
    return f"select * from read_parquet({quoting.path(path)})"
