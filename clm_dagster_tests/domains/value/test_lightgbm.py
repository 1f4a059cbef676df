"""LightGBM as a candidate of customer value: only by its setting, and from a file."""

import json
import sys

import pandas as pd
import pytest
import skops.io

from clm_dagster.domains.value.candidates import LIGHTGBM, candidates
from clm_dagster.domains.value.evaluate import evaluate_candidates
from clm_dagster.domains.value.model import ValueModel
from clm_dagster.domains.value.registered import TRUSTED
from clm_dagster.statistics.lightgbm_trees import MissingExtraError, holds_trees
from clm_dagster_tests.domains.value.shop import SETTINGS, Simulated
from clm_dagster_tests.domains.value.test_model import snapshot


def test_lightgbm_is_a_candidate_only_if_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert LIGHTGBM not in [one.name for one in candidates()]
    with pytest.raises(MissingExtraError, match=r"CLM_VALUE_LIGHTGBM is on.*clm_dagster\[boosting\]"):
        candidates(lightgbm=True)


def test_a_file_gives_back_the_model(simulated: Simulated) -> None:
    pytest.importorskip("lightgbm", reason="the extra `boosting` is not installed")
    chosen = [one for one in candidates(lightgbm=True) if one.name == LIGHTGBM]
    result = evaluate_candidates(*simulated, SETTINGS, chosen)
    assert result.winner == LIGHTGBM
    estimators = result.model.estimators()
    assert holds_trees(estimators)
    loaded = skops.io.loads(skops.io.dumps(estimators), trusted=list(TRUSTED))
    again = ValueModel.from_parts(json.loads(json.dumps(result.model.state())), loaded)
    pd.testing.assert_frame_equal(again.scores(snapshot(simulated)), result.model.scores(snapshot(simulated)))
