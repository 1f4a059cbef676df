"""The model as one estimator: a file without code gives back a model with the same scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io

from clm_dagster.domains.churn.candidates import Candidate, LogOddsMean, candidates, fit_candidate
from clm_dagster.domains.churn.evaluate import evaluate_candidates
from clm_dagster.domains.churn.plan import prepare
from clm_dagster.domains.churn.registered import TRUSTED
from clm_dagster.domains.churn.served import example, pack, unpack
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.churn.shop import SETTINGS


@pytest.mark.parametrize(
    "name", ["logistic", "boosting", "tree", "naive_bayes", "logistic_selected", "blend"]
)
def test_a_file_gives_back_the_model(
    name: str, simulated: tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan], tmp_path: Path
) -> None:
    features, labels, plan = simulated
    members = {"blend": ("logistic", "boosting", "bgnbd")}.get(name, (name,))
    chosen: list[Candidate] = [candidate for candidate in candidates() if candidate.name in members]
    result = evaluate_candidates(features, labels, plan, SETTINGS, chosen)
    model: Any = result.model
    skops.io.dump(pack(model), tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=list(TRUSTED))
    back = unpack(loaded)
    frame = result.inputs.frames[plan.split.test]
    pd.testing.assert_frame_equal(back.scores(frame, 0.4), model.scores(frame, 0.4))
    probabilities = loaded.predict(example(frame, len(frame)))["churn_probability"]
    np.testing.assert_allclose(probabilities, model.probabilities(frame), rtol=1e-12)
    assert (back.trained_as_of, back.tested_as_of) == (model.trained_as_of, model.tested_as_of)


def test_every_possible_winner_loads_from_its_file(
    simulated: tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan],
) -> None:
    """Every type in a file of a candidate with exact reasons is trusted, though on this shop another may win."""
    features, labels, plan = simulated
    given = prepare(features, labels, plan, SETTINGS)
    day = plan.split.training[-1]
    x, y = given.x[day], given.y[day]
    unknown = {}
    for entry in (entry for entry in candidates() if entry.exact):
        pipeline = fit_candidate(
            entry, given.columns, entry.search[0], x, y, np.zeros(len(y), dtype=np.int64)
        )
        found = skops.io.get_untrusted_types(data=skops.io.dumps(LogOddsMean([pipeline])))
        unknown[entry.name] = set(found) - set(TRUSTED)
    assert unknown == {name: set() for name in unknown} and len(unknown) > 8
