"""Scores in shards are those of all customers at once, to the last bit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.score import ScoreInputs, score
from clm_dagster.domains.churn.table_settings import ScoreSettings
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.parquet_buffer import ParquetBuffer
from clm_dagster.platform.python_tables.shards import Shards
from clm_dagster.platform.python_tables.shelf import Shelf
from clm_dagster.platform.trained_models.champions import WHOLE, Choice, Served
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster_tests.domains.churn.shop import SETTINGS, TEST
from clm_dagster_tests.domains.churn.test_baseline import ROW, Simulated, customers
from clm_dagster_tests.sharded import output_of, plain, random_cuts, shards_of, split_rows

SCORES = "marts.churn_scores"


@pytest.fixture(scope="module", params=["logistic", "boosting"])
def result(request: pytest.FixtureRequest, simulated: Simulated) -> EvaluationResult:
    chosen = [one for one in candidates() if one.name in ("recency", request.param)]
    return evaluate_candidates(*simulated, SETTINGS, chosen)


def scored(
    project: Project, choice: Choice, fitted: Any, inputs: ScoreInputs, folder: Path
) -> tuple[Any, pd.DataFrame]:
    work: Any = SimpleNamespace(
        columns=[name for name in project.nodes[SCORES].types if name != "as_of"],
        day=TEST,
        label=str(TEST),
        settings=ScoreSettings(SETTINGS, 10_000, 0.2),
        shelf=lambda shards: Shelf(folder if shards > 1 else None),
    )
    computed = score(Scoring(work, {WHOLE: Served(choice, fitted, "recency")}), inputs)
    return output_of(computed, project, SCORES, folder)


@pytest.mark.parametrize("is_baseline", [False, True])
def test_rows_and_metadata_do_not_depend_on_shards(
    simulated: Simulated,
    result: EvaluationResult,
    project: Project,
    tmp_path: Path,
    is_baseline: bool,
) -> None:
    features, labels, _ = simulated
    every = customers(features)
    for share in (0.02, 0.3, 1.0):
        rng = np.random.default_rng(int(100 * share))
        some = every[rng.random(len(every)) < share]
        some = some.assign(expected_margin=rng.gamma(2, 10, len(some)))
        top = some.sample(max(len(some) // 10, 1), random_state=1)["customer_id"]
        found = []
        for shards in (Shards(), shards_of(some, random_cuts(rng, len(some)))):
            inputs = ScoreInputs(
                features=split_rows(some, shards, tmp_path),
                history=features[features.as_of < pd.Timestamp(TEST)],
                labels=labels[labels.as_of + pd.Timedelta(days=SETTINGS.horizon_days) <= pd.Timestamp(TEST)],
                bands=pd.DataFrame({"risk_band": ["low", "high"], "from_probability": [0.0, 0.5]}),
                previous_top=pd.DataFrame(
                    {"as_of": pd.Timestamp(TEST), "customer_id": top, "is_active": False}
                ),
            )
            choice = Choice(ROW, "refused" if is_baseline else None, is_baseline=is_baseline)
            found.append(scored(project, choice, result.model, inputs, tmp_path))
        (whole, rows), (parts, same) = found
        assert isinstance(parts.rows, ParquetBuffer)
        pd.testing.assert_frame_equal(rows, same, check_exact=True)
        assert plain(dict(whole.metadata)) == plain(dict(parts.metadata))
        assert [one.description for one in whole.checks] == [one.description for one in parts.checks]
