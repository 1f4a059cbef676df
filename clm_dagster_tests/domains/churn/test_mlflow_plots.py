"""The chart of all candidates says why calibrated probabilities are off."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clm_dagster.domains.churn.candidates import candidates
from clm_dagster.domains.churn.evaluate import EvaluationResult, evaluate_candidates
from clm_dagster.domains.churn.mlflow_plots import calibration_note, evaluation_page
from clm_dagster.platform.charts import make_figure
from clm_dagster.statistics.evaluation import EvaluationPlan
from clm_dagster_tests.domains.churn.shop import SETTINGS


@pytest.fixture(scope="module")
def result(simulated: tuple[pd.DataFrame, pd.DataFrame, EvaluationPlan]) -> EvaluationResult:
    features, labels, plan = simulated
    chosen = [candidate for candidate in candidates() if candidate.name in ("recency", "bgnbd", "logistic")]
    return evaluate_candidates(features, labels, plan, SETTINGS, chosen, with_race=False)


def gap_of(result: EvaluationResult) -> float:
    table = result.test_probabilities
    return float(abs(table[result.winner].mean() - table["churned"].mean()))


def with_errors_before(result: EvaluationResult, error: float) -> EvaluationResult:
    """The same result with another calibration error before calibration."""
    changed = {
        name: replace(one, uncalibrated=one.uncalibrated | {"calibration_error": error})
        for name, one in result.results.items()
    }
    return replace(result, results=changed)


def test_no_calibrated_candidate_is_below_the_line(result: EvaluationResult) -> None:
    figure = make_figure(evaluation_page(result), 9, 3)
    left, right = figure.axes
    at, again = np.asarray(right.lines[0].get_xdata(), dtype=float)
    assert at == again == pytest.approx(gap_of(result))
    assert min(one.test["calibration_error"] for one in result.results.values()) >= gap_of(result) - 1e-9
    assert "forecast churn rate" in right.get_xlabel() and "last order" in left.get_xlabel()


def test_the_note_states_the_difference_and_counts_the_candidates_that_became_worse(
    result: EvaluationResult,
) -> None:
    worse, better = (calibration_note(with_errors_before(result, error)) for error in (0.0, 1.0))
    actual = result.test_probabilities["churned"].mean()
    for note in (worse, better):
        assert f"the actual rate was {actual:.1%}" in note
        assert f"This difference of {100 * gap_of(result):.1f} points is in" in note
    count = len(result.results)
    assert f"For {count} of {count} candidates the ECE is larger than before calibration" in worse
    assert "larger" not in better
