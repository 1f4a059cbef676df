"""How the SQL project is laid out: where what stands, and who may read what."""

from datetime import datetime

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.building import Snapshot, compile_model
from clm_dagster.platform.dbt_project.project import Project


def test_every_raw_table_has_a_staging_model_of_its_own_and_nothing_else_reads_it(project: Project) -> None:
    """A contract table's columns are named and typed in one place; all else reads that."""
    raw = {name for name, source in project.sources.items() if source.schema == "raw"}
    readers = {
        table: [name for name, model in project.models.items() if table in model.refs] for table in raw
    }
    assert {table: [project.models[name].schema for name in found] for table, found in readers.items()} == {
        table: ["staging"] for table in raw
    }, readers


def test_every_model_has_a_yaml_file_beside_it_and_every_source_table_one_of_its_name(
    project: Project,
) -> None:
    """A reader finds what is said of a table by the table's name alone."""
    for name, model in project.models.items():
        documented = yaml_lines.load(model.path.with_suffix(".yml"))
        assert [entry["name"] for entry in documented["models"]] == [name]
    for source in project.sources.values():
        assert source.path.stem == source.name
        (entry,) = yaml_lines.load(source.path)["sources"]
        assert [table["name"] for table in entry["tables"]] == [source.name]


def test_every_table_of_marts_has_a_use_and_every_use_a_file_of_its_name(project: Project) -> None:
    """What is published is there for somebody."""
    used = {name for exposure in project.exposures.values() for name in exposure.reads}
    assert {name for name, node in project.nodes.items() if node.schema == "marts"} - used == set()
    files = {exposure.where.path for exposure in project.exposures.values()}
    assert {file.stem for file in files} == set(project.exposures)


# Words that engines do not share, or say otherwise: each stands in one macro.
BEHIND_MACROS = ("isodow", "round_even", "from_json", "generate_series")


def test_words_that_engines_do_not_share_stand_in_macros_alone(project: Project) -> None:
    """Another engine is another body of a few macros, and no edit of a model."""
    found = {
        (name, word) for name, model in project.models.items() for word in BEHIND_MACROS if word in model.sql
    }
    assert found == set()
    macros = "".join(file.read_text() for file in (project.path / "macros").glob("*.sql"))
    assert all(word in macros for word in BEHIND_MACROS if word != "from_json")


def test_dates_are_subtracted_by_date_diff(project: Project) -> None:
    """`date - date` is days in some engines, an interval or an error in others; less whole days is fine."""
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
