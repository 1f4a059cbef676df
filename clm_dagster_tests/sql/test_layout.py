"""The layout of the SQL project: the place of each file, and which models may read which tables."""

from datetime import datetime

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.building import Snapshot, compile_model
from clm_dagster.platform.dbt_project.project import Project


def test_only_its_staging_model_reads_a_raw_table(project: Project) -> None:
    """The columns of a contract table are named and typed in one place, which all other models read."""
    raw = {name for name, source in project.sources.items() if source.schema == "raw"}
    readers = {
        table: [name for name, model in project.models.items() if table in model.refs] for table in raw
    }
    assert {table: [project.models[name].schema for name in found] for table, found in readers.items()} == {
        table: ["staging"] for table in raw
    }, readers


def test_every_model_and_source_table_has_a_yaml_file_with_its_name(
    project: Project,
) -> None:
    """The documentation of a table is found by the name of the table."""
    for name, model in project.models.items():
        documented = yaml_lines.load(model.path.with_suffix(".yml"))
        assert [entry["name"] for entry in documented["models"]] == [name]
    for source in project.sources.values():
        assert source.path.stem == source.name
        (entry,) = yaml_lines.load(source.path)["sources"]
        assert [table["name"] for table in entry["tables"]] == [source.name]


def test_every_mart_has_an_exposure_and_every_exposure_a_file_with_its_name(project: Project) -> None:
    """Every published table has a user."""
    used = {name for exposure in project.exposures.values() for name in exposure.reads}
    assert {name for name, node in project.nodes.items() if node.schema == "marts"} - used == set()
    files = {exposure.where.path for exposure in project.exposures.values()}
    assert {file.stem for file in files} == set(project.exposures)


# SQL that differs between engines: each term is used in one macro only.
BEHIND_MACROS = ("isodow", "round_even", "from_json", "generate_series")


def test_engine_specific_sql_is_in_macros_only(project: Project) -> None:
    """Support of another engine changes a few macros and no model."""
    found = {
        (name, word) for name, model in project.models.items() for word in BEHIND_MACROS if word in model.sql
    }
    assert found == set()
    macros = "".join(file.read_text() for file in (project.path / "macros").glob("*.sql"))
    assert all(word in macros for word in BEHIND_MACROS if word != "from_json")


def test_dates_are_subtracted_by_date_diff(project: Project) -> None:
    """`date - date` is days in some engines, an interval or an error in others; `date - integer` is portable."""
    nodes = project.nodes.values()
    schema: dict[str, object] = {
        layer: {node.name: node.types for node in nodes if node.schema == layer}
        for layer in {node.schema for node in nodes}
    }
    found = {}
    for name, model in project.models.items():
        sql = compile_model(project, model, Snapshot(datetime(2024, 1, 1)))
        tree = qualify(sqlglot.parse_one(sql, dialect="duckdb"), schema=schema, dialect="duckdb")
        for less in annotate_types(tree, schema=schema, dialect="duckdb").find_all(exp.Sub):
            if less.left.is_type("date") and not less.right.is_type("int"):
                found[name] = less.sql(dialect="duckdb")
    assert found == {}
