"""Types are DuckDB's; each rule changes the tree as it says; what no rule carries over is an error."""

from collections.abc import Iterator
from datetime import datetime

import duckdb
import pytest

from clm_dagster.engines.spark.dialect import translate, translate_condition
from clm_dagster.errors import UserError
from clm_dagster.platform.dbt_project.building import Batch, Snapshot, Snapshots, compile_model, load_seed
from clm_dagster.platform.dbt_project.project import Model, Project, load_project
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings.shared import shipped_sql_dir
from clm_dagster_tests.engines.spark.hostile import AGGREGATES, QUERIES, ROWS, VALUES

AS_OF_DAYS = (datetime(2024, 3, 4), datetime(2024, 6, 3))
WINDOW = "window so_far as (order by i rows between unbounded preceding and current row)"


@pytest.fixture(scope="module")
def rows() -> Iterator[duckdb.DuckDBPyConnection]:
    """The hostile rows in DuckDB, as s.rows."""
    with duckdb.connect() as connection:
        connection.execute("create schema s")
        connection.execute(f"create table s.rows as {ROWS}")
        yield connection


def types_of(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe {query}").fetchall()}


def same_names(types: dict[str, str]) -> dict[str, str]:
    """Return types in one spelling."""
    return {
        name: kind.replace(", ", ",")
        .replace("TEXT", "VARCHAR")
        .replace("INTEGER", "INT")
        .replace("INT128", "HUGEINT")
        for name, kind in types.items()
    }


def one_line(sql: str, types: dict[str, dict[str, str]]) -> str:
    """Return a translated query without quotes and without the casts around it."""
    return translate(sql, types).sql.replace("`", "").split(" FROM (", 1)[1].rsplit(") AS q", 1)[0]


TYPES = {
    "s.t": {
        "i": "INTEGER",
        "b": "BIGINT",
        "h": "HUGEINT",
        "d": "DECIMAL(18,4)",
        "f": "DOUBLE",
        "t": "VARCHAR",
        "a": "DATE",
        "m": "TIMESTAMP",
    }
}


@pytest.mark.parametrize("value", VALUES)
def test_the_type_of_a_value_is_that_of_duckdb(rows: duckdb.DuckDBPyConnection, value: str) -> None:
    """Rules depend on types: a wrong type is a wrong translation."""
    sql = f"select {value} as x from s.rows {WINDOW}"
    found = translate(sql, {"s.rows": types_of(rows, "s.rows")}).types
    assert same_names(found) == same_names(types_of(rows, sql))


@pytest.mark.parametrize("value", AGGREGATES)
def test_the_type_of_an_aggregate_is_that_of_duckdb(rows: duckdb.DuckDBPyConnection, value: str) -> None:
    sql = f"select {value} as x from s.rows group by o"
    found = translate(sql, {"s.rows": types_of(rows, "s.rows")}).types
    assert same_names(found) == same_names(types_of(rows, sql))


@pytest.mark.parametrize("query", QUERIES)
def test_the_types_of_a_query_are_those_of_duckdb(rows: duckdb.DuckDBPyConnection, query: str) -> None:
    found = translate(query, {"s.rows": types_of(rows, "s.rows")}).types
    assert same_names(found) == same_names(types_of(rows, query))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("f / 2", "((t.f) / (DOUBLE(2)))"),
        ("d / nullif(d, 0)", "((DOUBLE(t.d)) / (DOUBLE(NULLIF(t.d, 0))))"),
        ("b // 2", "((t.b) DIV (2))"),
        ("round(f, 2)", "(ROUND((t.f) * 1e2D) / 1e2D)"),
        ("round_even(f, 0)", "RINT(t.f)"),
        ("round_even(d, 0)", "BROUND(t.d, 0)"),
        ("cast(f as bigint)", "CAST(RINT(t.f) AS BIGINT)"),
        ("cast(d as bigint)", "CAST(ROUND(t.d, 0) AS BIGINT)"),
        (
            "cast(f as decimal(18, 4))",
            "CAST((CAST(ROUND((t.f) * 1e4D) AS BIGINT) * 0.0001BD) AS DECIMAL(18, 4))",
        ),
        ("cast(i as hugeint)", "CAST(t.i AS DECIMAL(38, 0))"),
        ("cast(t as timestamp)", "CAST(t.t AS TIMESTAMP_NTZ)"),
        ("a - a", "CAST(DATEDIFF(t.a, t.a) AS BIGINT)"),
        ("a + b", "DATE_ADD(t.a, CAST(t.b AS INT))"),
        ("extract(isodow from a)", "(WEEKDAY(t.a) + 1)"),
        ("date_trunc('week', a)", "CAST(DATE_TRUNC('week', t.a) AS TIMESTAMP_NTZ)"),
        ("concat(t, ', ', i)", "CONCAT(COALESCE(t.t, ''), ', ', COALESCE(CAST(t.i AS STRING), ''))"),
        ("t || t", "t.t || t.t"),
        ("a is not distinct from a", "t.a IS NOT DISTINCT FROM t.a"),
    ],
)
def test_a_value_is_written_for_spark(value: str, written: str) -> None:
    assert one_line(f"select {value} as x from s.t", TYPES) == f"SELECT {written} AS x FROM s.t AS t"


