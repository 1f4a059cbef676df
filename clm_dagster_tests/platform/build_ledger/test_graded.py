"""Past snapshots that are due for grades: windows of one horizon, models of their time, and nothing twice."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from clm_dagster.domains.churn.tables import churn_tables
from clm_dagster.domains.personas.tables import persona_tables
from clm_dagster.domains.recommend.tables import recommend_tables
from clm_dagster.domains.value.tables import value_tables
from clm_dagster.platform.build_ledger.graded import GradedWindows, graded_snapshots
from clm_dagster.platform.build_ledger.versions import Builds, Version
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.partitions import as_of_of_key, snapshot_keys
from clm_dagster.platform.python_tables.tables import AnyTable
from clm_dagster.platform.resources import load_sql
from clm_dagster.settings import Settings

# The dates of Online Retail II: its last week has five days, so the newest as_of is after the end of the data.
KEYS = snapshot_keys(date(2009, 11, 30), date(2011, 12, 12))
DATA_END = date(2011, 12, 10)
TRAININGS = ["2011-05-23", "2011-08-22", "2011-11-21"]


@pytest.fixture
def shop(settings_for: Callable[..., Settings]) -> tuple[Project, list[AnyTable]]:
    settings = settings_for(start_date="2009-12-01", end_date="2011-12-10")
    project = load_sql(settings)
    tables = [
        *value_tables(project, settings),
        *churn_tables(project, settings),
        *recommend_tables(project, settings),
        *persona_tables(project, settings),
    ]
    return project, tables


def trained(tables: list[AnyTable], keys: list[str] = TRAININGS) -> Builds:
    builds = Builds()
    for table in tables:
        for key in keys if table.is_trained else []:
            builds.assume(table.relation, key, Version("trained"))
    return builds


def windows(**other: Any) -> GradedWindows:
    usual: dict[str, Any] = {
        "keys": KEYS,
        "newest": KEYS[-8:],
        "first_training": TRAININGS[0],
        "data_end": DATA_END,
        "count": 3,
    }
    return GradedWindows(**usual | other)


def due(shop: tuple[Project, list[AnyTable]], builds: Builds, **other: Any) -> dict[str, list[str]]:
    found = graded_snapshots(*shop, builds, windows(**other))
    return {key: [table.relation for table in tables] for key, tables in found.items()}


def run(shop: tuple[Project, list[AnyTable]], builds: Builds, keys: list[str], relations: set[str]) -> None:
    for table in (table for table in shop[1] if table.relation in relations):
        for key in keys:
            builds.assume(table.relation, key, table.expected(shop[0], builds, key))


def test_each_table_is_due_a_whole_number_of_its_horizons_before_the_end_of_the_data(
    shop: tuple[Project, list[AnyTable]],
) -> None:
    # Recommendations have 60 days, the others 90. Before 2011-05-30 there is no model of the time.
    quarter = ["marts.customer_value", "marts.churn_scores"]
    found = due(shop, trained(shop[1]))
    # Value and churn 90 days, personas 91, recommendations 60. Before 2011-05-30 there is no model of the time.
    assert found == {
        "2011-06-06": [*quarter, "marts.recommendations", "marts.personas"],
        "2011-08-01": ["marts.recommendations"],
        "2011-08-29": [*quarter, "marts.personas"],
        "2011-10-03": ["marts.recommendations"],
    }
    for key, relations in found.items():
        for table in (table for table in shop[1] if table.relation in relations):
            assert table.grade_days is not None
            assert as_of_of_key(key, None).date() + timedelta(days=table.grade_days) <= DATA_END


def test_the_number_of_windows_is_a_setting_and_zero_is_none(shop: tuple[Project, list[AnyTable]]) -> None:
    builds = trained(shop[1])
    assert due(shop, builds, count=0) == {}
    assert set(due(shop, builds, count=1)) == {"2011-08-29", "2011-10-03"}


def test_no_model_of_a_later_date_scores_an_earlier_snapshot(shop: tuple[Project, list[AnyTable]]) -> None:
    only_newest = TRAININGS[-1:]
    assert due(shop, trained(shop[1], only_newest), first_training=only_newest[0]) == {}
    # An old model that is no longer due is not loaded again: later code may not read it.
    old = trained(shop[1], ["2011-02-21", *TRAININGS])
    assert set(due(shop, old)) == set(due(shop, trained(shop[1])))


def test_a_window_with_a_score_is_complete_also_when_inputs_change_later(
    shop: tuple[Project, list[AnyTable]],
) -> None:
    builds = trained(shop[1])
    for key, relations in due(shop, builds).items():
        run(shop, builds, [key], set(relations))
    assert due(shop, builds) == {}
    builds.assume("core.customer_features", "2011-08-29", Version("late rows"))
    assert due(shop, builds) == {}
    later = DATA_END + timedelta(
        days=7
    )  # a week later the windows have moved, but still hold what was scored
    assert due(shop, builds, data_end=later) == {}


def test_scores_of_other_code_or_settings_are_no_grade(shop: tuple[Project, list[AnyTable]]) -> None:
    builds = trained(shop[1])
    run(shop, builds, ["2011-10-03"], {"marts.recommendations"})
    assert "2011-10-03" not in due(shop, builds)
    builds.assume("marts.recommendations", "2011-10-03", Version("other-inputs"))
    assert due(shop, builds)["2011-10-03"] == ["marts.recommendations"]


def test_what_a_score_reads_is_scored_with_it(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(start_date="2009-12-01", end_date="2011-12-10", churn_horizon_days=30)
    project = load_sql(settings)
    shop = project, [*value_tables(project, settings), *churn_tables(project, settings)]
    found = due(shop, trained(shop[1]), newest=KEYS[-1:], count=1)
    assert found["2011-10-31"] == ["marts.customer_value", "marts.churn_scores"]
    assert found["2011-08-29"] == ["marts.customer_value"]


def test_a_short_horizon_is_graded_by_the_snapshots_that_are_scored_anyway(
    settings_for: Callable[..., Settings],
) -> None:
    settings = settings_for(start_date="2009-12-01", end_date="2011-12-10", recommend_horizon_days=7)
    project = load_sql(settings)
    shop = project, recommend_tables(project, settings)
    assert due(shop, trained(shop[1])) == {}
