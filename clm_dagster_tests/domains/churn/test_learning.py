"""The learning curve of a churn training over customers."""

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.evaluate import evaluate_candidates
from clm_dagster.domains.churn.learning import customer_curve
from clm_dagster.platform.trained_models.curves import curve_metrics, with_curve
from clm_dagster.platform.trained_models.training import CandidateRun
from clm_dagster.statistics.evaluation import EvaluationPlan, fast_auc
from clm_dagster_tests.domains.churn.shop import SETTINGS

Simulated = tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]


@pytest.mark.parametrize("names", [("recency", "logistic"), ("recency", "logistic", "bgnbd")])
def test_the_whole_sample_gives_the_model_of_the_training(
    simulated: Simulated, names: tuple[str, ...]
) -> None:
    features, labels, plan = simulated
    chosen = [candidate for candidate in candidates() if candidate.name in names]
    result = evaluate_candidates(features, labels, plan, SETTINGS, chosen)
    curve = customer_curve(result, 1.0)
    assert curve is not None
    sizes, values = list(curve.values), list(curve.values.values())
    known = {one for day in plan.split.training for one in result.inputs.frames[day]["customer_id"]}
    assert sizes[-1] == len(known) and len(sizes) >= 2
    assert sizes[:-1] == pytest.approx(
        [sizes[-1] / 2 ** (len(sizes) - 1 - place) for place in range(len(sizes) - 1)], rel=0.2
    )
    labels_of_test = result.inputs.y[plan.split.test]
    trained = result.test_probabilities[result.winner].to_numpy()
    # Calibration keeps the order, apart from ties of rounded probabilities.
    assert values[-1] == pytest.approx(fast_auc(labels_of_test, trained), abs=1e-6)
    assert np.isfinite(curve.gain.value)


def test_mlflow_has_the_curve_at_the_winner(simulated: Simulated) -> None:
    features, labels, plan = simulated
    chosen = [candidate for candidate in candidates() if candidate.name in ("recency", "logistic")]
    curve = customer_curve(evaluate_candidates(features, labels, plan, SETTINGS, chosen), 1.0)
    run = CandidateRun("logistic", steps={1: {"learning/roc_auc": 0.7}})
    found = with_curve(run, curve)
    assert curve is not None
    assert {step: values["sample/roc_auc"] for step, values in found.steps.items() if step > 1} == dict(
        curve.values
    )
    assert found.steps[1] == {"learning/roc_auc": 0.7}
    assert list(found.figures) == ["learning_curve.png"]
    assert with_curve(run, None) is run and curve_metrics(None) == {}
    assert curve_metrics(curve)["sample/gain/value"] == curve.gain.value