@pytest.mark.parametrize(
    ("query", "part"),
    [
        # Spark's div has 64 bits.
        ("select h // 2 as x from s.t", "% CAST(2 AS DECIMAL(38, 0)))) / CAST(2 AS DECIMAL(38, 0))"),
        # A division by zero is infinite, and Spark would raise an error.
        ("select d / f as x from s.t", "CASE WHEN (t.f) = 0D THEN (DOUBLE(t.d)) * double('Infinity') ELSE"),
        ("select avg(d) as x from s.t", "(DOUBLE(SUM(t.d)) / DOUBLE(NULLIF(COUNT(t.d), 0)))"),
        ("select arg_min(t, a) as x from s.t", "MIN_BY(t.t, t.a) FILTER(WHERE NOT (t.t) IS NULL)"),
        ("select t as x from s.t order by i", "ORDER BY t.i NULLS LAST"),
        ("select t as x from s.t order by i desc", "ORDER BY t.i DESC"),
        # Spark numbers rows in an order only, and offsets have no frame.
        ("select i as x, row_number() over () as n from s.t", "OVER (ORDER BY t.i) AS n"),
        (
            "select lead(i) over w as x from s.t window w as (order by i rows between 1 preceding and current row)",
            "LEAD(t.i) OVER (ORDER BY t.i NULLS LAST) AS x FROM s.t AS t",
        ),
        (
            "select i + unnest(range(1, i)) as x from s.t",
            "SELECT t.i + clm_series_0.clm_item_0 AS x FROM s.t AS t LATERAL VIEW",
        ),
        ("select distinct m.i as x from s.t as m order by m.i limit 1", "ORDER BY x NULLS LAST LIMIT 1"),
        ("select log2(i) as x from s.t", "ELSE LOG2(DOUBLE(t.i)) END"),
    ],
)
def test_a_query_is_written_for_spark(query: str, part: str) -> None:
    assert part in one_line(query, TYPES)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("cast(f as varchar)", "how they write a double"),
        ("concat(t, f)", "how they write a double"),
        ("m - m", "use date_diff"),
        ("date_diff('week', a, a)", "in the unit week"),
        ("f // 2", "is for integers"),
        ("round_even(f, 2)", "to a fraction"),
        ("round(f, i)", "not a constant"),
        ("some_function(i)", "not known"),
        ("cast(f as decimal(38, 20))", "20 digits"),
    ],
)
def test_what_no_rule_carries_over_is_an_error(value: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        translate(f"select {value} as x from s.t", TYPES)


def test_a_recursive_query_is_its_start_and_its_step() -> None:
    found = translate(
        "with recursive n as (select i as k from s.t union all select k + 1 from n where k < 3), "
        "m as (select max(k) as k from n) select k from m",
        TYPES,
    )
    (recursion,) = found.recursions
    assert "FROM `s`.`t`" in recursion.start
    assert f"FROM `{recursion.view}`" in recursion.step
    assert f"SELECT * FROM {recursion.view}" in found.sql.replace("`", "")
    assert "RECURSIVE" not in found.sql


def test_a_condition_has_no_table() -> None:
    found = translate_condition("m >= timestamp '2024-01-01' and i / 2 > 1", "s.t", TYPES)
    assert found.startswith("`m` >= CAST('2024-01-01' AS TIMESTAMP_NTZ)")


def test_every_model_has_the_types_of_duckdb() -> None:
    """All models translate, in each way in which runs build them."""
    project = load_project(shipped_sql_dir())
    with duckdb.connect() as connection:
        make_inputs(connection, project)
        types: dict[str, dict[str, str]] = {}
        translated = 0
        for node in project.nodes.values():
            connection.execute(f"create schema if not exists {node.relation.split('.')[0]}")
            if isinstance(node, Model):
                for sql in compiled(project, node):
                    connection.execute(f"create or replace view {node.relation} as {sql}")
                    found = translate(sql, types)
                    expected = types_of(connection, node.relation)
                    assert same_names(found.types) == same_names(expected), node.relation
                    translated += 1
            types[node.relation] = types_of(connection, node.relation)
    assert translated > len(project.models)


def make_inputs(connection: duckdb.DuckDBPyConnection, project: Project) -> None:
    """Make all sources, empty, and all seeds."""
    for name, node in project.nodes.items():
        connection.execute(f"create schema if not exists {node.relation.split('.')[0]}")
        if name in project.seeds:
            load_seed(Connection(connection), node, node.relation)
        elif not isinstance(node, Model):
            listed = ", ".join(f'"{column}" {kind}' for column, kind in node.types.items())
            connection.execute(f"create table {node.relation} ({listed})")


def compiled(project: Project, model: Model) -> list[str]:
    """Return the SQL of a model in each way in which it is built into an empty table."""
    first, second = AS_OF_DAYS
    if model.materialized == "snapshot":
        pieces = (Snapshot(first), Snapshots((first, second)))
        return [compile_model(project, model, piece) for piece in pieces]
    if model.materialized == "microbatch":
        return [compile_model(project, model, Batch(first.date(), second.date()))]
    return [compile_model(project, model)]
