"""The learning curve of a training of customer value over customers."""

import pytest

from clm_dagster.domains.value.candidates import candidates
from clm_dagster.domains.value.evaluate import evaluate_candidates
from clm_dagster.domains.value.learning import customer_curve
from clm_dagster_tests.domains.value.shop import SETTINGS, Simulated


@pytest.mark.parametrize("names", [("ridge_sqrt",), ("boosting_ratio", "btyd")])
def test_the_whole_sample_gives_the_model_of_the_training(
    simulated: Simulated, names: tuple[str, ...]
) -> None:
    features, labels, plan = simulated
    chosen = [candidate for candidate in candidates() if candidate.name in names]
    result = evaluate_candidates(features, labels, plan, SETTINGS, chosen)
    curve = customer_curve(result, 1.0)
    assert curve is not None and curve.metric == "mae" and not curve.higher_is_better
    sizes, values = list(curve.values), list(curve.values.values())
    assert sizes == sorted(sizes) and len(sizes) >= 2
    if result.winner not in ("past_rate", "lifetime_rate", "last_period"):
        assert values[-1] == pytest.approx(result.results[result.winner].test["mae"], rel=1e-9)
    assert curve.gain.value == pytest.approx(values[-2] - values[-1])
