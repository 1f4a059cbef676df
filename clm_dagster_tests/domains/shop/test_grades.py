"""Grades of all models: the newest ones, the check against the naive baseline, the chart, the table."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from rich.console import Console, Group

from clm_dagster.domains.shop.grades import (
    FEATURES,
    SCORECARD,
    grades_chart,
    newest_grades,
    read_history,
    render_grades,
    worse_than_baseline,
)
from clm_dagster.platform.warehouse import Connection

MARCH, JUNE, OLD = datetime(2024, 3, 4), datetime(2024, 6, 3), datetime(2023, 1, 2)
ROWS = [
    ("churn", "roc_auc", MARCH, "models.churn_model", 0.80, 0.70, 0.75),
    ("churn", "roc_auc", JUNE, "models.churn_model", 0.80, 0.79, 0.75),
    ("churn", "brier", JUNE, "models.churn_model", 0.10, 0.90, np.nan),
    ("value", "mae", MARCH, "models.value_model", 10.0, 14.0, 12.0),
    ("value", "mae", JUNE, "models.value_model", 10.0, np.nan, np.nan),  # not mature
    ("demand", "day_mase", JUNE, "eight_week_mean_baseline", np.nan, 0.91, 0.90),
    ("personas", "share_kept", MARCH, "models.persona_model", np.nan, 0.4, 0.5),
    ("recommendations", "ndcg_discover", OLD, "models.recommender_model", 0.1, 0.0, 0.2),
]


@pytest.fixture
def scorecard(connection: Connection) -> Connection:
    columns = ["model", "metric", "as_of", "model_name", "promised", "value", "baseline"]
    for schema in ("marts", "core"):
        connection.execute(f"create schema if not exists {schema}")
    connection.load_frame(SCORECARD, pd.DataFrame(ROWS, columns=columns))
    connection.load_frame(FEATURES, pd.DataFrame({"as_of": [MARCH, datetime(2024, 6, 10)]}))
    return connection


def test_the_newest_grade_of_each_metric_that_decides(scorecard: Connection) -> None:
    found = {grade.metric: grade for grade in newest_grades(read_history(scorecard))}
    assert set(found) == {"roc_auc", "mae", "day_mase", "share_kept"}
    assert (found["roc_auc"].as_of, found["roc_auc"].actual) == ("2024-06-03", 0.79)
    assert (found["mae"].as_of, found["mae"].actual) == ("2024-03-04", 14.0)
    assert found["share_kept"].promised is None and found["day_mase"].baseline == 0.90


def test_a_model_that_its_baseline_beats_is_reported_in_both_directions(scorecard: Connection) -> None:
    finding = worse_than_baseline(scorecard)
    assert not finding.fails
    assert list(finding.problems) == [
        "personas of 2024-02-26 (as_of 2024-03-04): share_kept is 0.400, of the naive baseline 0.500",
        "value of 2024-02-26 (as_of 2024-03-04): mae is 14.000, of the naive baseline 12.000",
    ]


def test_the_table_and_the_chart_show_all_three_figures(scorecard: Connection) -> None:
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        console.print(Group(*render_grades(newest_grades(read_history(scorecard)))))
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    assert "Grades snapshot as_of metric promised actual naive baseline" in lines
    assert "churn 2024-05-27 2024-06-03 roc_auc 0.800 0.790 0.750" in lines
    assert "personas 2024-02-26 2024-03-04 share_kept 0.400 0.500" in lines
    assert "data:image/png" in str(grades_chart(scorecard))


def test_without_a_scorecard_or_a_grade_there_is_nothing_to_show(connection: Connection) -> None:
    assert newest_grades(read_history(connection)) == []
    assert render_grades([]) == [] and grades_chart(connection) is None
    assert worse_than_baseline(connection).problems == []
