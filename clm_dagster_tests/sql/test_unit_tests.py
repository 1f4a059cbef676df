"""Run the unit tests in the YAML files of the models; `test_dbt` runs them with real dbt."""

from collections.abc import Iterator

import duckdb
import pytest

from clm_dagster.platform.dbt_project import yaml_lines
from clm_dagster.platform.dbt_project.project import Project, load_project
from clm_dagster.platform.dbt_project.unit_tests import run_unit_test
from clm_dagster.platform.warehouse import Connection
from clm_dagster.settings import PROJECT_DIR

FOLDER = PROJECT_DIR / "dbt_like_sql"
# Read without the project, which takes a second at the collection of every test run.
NAMES = [
    test["name"]
    for file in sorted(FOLDER.glob("models/**/*.yml"))
    if "unit_tests:" in file.read_text()
    for test in yaml_lines.load(file)["unit_tests"]
]
# Models with rules; each rule is described by examples.
RULES = {
    "customer_features",
    "rfm_scores",
    "rfm_cutoffs",
    "segment_turnover",
    "stage_states",
    "lifecycle_stages",
    "segment_moves",
    "cohort_retention",
}


@pytest.fixture(scope="module")
def loaded() -> Project:
    """The SQL project with dbt's defaults."""
    return load_project(FOLDER)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Connection]:
    """An empty database in memory."""
    with duckdb.connect() as opened:
        yield Connection(opened)


@pytest.mark.parametrize("name", NAMES)
def test_every_unit_test_passes(name: str, loaded: Project, scratch: Connection) -> None:
    outcome = run_unit_test(scratch, loaded, loaded.unit_tests[name])
    assert outcome.passed, outcome.explain()


def test_every_model_with_rules_has_unit_tests(loaded: Project) -> None:
    assert sorted(loaded.unit_tests) == sorted(NAMES)
    assert {test.model for test in loaded.unit_tests.values()} >= RULES
