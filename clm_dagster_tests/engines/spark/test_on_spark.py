"""Spark gives the rows of DuckDB: for every construct over hostile values, and for every model of a shop."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from clm_dagster.engines.comparing import DIFFERENT, EQUAL, Comparison, compare
from clm_dagster.engines.duckdb_session import DuckDBSession
from clm_dagster.engines.results import Verification
from clm_dagster.engines.spark.dialect import translate
from clm_dagster.engines.spark.engine import SparkSQLSession
from clm_dagster.engines.verifying import verify
from clm_dagster.platform.dbt_project.building import Slice
from clm_dagster.platform.dbt_project.project import Model, Project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import Settings
from clm_dagster_tests.engines.spark.conftest import emptied
from clm_dagster_tests.engines.spark.hostile import AGGREGATES, QUERIES, ROWS, VALUES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
WINDOW = "window so_far as (order by i rows between unbounded preceding and current row)"


class Both:
    """The same table in DuckDB and in Spark."""

    def __init__(self, database: SparkSQLSession, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.connection = Connection(duckdb.connect())
        self.reference = DuckDBSession(self.connection)

    def load(self, relation: str, query: str) -> None:
        """Make a table of the rows of a query in both."""
        path = self.folder / "rows.parquet"
        # A Parquet file holds no HUGEINT, so the query of a test casts it back.
        self.connection.execute(f"copy ({query}) to '{path}' (format parquet)")
        self.reference.load(relation, path)
        self.database.load(relation, path)

    def compare(self, query: str) -> Comparison:
        """Return how the rows of a query differ."""
        ours, theirs = self.folder / "ours.parquet", self.folder / "theirs.parquet"
        columns = self.connection.columns(query)
        listed = ", ".join(
            f'cast("{name}" as decimal(38, 0)) as "{name}"' if kind == "HUGEINT" else f'"{name}"'
            for name, kind in columns.items()
        )
        self.connection.execute(f"copy (select {listed} from ({query})) to '{ours}' (format parquet)")
        rows = self.database._rows(translate(query, self.database._types))
        written = self.database._write(rows.coalesce(1))
        (part,) = written.glob("part-*.parquet")
        shutil.move(part, theirs)
        return compare(self.connection, ours, theirs)


@pytest.fixture
def both(database: SparkSQLSession, tmp_path: Path) -> Both:
    return Both(database, tmp_path)


def with_huge(query: str) -> str:
    """Return a query whose column h is a HUGEINT, as it is in the rows."""
    return query.replace("s.rows", "(select * replace (cast(h as hugeint) as h) from s.rows)")


def test_every_value_is_that_of_duckdb(both: Both) -> None:
    """Nulls, ties, negative and large numbers, texts beyond ASCII, leap days, ISO weeks."""
    both.load("s.rows", f"select * replace (cast(h as decimal(38, 0)) as h) from ({ROWS})")
    # In a few queries, so that a failure names few constructs.
    size = 20
    for start in range(0, len(VALUES), size):
        listed = ", ".join(f"{value} as v{n}" for n, value in enumerate(VALUES[start : start + size], start))
        found = both.compare(with_huge(f"select i as place, {listed} from s.rows {WINDOW}"))
        assert_equal(found, {f"v{n}": value for n, value in enumerate(VALUES)})


def test_every_aggregate_is_that_of_duckdb(both: Both) -> None:
    both.load("s.rows", f"select * replace (cast(h as decimal(38, 0)) as h) from ({ROWS})")
    listed = ", ".join(f"{value} as v{n}" for n, value in enumerate(AGGREGATES))
    for grouped in ("group by o", "where i > 99"):
        key = "o as place, " if grouped.startswith("group") else ""
        found = both.compare(with_huge(f"select {key}{listed} from s.rows {grouped}"))
        assert_equal(found, {f"v{n}": value for n, value in enumerate(AGGREGATES)})


def test_every_kind_of_query_gives_the_rows_of_duckdb(both: Both) -> None:
    both.load("s.rows", f"select * replace (cast(h as decimal(38, 0)) as h) from ({ROWS})")
    for query in QUERIES:
        found = both.compare(with_huge(query))
        assert found.verdict != DIFFERENT, (query, found)
        assert found.rows, query


def assert_equal(found: Comparison, values: Mapping[str, str]) -> None:
    wrong = {values.get(name, name): name for name in found.differing}
    assert found.verdict != DIFFERENT, (wrong, found.columns, found.examples)
    assert found.rows


class SharedEngine:
    """Spark that runs already. changed: other SQL for some models, a planted difference."""

    name, version = "spark", "Spark of the tests"

    def __init__(self, spark: "SparkSession", changed: Mapping[str, tuple[str, str]]) -> None:
        self.spark, self.changed = spark, changed

    @contextmanager
    def open(self, folder: Path) -> Iterator[SparkSQLSession]:
        """Open an empty database."""
        session = emptied(self.spark, folder)
        planted = PlantedSession(session.spark, folder)
        planted.changed = self.changed
        yield planted


class PlantedSession(SparkSQLSession):
    """A session that builds some models by other SQL."""

    changed: Mapping[str, tuple[str, str]]

    def compiled(self, project: Project, model: Model, piece: Slice, variables: Mapping[str, Any]) -> str:
        """Return the SQL of a model with its change."""
        sql = super().compiled(project, model, piece, variables)
        if model.name in self.changed:
            old, new = self.changed[model.name]
            assert old in sql
            sql = sql.replace(old, new)
        return sql


def verified(
    settings: Settings, spark: "SparkSession", models: Sequence[str] = (), **changed: tuple[str, str]
) -> Verification:
    return verify(settings, SharedEngine(spark, changed), lambda *_: lambda *_: None, models)


def test_every_model_of_a_shop_has_the_rows_of_duckdb(spark: "SparkSession", two_weeks: Settings) -> None:
    """At two as_ofs, in all ways in which runs build: at once, one by one, a part again, from changed days."""
    found = verified(two_weeks, spark)
    wrong = {model.relation: (model.error, model.comparison) for model in found.models if model.error}
    assert not wrong
    different = [model.relation for model in found.models if verdicts(model) & {DIFFERENT}]
    assert not different
    assert sum(model.rows > 0 for model in found.models) > 30


def verdicts(model: Any) -> set[str]:
    return {each.verdict for each in (model.comparison, *model.ways.values()) if each}


def test_a_planted_change_is_found(spark: "SparkSession", two_weeks: Settings) -> None:
    """Spark truncates where DuckDB rounds: one digit of one model is another one."""
    found = verified(
        two_weeks, spark, ["totals_daily"], totals_daily=("sum(gross_revenue)", "sum(gross_revenue) + 0.0001")
    )
    (model,) = found.models
    assert model.comparison is not None
    assert model.comparison.verdict == DIFFERENT
    assert "gross_revenue" in model.comparison.differing
    assert found.exit_code == 1


def test_the_same_model_is_equal_without_the_change(spark: "SparkSession", two_weeks: Settings) -> None:
    (model,) = verified(two_weeks, spark, ["totals_daily"]).models
    assert model.comparison is not None
    assert model.comparison.verdict == EQUAL
