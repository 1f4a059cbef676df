"""How the SQL project is laid out: where what stands, and who may read what."""

from clm_dagster.platform.dbt_project import yaml_lines
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
