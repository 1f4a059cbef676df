"""Calibration of churn scores by the age of their model."""

from datetime import datetime

import pandas as pd

from clm_dagster.platform.dbt_project.building import build
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.warehouse import Connection

# Not a unit test of the SQL project: dbt could not read the types of churn_scorecard, a view over a Python table.
MODEL, TRAINED = "models.churn_model", datetime(2024, 1, 1)


def scorecard(as_of: datetime, labelled: int, **values: float | None) -> pd.DataFrame:
    """The rows of the scorecard for one snapshot."""
    return pd.DataFrame({"metric": list(values), "value": list(values.values())}).assign(
        as_of=as_of, model_name=MODEL, model_version="1", model_as_of=TRAINED, labelled=labelled
    )


def test_the_age_is_in_full_weeks_and_immature_scores_are_left_out(
    connection: Connection, project: Project
) -> None:
    rows = pd.concat(
        [
            scorecard(datetime(2024, 3, 11), 10, mean_probability=0.3, base_rate=0.2, calibration_error=0.12),
            scorecard(datetime(2024, 3, 18), 0, mean_probability=None),
        ]
    ).astype({"value": float})
    built = build(connection, project, ["churn_calibration_by_age"], "built", {"churn_scorecard": rows})
    (found,) = connection.frame(f"from {built['churn_calibration_by_age']}").to_dict("records")
    expected = {"weeks_since_training": 10, "customers": 10, "mean_probability": 0.3, "base_rate": 0.2}
    assert {name: found[name] for name in expected} == expected
    assert round(found["level_error"], 6) == 0.1
    assert found["calibration_error"] == 0.12
