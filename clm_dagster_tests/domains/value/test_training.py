"""The code version of a training of customer value covers every definition that is executed."""

from clm_dagster.domains.value.candidates import candidates
from clm_dagster.domains.value.evaluate import evaluate_candidates
from clm_dagster.domains.value.tables import value_tables
from clm_dagster.platform.build_ledger.code_version import closure
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import Settings
from clm_dagster_tests.domains.value.shop import SETTINGS, Simulated
from clm_dagster_tests.executed import executed


def test_the_version_follows_every_definition_that_an_evaluation_and_its_scores_execute(
    simulated: Simulated, project: Project, settings: Settings
) -> None:
    features, labels, plan = simulated
    chosen = [candidate for candidate in candidates() if candidate.name.startswith(("ridge", "two_part"))]
    with executed() as found:
        result = evaluate_candidates(features, labels, plan, SETTINGS, chosen)
        result.verdict()
    trained, scored, _ = value_tables(project, settings)
    assert len(found) > 50
    assert found - closure(trained.code) == set()
    with executed() as found:
        result.model.scores(features[features["as_of"] == features["as_of"].max()])
    assert found - closure(scored.code) == set()
