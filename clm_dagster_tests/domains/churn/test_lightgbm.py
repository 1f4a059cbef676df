"""LightGBM as a candidate of churn: only by its setting, with exact reasons, and from a file."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io

from clm_dagster.domains.churn.attribution import attribute
from clm_dagster.domains.churn.candidates import BLENDS, LIGHTGBM, candidates, log_odds
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.registered import REGISTERED, TRUSTED
from clm_dagster.domains.churn.served import pack, unpack
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster.statistics.lightgbm_trees import MissingExtraError
from clm_dagster_tests.domains.churn.shop import SETTINGS

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]


@pytest.fixture(scope="module")
def result(simulated: Simulated) -> EvaluationResult:
    pytest.importorskip("lightgbm", reason="the extra `boosting` is not installed")
    features, labels, plan = simulated
    chosen = [one for one in candidates(lightgbm=True) if one.name in BLENDS["blend_lightgbm"]]
    return evaluate_candidates(features, labels, plan, SETTINGS, chosen)


def test_lightgbm_is_a_candidate_only_if_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIGHTGBM not in [one.name for one in candidates()]
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert LIGHTGBM not in [one.name for one in candidates()]
    with pytest.raises(MissingExtraError, match=r"CLM_CHURN_LIGHTGBM is on.*clm_dagster\[boosting\]"):
        candidates(lightgbm=True)


def test_its_reasons_add_up_to_its_log_odds(result: EvaluationResult) -> None:
    assert {LIGHTGBM, "blend_lightgbm"} <= set(result.results)
    x = result.inputs.x[result.split.test]
    for name in (LIGHTGBM, "blend_lightgbm"):
        model = result.fitted[name]
        base, parts = attribute(model, x, x)
        np.testing.assert_allclose(base + parts.to_numpy().sum(axis=1), log_odds(model, x), atol=1e-9)
        assert result.results[name].exact


def test_a_file_gives_back_the_model_and_names_its_requirements(result: EvaluationResult) -> None:
    model = replace(result.model, estimator=result.fitted["blend_lightgbm"])
    back = unpack(skops.io.loads(skops.io.dumps(pack(model)), trusted=list(TRUSTED)))
    frame = result.inputs.frames[result.split.test]
    pd.testing.assert_frame_equal(back.scores(frame, 0.4), model.scores(frame, 0.4))
    assert "lightgbm" in REGISTERED.requirements(REGISTERED.pack(model))
    assert "lightgbm" not in REGISTERED.requirements(
        REGISTERED.pack(replace(model, estimator=result.fitted["logistic"]))
    )
