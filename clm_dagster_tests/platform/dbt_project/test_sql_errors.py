"""Errors of DuckDB name the file and line of the SQL that a person edits."""

from pathlib import Path

import duckdb
import pytest

from clm_dagster.errors import UserError
from clm_dagster.platform.dbt_project.sql_errors import locate, sql_errors
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError

TEMPLATE = """\
{{ config(materialized = 'table') }}
-- A comment.
{% set names = ['a', 'b'] %}

select
    {% for name in names %}
    {{ name }} as {{ name }}_shown,
    {% endfor %}
    wrong_column,
    {{ number('quantity') }} as quantity
from numbers
"""
RENDERED = """\
-- A comment.

select
    a as a_shown,
    b as b_shown,
    wrong_column,
    try_cast(missing as decimal(18, 4)) as quantity
from numbers"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "events.sql"
    path.write_text(TEMPLATE)
    return path


@pytest.mark.parametrize(("rendered", "line"), [(6, 9), (7, 10), (8, 11), (1, 2), (3, 5)])
def test_a_line_of_rendered_sql_is_found_in_its_template(template: Path, rendered: int, line: int) -> None:
    assert locate(rendered, RENDERED, [template]) == (template, line)


@pytest.mark.parametrize("rendered", [4, 5])
def test_a_line_of_a_loop_is_near(template: Path, rendered: int) -> None:
    path, line = locate(rendered, RENDERED, [template])
    assert path == template and 6 <= line <= 8


def test_a_line_of_a_shared_file_is_found_there(template: Path, tmp_path: Path) -> None:
    shared = tmp_path / "_orders.sql"
    shared.write_text("orders as (\n    select nothing_such\n    from landed\n)\n")
    sql = "with orders as (\n    select nothing_such\n    from landed\n)\nselect 1"
    assert locate(2, sql, [template, shared]) == (shared, 2)


def test_an_unknown_column_names_the_line_to_edit(template: Path) -> None:
    connection = duckdb.connect()
    connection.execute("create table numbers (a int, b int, right_column int)")
    with pytest.raises(ProjectError) as raised, sql_errors(template, RENDERED):
        connection.execute(f"create table t as {RENDERED}")
    text = str(raised.value)
    assert text.startswith(f"{template}:9: Binder Error") and "wrong_column" in text
    assert text.endswith("The line is: wrong_column,") and "LINE " not in text


def test_a_value_that_cannot_be_converted_is_not_quoted(template: Path) -> None:
    connection = duckdb.connect()
    connection.execute("create table numbers as select 'jane@example.com' as a")
    with pytest.raises(UserError) as raised, sql_errors(template, "select 1", is_whole=False):
        connection.execute("select cast(a as int) from numbers").fetchall()
    assert str(raised.value).startswith(f"{template}: Conversion Error") and "jane" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_error_that_is_not_of_the_sql_stays_what_it_is(template: Path) -> None:
    with pytest.raises(duckdb.IOException), sql_errors(template, RENDERED):
        raise duckdb.IOException("No space left on device")
