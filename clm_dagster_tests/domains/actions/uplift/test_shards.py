"""Effects in shards are those of all customers at once, to the last bit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.actions.uplift.contest import UpliftResult, hold_contest
from clm_dagster.domains.actions.uplift.score import ScoreInputs, score
from clm_dagster.platform.dbt_project.project import Project
from clm_dagster.platform.python_tables.shards import Shards
from clm_dagster.platform.trained_models.champions import WHOLE, Choice, Served
from clm_dagster.platform.trained_models.scoring import Scoring
from clm_dagster_tests.domains.actions.uplift.trials import sample
from clm_dagster_tests.sharded import output_of, plain, shards_of, split_rows

SCORES = "marts.uplift_scores"


@pytest.fixture(scope="module")
def result() -> UpliftResult:
    return hold_contest(sample(True), 30)


@pytest.mark.parametrize("is_baseline", [False, True])
@pytest.mark.parametrize("cuts", [[1], [0, 700, 701, 5_000], [13, 400, 900]])
def test_rows_and_metadata_do_not_depend_on_shards(
    result: UpliftResult, project: Project, tmp_path: Path, is_baseline: bool, cuts: list[int]
) -> None:
    contacts = sample(True).contacts
    every = contacts[contacts["campaign_id"] == "mail-3"].reset_index(drop=True)
    customers = every[np.random.default_rng(0).random(len(every)) < 0.8]
    row = pd.Series(
        {
            "model_name": "models.uplift_model",
            "model_version": "4",
            "as_of": pd.Timestamp("2024-05-01"),
            "training_data_hash": "h",
            "accepted": True,
        }
    )
    work: Any = SimpleNamespace(
        columns=[name for name in project.nodes[SCORES].types if name != "as_of"], settings=None
    )
    choice = Choice(row, None, is_baseline=is_baseline)
    scoring = Scoring(work, {WHOLE: Served(choice, result.model, "average")})
    found = [
        output_of(
            score(scoring, ScoreInputs(split_rows(customers, shards, tmp_path))), project, SCORES, tmp_path
        )
        for shards in (Shards(), shards_of(customers, cuts))
    ]
    (whole, rows), (parts, same) = found
    pd.testing.assert_frame_equal(rows, same, check_exact=True)
    assert plain(dict(whole.metadata)) == plain(dict(parts.metadata))
