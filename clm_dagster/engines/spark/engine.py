"""Spark as an engine of the SQL project, for `clm verify`.

Belongs here: relations as Parquet files and views of Spark, building a model over them. Does not: SQL (`dialect`),
starting Spark (`cluster`).

Each table is a folder of Parquet files with an entry in Spark's catalogue in memory. Replacing a table is writing
another folder and then replacing the entry.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one

from clm_dagster.engines.spark.cluster import spark_session, spark_version
from clm_dagster.engines.spark.dialect import Recursion, Translation, translate, translate_condition
from clm_dagster.engines.spark.types import duckdb_type
from clm_dagster.platform.dbt_project.building import ChangedDays, Slice, compile_model, time_column
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

# A recursive query that does not end is a mistake.
_MOST_ROUNDS = 1000


class SparkSQLSession:
    """An empty database of Spark, whose tables are Parquet files in a folder."""

    def __init__(self, spark: "SparkSession", folder: Path) -> None:
        self.spark = spark
        self._folder = folder
        self._types: dict[str, dict[str, str]] = {}
        self._is_table: dict[str, bool] = {}
        self._written = 0

    def load(self, relation: str, path: Path) -> None:
        """Replace a table with the rows of a Parquet file."""
        folder = self._new_folder()
        folder.mkdir(parents=True)
        shutil.copyfile(path, folder / "part-0.parquet")
        self._set_rows(relation, folder, self.spark.read.parquet(str(folder)).schema)

    def build(
        self, project: Project, model: Model, pieces: Sequence[Slice], variables: Mapping[str, Any]
    ) -> None:
        """Build a model over the relations of this database, one piece after the other."""
        for piece in pieces:
            translation = translate(self.compiled(project, model, piece, variables), self._types)
            if model.materialized == "view" and not translation.recursions:
                self._set_view(model.relation, translation)
                continue
            rows = self._rows(translation)
            if piece is not None and model.relation in self._types:
                rows = rows.unionByName(self._other_rows(model, piece, rows))
            if isinstance(piece, ChangedDays):
                rows = self._after_hook(model, rows)
            self._set_rows(model.relation, self._write(rows), rows.schema, translation.types)

    def compiled(self, project: Project, model: Model, piece: Slice, variables: Mapping[str, Any]) -> str:
        """Return the SQL of a piece of a model, before its translation."""
        return compile_model(project, model, piece, variables=variables)

    def write(self, relation: str, path: Path) -> None:
        """Write all rows of a table or view to one Parquet file."""
        folder = self._write(self.spark.table(relation).coalesce(1))
        (part,) = folder.glob("part-*.parquet")
        shutil.move(part, path)
        shutil.rmtree(folder)

    def _rows(self, translation: Translation) -> "DataFrame":
        for recursion in translation.recursions:
            self._repeat(recursion)
        return self.spark.sql(translation.sql)

    def _repeat(self, recursion: Recursion) -> None:
        """Run a recursive query round by round, each over the rows of the one before, until a round gives none."""
        rounds = [self._write(self.spark.sql(recursion.start))]
        while len(rounds) < _MOST_ROUNDS:
            previous = self.spark.read.parquet(str(rounds[-1]))
            previous.createOrReplaceTempView(recursion.view)
            new = self.spark.sql(recursion.step).toDF(*previous.columns)
            # The rows to start with decide on the types.
            rows = new.select(*[new[f.name].cast(f.dataType).alias(f.name) for f in previous.schema.fields])
            rounds.append(self._write(rows))
            if self.spark.read.parquet(str(rounds[-1])).isEmpty():
                break
        else:
            raise RecursionError(f"{recursion.view}: no end after {_MOST_ROUNDS} rounds")
        self.spark.read.parquet(*map(str, rounds)).createOrReplaceTempView(recursion.view)

    def _other_rows(self, model: Model, piece: Slice, rows: "DataFrame") -> "DataFrame":
        """Return the rows of a table that a piece does not replace."""
        old = self.spark.table(model.relation)
        if isinstance(piece, ChangedDays):
            return old.join(rows.select(*model.unique_key), on=model.unique_key, how="left_anti")
        assert piece is not None
        condition = translate_condition(piece.where(time_column(model)), model.relation, self._types)
        return old.where(f"not coalesce({condition}, false)")

    def _after_hook(self, model: Model, rows: "DataFrame") -> "DataFrame":
        hook = model.config.get("post_hook")
        if hook is None:
            return rows
        deletion = parse_one(str(hook).replace("{{ this }}", model.relation), read="duckdb")
        assert isinstance(deletion, exp.Delete)
        where = deletion.args["where"].this.sql("duckdb")
        condition = translate_condition(where, model.relation, self._types)
        return rows.where(f"not coalesce({condition}, false)")

    def _write(self, rows: "DataFrame") -> Path:
        folder = self._new_folder()
        rows.write.parquet(str(folder))
        return folder

    def _new_folder(self) -> Path:
        self._written += 1
        return self._folder / "rows" / str(self._written)

    def _set_rows(
        self, relation: str, path: Path, schema: "StructType", types: Mapping[str, str] | None = None
    ) -> None:
        self._drop(relation)
        self.spark.catalog.createTable(relation, str(path.resolve()), "parquet", schema)
        self._is_table[relation] = True
        self._types[relation] = dict(types or {f.name: duckdb_type(f.dataType) for f in schema.fields})

    def _set_view(self, relation: str, translation: Translation) -> None:
        self._drop(relation)
        self.spark.sql(f"create view {_quoted(relation)} as {translation.sql}")
        self._is_table[relation] = False
        self._types[relation] = translation.types

    def _drop(self, relation: str) -> None:
        """Forget a relation. The files of a table stay, because Spark does not own them."""
        if relation in self._types:
            kind = "table" if self._is_table[relation] else "view"
            self.spark.sql(f"drop {kind} {_quoted(relation)}")
        self.spark.sql(f"create database if not exists `{relation.split('.')[0]}`")


def _quoted(relation: str) -> str:
    return ".".join(f"`{part}`" for part in relation.split("."))


class SparkEngine:
    """Spark on one machine or a cluster."""

    name = "spark"

    def __init__(self, settings: Settings) -> None:
        self._master = settings.spark_master

    @property
    def version(self) -> str:
        """The engine with its version. Raise SparkError without PySpark or Java."""
        return f"Spark {spark_version()} on {self._master}"

    @contextmanager
    def open(self, folder: Path) -> Iterator[SparkSQLSession]:
        """Open an empty database, whose files are in an empty folder, for the duration of the block."""
        with spark_session(self._master, folder) as spark:
            yield SparkSQLSession(spark, folder)
