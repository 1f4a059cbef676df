"""Every error in a folder is reported when it is loaded, with file and line."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from clm_dagster.platform.dbt_project.project import load_project
from clm_dagster.platform.dbt_project.yaml_lines import ProjectError
from clm_dagster_tests.sql.fixtures import DBT_PROJECT

Folder = Callable[[dict[str, str]], Path]
MICROBATCH = (
    "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='day',\n"
    "  batch_size='day', begin=var('start_date')) }}\nselect 1 as day"
)


def yml(*lines: str) -> str:
    return "\n".join(["version: 2", "models:", *lines]) + "\n"


PROBLEMS = {
    "unknown ref": (
        {"models/a.sql": "select 1\nfrom {{ ref('nowhere') }}"},
        r"models/a\.sql:2: unknown model or seed 'nowhere'",
    ),
    "unknown source": (
        {"models/a.sql": "select *\n\nfrom {{ source('raw', 'nothing') }}"},
        r"models/a\.sql:3: unknown source 'raw\.nothing'",
    ),
    "unknown ref inside a branch that only a run takes": (
        {"models/a.sql": "select 1\n{% if var('as_of') %}\nfrom {{ ref('nowhere') }}\n{% endif %}"},
        r"models/a\.sql:3: unknown model or seed 'nowhere'",
    ),
    "cycle": (
        {
            "models/a.sql": "select * from {{ ref('b') }}",
            "models/b.sql": "select *\nfrom {{ ref('c') }}",
            "models/c.sql": "select * from {{ ref('a') }}",
        },
        r"cyclic dependency: .*b -> c \(\S*models/b\.sql:2\)",
    ),
    "reads itself": ({"models/a.sql": "select * from {{ ref('a') }}"}, r"a -> a \(\S*models/a\.sql:1\)"),
    "unknown config in SQL": (
        {"models/a.sql": "select 1\n{{ config(materialised='table') }}"},
        r"models/a\.sql:2: unknown config 'materialised'; known keys: .*materialized",
    ),
    "unknown config in YAML": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml("  - name: a", "    config:", "      alias: b"),
        },
        r"models/_m\.yml:5: unknown config 'alias'",
    ),
    "unknown config in dbt_project.yml": (
        {"models/a.sql": "select 1", "dbt_project.yml": DBT_PROJECT + "    +shema: x\n"},
        r"dbt_project\.yml:9: unknown config 'shema'",
    ),
    "unknown materialization": (
        {"models/a.sql": "{{ config(materialized='magic') }} select 1"},
        r"models/a\.sql:1: materialized='magic'; expected one of view, table, incremental",
    ),
    "unknown incremental strategy": (
        {"models/a.sql": "{{ config(materialized='incremental', incremental_strategy='merge') }} select 1"},
        r"models/a\.sql:1: incremental_strategy='merge'; expected microbatch or delete\+insert",
    ),
    "microbatch of an hour": (
        {"models/a.sql": MICROBATCH.replace("batch_size='day'", "batch_size='hour'")},
        r"models/a\.sql:1: microbatch requires batch_size='day', found 'hour'",
    ),
    "microbatch without a beginning": (
        {"models/a.sql": MICROBATCH.replace(", begin=var('start_date')", "")},
        r"microbatch requires begin='\.\.\.', found nothing",
    ),
    "unknown YAML key": (
        {"models/a.sql": "select 1", "models/_m.yml": yml("  - name: a", "    descripton: x")},
        r"models/_m\.yml:4: unknown key 'descripton'; known keys: .*description",
    ),
    "unknown key of a column": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml("  - name: a", "    columns:", "      - name: b", "        type: int"),
        },
        r"models/_m\.yml:6: unknown key 'type'",
    ),
    "unknown section": ({"models/_m.yml": "version: 2\nmetrics: []\n"}, r"_m\.yml:2: unknown key 'metrics'"),
    "an entry without a name": (
        {"models/_m.yml": yml("  - description: x")},
        r"models/_m\.yml:3: 'name' is missing",
    ),
    "a list where a mapping belongs": (
        {"models/a.sql": "select 1", "models/_m.yml": yml("  - a")},
        r"models/_m\.yml:3: expected a mapping",
    ),
    "broken YAML": ({"models/_m.yml": "models: [\n"}, r"models/_m\.yml is not valid YAML"),
    "unknown data test": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a",
                "    columns:",
                "      - name: b",
                "        data_tests:",
                "          - positive",
            ),
        },
        r"models/_m\.yml:7: unknown data test 'positive'; known tests: not_null",
    ),
    "relationships to nowhere": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a",
                "    data_tests:",
                "      - not_null: {column_name: b}",
                "      - relationships: {column_name: b, arguments: {to: ref('gone'), field: b}}",
            ),
        },
        r"models/_m\.yml:6: unknown model or seed 'gone'",
    ),
    "relationships to what is no ref": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a",
                "    data_tests:",
                "      - relationships: {column_name: b, arguments: {to: customers, field: b}}",
            ),
        },
        r"models/_m\.yml:5: relationships: to is 'customers'; expected ref",
    ),
    "relationships that go in a circle": (
        {
            "models/a.sql": "select 1",
            "models/b.sql": "select * from {{ ref('a') }}",
            "models/_m.yml": yml(
                "  - name: a",
                "    data_tests:",
                "      - relationships: {column_name: b, arguments: {to: ref('b'), field: b}}",
            ),
        },
        r"a -> b \(\S*models/_m\.yml:5\)",
    ),
    "a data test without its argument": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a", "    data_tests:", "      - accepted_values: {column_name: b}"
            ),
        },
        r"models/_m\.yml:5: accepted_values: the argument 'values' is missing",
    ),
    "a data test with an unknown argument": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a", "    data_tests:", "      - unique: {column_name: b, where: c}"
            ),
        },
        r"models/_m\.yml:5: unique: unknown argument 'where'",
    ),
    "a data test of a whole model without a column": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml("  - name: a", "    data_tests:", "      - unique"),
        },
        r"models/_m\.yml:5: unique: a data test of a model requires column_name",
    ),
    "unknown severity": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a",
                "    data_tests:",
                "      - unique: {column_name: b, config: {severity: fatal}}",
            ),
        },
        r"models/_m\.yml:5: unique: severity is 'fatal'; expected one of error, warn",
    ),
    "the same data test twice": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml(
                "  - name: a",
                "    data_tests:",
                "      - unique: {column_name: b}",
                "      - unique: {column_name: b}",
            ),
        },
        r"models/_m\.yml:3: a has the data test unique_b twice",
    ),
    "undefined variable": (
        {"models/a.sql": "select\n'{{ var('horizon') }}'"},
        r"models/a\.sql:2: variable 'horizon' is not defined in dbt_project\.yml",
    ),
    "undefined variable in a macro": (
        {
            "macros/m.sql": "{% macro limit() %}{{ var('horizon') }}{% endmacro %}",
            "models/a.sql": "select 1\nlimit {{ limit() }}",
        },
        r"models/a\.sql:2: variable 'horizon' is not defined",
    ),
    "undefined macro": (
        {"models/a.sql": "select 1\nwhere {{ as_knwon() }}"},
        r"models/a\.sql:2: 'as_knwon' is undefined",
    ),
    "a macro called wrongly": (
        {"macros/m.sql": "{% macro one() %}1{% endmacro %}", "models/a.sql": "\n\nselect {{ one(2) }}"},
        r"models/a\.sql:3: ",
    ),
    "Jinja syntax": ({"models/a.sql": "select 1\n{% if x %}"}, r"models/a\.sql:2: "),
    "Jinja syntax in a macro": (
        {
            "macros/m.sql": "{% macro one() %}\n{{ 1 +* }}\n{% endmacro %}",
            "models/a.sql": "select {{ one() }}",
        },
        r"macros/m\.sql:2: ",
    ),
    "docs of a missing model": (
        {"models/_m.yml": yml("  - name: gone")},
        r"models/_m\.yml:3: \S*models has no model 'gone'",
    ),
    "docs of a missing seed": (
        {"seeds/_s.yml": "seeds:\n  - name: gone\n"},
        r"seeds/_s\.yml:2: \S*seeds has no seed 'gone'",
    ),
    "docs twice": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml("  - name: a"),
            "models/_n.yml": yml("  - name: a"),
        },
        r"models/_n\.yml:3: 'a' is defined twice; the first definition is at \S*models/_m\.yml:3",
    ),
    "two models of one name": (
        {"models/x/a.sql": "select 1", "models/y/a.sql": "select 2"},
        r"models/y/a\.sql:1: the name 'a' is already used by \S*models/x/a\.sql",
    ),
    "a model named like a seed": (
        {"models/a.sql": "select 1", "seeds/a.csv": "b\n1\n"},
        r"models/a\.sql:1: the name 'a' is already used by \S*seeds/a\.csv",
    ),
    "unknown word of Dagster's": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml("  - name: a", "    config:", "      meta: {dagster: {grup: x}}"),
        },
        r"models/_m\.yml:5: unknown key 'grup' in meta\.dagster; known keys: .*group",
    ),
    "unknown calendar": (
        {
            "models/a.sql": "select 1",
            "models/_m.yml": yml("  - name: a", "    config:", "      meta: {dagster: {partitions: hourly}}"),
        },
        r"models/_m\.yml:5: meta\.dagster\.partitions is 'hourly'; expected one of daily, snapshot, none",
    ),
    "no dbt_project.yml": ({"dbt_project.yml": ""}, r"dbt_project\.yml:1: 'name' is missing"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_error_names_file_and_line(name: str, folder: Folder) -> None:
    files, message = PROBLEMS[name]
    with pytest.raises(ProjectError) as error:
        load_project(folder(files))
    assert re.search(message, str(error.value)), str(error.value)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"dbt_project\.yml does not exist"):
        load_project(tmp_path / "nowhere")


def test_an_undeclared_variable_is_an_error(folder: Folder) -> None:
    unknown = folder({"models/a.sql": "select {{ var('horizon') }} as horizon"})
    message = r"a\.sql:1: variable 'horizon' is not defined in dbt_project\.yml; define it there, or pass"
    with pytest.raises(ProjectError, match=message):
        load_project(unknown, horizon=90)
    own = folder({"models/a.sql": "select {{ var('horizon', 30) }} as horizon"})
    assert "90" in load_project(own, horizon=90).renderer.render(own / "models" / "a.sql", str)


def test_models_are_ordered_after_what_they_and_their_tests_read(folder: Folder) -> None:
    project = load_project(
        folder(
            {
                "models/a.sql": "select * from {{ ref('z') }}",
                "models/b.sql": "select 1 as k",
                "models/z.sql": "select 1 as k",
                "seeds/names.csv": "k\n1\n",
                "models/_m.yml": yml(
                    "  - name: b",
                    "    data_tests:",
                    "      - relationships: {column_name: k, arguments: {to: ref('a'), field: k}}",
                ),
            }
        )
    )
    names = list(project.nodes)
    assert names.index("z") < names.index("a") < names.index("b")
    assert set(project.seeds) == {"names"}


def test_the_nearest_configuration_has_priority(folder: Folder) -> None:
    project = load_project(
        folder(
            {
                "dbt_project.yml": DBT_PROJECT
                + "    +materialized: table\n    marts:\n      +schema: marts\n      +tags: [far]\n",
                "models/a.sql": "select 1",
                "models/marts/b.sql": "{{ config(materialized='view') }} select 1",
                "models/marts/_m.yml": yml(
                    "  - name: b", "    config: {materialized: incremental, tags: [near]}"
                ),
            }
        )
    )
    a, b = project.model("a"), project.model("b")
    assert (a.relation, a.materialized) == ("core.a", "table")
    assert (b.relation, b.materialized, b.config["tags"]) == ("marts.b", "view", ["near"])


def test_an_unknown_model_is_an_error_that_lists_all_models(folder: Folder) -> None:
    project = load_project(folder({"models/a.sql": "select 1"}))
    with pytest.raises(ProjectError, match="unknown model 'b'; the models are a"):
        project.model("b")


# ------------------------------------------------------------------------------ code_version


def version(folder: Folder, **changes: str) -> str:
    """Return the version of a model with a macro, configuration and documentation, next to another model."""
    files = {
        "models/a.sql": "{{ config(materialized='table') }}\nselect {{ one() }} as k\n"
        "{% if var('as_of') %}where 'x' < '{{ var('as_of') }}'{% endif %}",
        "models/other.sql": "select 1 as k",
        "models/_m.yml": yml("  - name: a", "    description: x"),
        "macros/m.sql": "{% macro one() %}1{% endmacro %}\n{% macro two() %}2{% endmacro %}",
        "dbt_project.yml": DBT_PROJECT,
    } | {name.replace("__", "/").replace("_dot_", "."): text for name, text in changes.items()}
    return load_project(folder(files)).model("a").code_version


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("models/a.sql", "as k", "as j", True),
        ("models/a.sql", "'table'", "'view'", True),
        ("models/a.sql", "where 'x'", "where 'y'", True),  # a branch that is only used with an as_of
        ("macros/m.sql", "%}1{%", "%}3{%", True),
        ("dbt_project.yml", "+schema: core", "+schema: marts", True),
        ("macros/m.sql", "%}2{%", "%}3{%", False),  # a macro that it does not call
        ("models/a.sql", "select", "{# why #}select", False),
        ("models/other.sql", "as k", "as j", False),
        ("models/_m.yml", "description: x", "description: y", False),
        ("models/_m.yml", "description: x", "config: {meta: {dagster: {owners: [team:b]}}}", False),
        ("dbt_project.yml", "2024-01-01", "2023-01-01", False),
    ],
)
def test_the_code_version_changes_exactly_if_the_rows_can_change(
    file: str, old: str, new: str, changes: bool, folder: Folder, tmp_path: Path
) -> None:
    before = version(folder)
    path = tmp_path / "tiny" / file
    text = path.read_text()
    assert old in text
    after = version(folder, **{file.replace("/", "__").replace(".", "_dot_"): text.replace(old, new)})
    assert (after != before) == changes


def test_the_version_of_a_seed_is_its_content(folder: Folder) -> None:
    first = load_project(folder({"seeds/s.csv": "k\n1\n"})).seeds["s"].code_version
    assert load_project(folder({"seeds/s.csv": "k\n1\n"})).seeds["s"].code_version == first
    assert load_project(folder({"seeds/s.csv": "k\n2\n"})).seeds["s"].code_version != first
