"""The code version of a churn training covers every definition that an evaluation executes."""

from dataclasses import replace

import pandas as pd

from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.evaluate import evaluate_candidates
from clm_dagster.domains.churn.tables import churn_tables
from clm_dagster.platform.build_ledger.code_version import closure
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.settings import Settings
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.churn.shop import SETTINGS
from clm_dagster_tests.executed import executed

SIMPLE = ("recency", "bgnbd", "logistic", "tree")


def test_the_version_follows_every_definition_that_an_evaluation_and_its_scores_execute(
    simulated: tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan], project: Project, settings: Settings
) -> None:
    features, labels, plan = simulated
    chosen = [candidate for candidate in candidates() if candidate.name in SIMPLE]
    with executed() as found:
        result = evaluate_candidates(features, labels, plan, SETTINGS, chosen)
        result.verdict(SETTINGS)
    trained, scored, _ = churn_tables(project, settings)
    assert len(found) > 50
    assert found - closure(trained.code) == set()
    frame = result.inputs.frames[plan.split.test]
    with executed() as found:
        result.model.scores(frame, 0.5)
    assert found - closure(scored.code) == set()


def test_a_setting_of_the_evaluation_is_part_of_the_version(project: Project, settings: Settings) -> None:
    trained, *_ = churn_tables(project, settings)
    other = replace(trained.settings, evaluation=replace(trained.settings.evaluation, leak_auc=0.9))
    assert replace(trained, settings=other).code_version != trained.code_version
