"""A model as one estimator: taken apart and put together it says the same, through a file that runs no code."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io

from clm_dagster.domains.churn.contestants import Contestant, contestants
from clm_dagster.domains.churn.model import hold_contest
from clm_dagster.domains.churn.served import TRUSTED, example, served, to_model
from clm_dagster.statistics.evaluation import ContestPlan
from clm_dagster_tests.domains.churn.conftest import SETTINGS


@pytest.mark.parametrize(
    "name", ["logistic", "boosting", "tree", "naive_bayes", "logistic_selected", "blend"]
)
def test_a_file_gives_back_the_model(
    name: str, simulated: tuple[pd.DataFrame, pd.DataFrame, ContestPlan], tmp_path: Path
) -> None:
    features, labels, plan = simulated
    members = {"blend": ("logistic", "boosting", "bgnbd")}.get(name, (name,))
    entries: list[Contestant] = [entry for entry in contestants() if entry.name in members]
    result = hold_contest(features, labels, plan, SETTINGS, entries)
    model: Any = result.model
    skops.io.dump(served(model), tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=list(TRUSTED))
    back = to_model(loaded)
    frame = result.given.frames[plan.split.test]
    pd.testing.assert_frame_equal(back.scores(frame, 0.4), model.scores(frame, 0.4))
    said = loaded.predict(example(frame, len(frame)))["churn_probability"]
    np.testing.assert_allclose(said, model.probabilities(frame), rtol=1e-12)
    assert (back.trained_as_of, back.tested_as_of) == (model.trained_as_of, model.tested_as_of)
